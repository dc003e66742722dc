package ingest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mmcdole/gofeed"
	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Limits on the shape of an XML document. The parser recurses into foreign elements and joins their pieces of text one
// by one, so a document that breaks them could end the process or keep it busy for hours. No real feed comes near.
const (
	maxDepth    = 200
	maxElements = 500_000
	maxPieces   = 10_000 // of text, in one element
)

var (
	errShape     = errors.New("the document is nested too deep or in too many pieces to be a feed")
	errNotFeed   = errors.New("the document is no RSS, Atom or JSON feed")
	errBadParser = errors.New("the document cannot be read")
)

// parseDocument reads a feed of any format. A document that ends early is an error, so that no poll takes half a feed
// for the whole.
func parseDocument(body []byte, contentType string) (feed *gofeed.Feed, err error) {
	text, err := toUTF8(body, contentType)
	if err != nil {
		return nil, fmt.Errorf("converting to UTF-8: %w", err)
	}
	if err := checkShape(text); err != nil {
		return nil, err
	}
	if gofeed.DetectFeedType(bytes.NewReader(text[:min(len(text), 4096)])) == gofeed.FeedTypeUnknown {
		return nil, notFeed(text)
	}
	// The parser is not ours and the document is a stranger's: a panic must cost one poll, not the daemon.
	defer func() {
		if recover() != nil {
			feed, err = nil, errBadParser
		}
	}()
	parser := gofeed.NewParser()
	parser.KeepOriginalFeed = true
	parser.RSSTranslator = &gofeed.DefaultRSSTranslator{DisableContentImageScan: true}
	return parser.Parse(bytes.NewReader(text))
}

var (
	xmlDeclaration   = regexp.MustCompile(`^\s*<\?xml[^>]*\?>`)
	declaredEncoding = regexp.MustCompile(`^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)["']`)
	numericReference = regexp.MustCompile(`&#(?:[xX][0-9a-fA-F]{1,8}|[0-9]{1,9});`)
)

// toUTF8 converts a document, by its byte order mark, else the encoding that its XML declaration names, else the
// charset of the Content-Type, and takes out what XML forbids. The parser's own conversion would refuse the whole
// document for one bad byte, and with it all posts until that one has left the feed.
func toUTF8(body []byte, contentType string) ([]byte, error) {
	from := documentEncoding(body, contentType)
	text, _, err := transform.Bytes(unicode.BOMOverride(from.NewDecoder()), body)
	if err != nil {
		return nil, err
	}
	text = bytes.Map(func(r rune) rune {
		if legalInXML(r) {
			return r
		}
		return -1
	}, xmlDeclaration.ReplaceAll(text, nil))
	return numericReference.ReplaceAllFunc(text, func(reference []byte) []byte {
		digits, base := string(reference[2:len(reference)-1]), 10
		if digits[0] == 'x' || digits[0] == 'X' {
			digits, base = digits[1:], 16
		}
		if n, err := strconv.ParseInt(digits, base, 64); err != nil || n > utf8.MaxRune || !legalInXML(rune(n)) {
			return nil
		}
		return reference
	}), nil
}

func documentEncoding(body []byte, contentType string) encoding.Encoding {
	if m := declaredEncoding.FindSubmatch(body[:min(len(body), 200)]); m != nil {
		if e, _ := charset.Lookup(string(m[1])); e != nil {
			return e
		}
	}
	if _, params, err := mime.ParseMediaType(contentType); err == nil {
		if e, _ := charset.Lookup(params["charset"]); e != nil {
			return e
		}
	}
	if !utf8.Valid(body) {
		return charmap.Windows1252
	}
	return unicode.UTF8
}

// legalInXML is the Char production of XML 1.0, section 2.2.
func legalInXML(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || (r >= 0x20 && r <= 0xD7FF) || (r >= 0xE000 && r <= 0xFFFD) || (r >= 0x10000 && r <= utf8.MaxRune)
}

// checkShape refuses an XML document that breaks the limits above. Other errors are left to the parser.
func checkShape(text []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	decoder.Strict = false
	pieces := []int{0} // of text, for each open element
	for elements := 0; ; {
		token, err := decoder.RawToken()
		if err != nil {
			return nil
		}
		switch token.(type) {
		case xml.StartElement:
			pieces = append(pieces, 0)
			elements++
		case xml.EndElement:
			pieces = pieces[:max(len(pieces)-1, 1)]
		case xml.CharData:
			pieces[len(pieces)-1]++
		}
		if len(pieces) > maxDepth || elements > maxElements || pieces[len(pieces)-1] > maxPieces {
			return errShape
		}
	}
}

// notFeed says what a document is that is no feed. For a web page it looks for the feed that the page names.
func notFeed(text []byte) error {
	start := strings.ToLower(string(bytes.TrimSpace(text[:min(len(text), 500)])))
	if !strings.HasPrefix(start, "<!doctype html") && !strings.HasPrefix(start, "<html") {
		return errNotFeed
	}
	if link := alternateFeed(text); link != "" {
		return fmt.Errorf("%w but a web page, which says that its feed is %s", errNotFeed, link)
	}
	return fmt.Errorf("%w but a web page (on a WordPress site the url of a feed ends in /feed/)", errNotFeed)
}

// alternateFeed finds the first <link rel="alternate"> of a page that leads to a feed.
func alternateFeed(page []byte) string {
	tokens := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			t := tokens.Token()
			if t.Data != "link" || attribute(t.Attr, "rel") != "alternate" {
				continue
			}
			switch attribute(t.Attr, "type") {
			case "application/rss+xml", "application/atom+xml", "application/feed+json":
				return attribute(t.Attr, "href")
			}
		}
	}
}
