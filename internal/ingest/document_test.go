package ingest_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"dispatcher/internal/ingest"
)

func utf16le(s string) []byte {
	b := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

func encoded(t *testing.T, e encoding.Encoding, s string) string {
	t.Helper()
	out, err := e.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCharsets(t *testing.T) {
	document := func(declared, title string) string {
		return strings.Replace(strings.Replace(rss(entry{title: title, link: "https://magazine.example/x/"}), `encoding="UTF-8"`, declared, 1), "Harbour Gazette", "Gazette", 1)
	}
	const persian, french = "آزادی برای کتابداران جزيره", "L’été à l’île — déjà vu"
	tests := map[string]struct{ body, contentType, want string }{
		"windows-1256, declared":      {encoded(t, charmap.Windows1256, document(`encoding="windows-1256"`, "آزادي براي کتابداران")), "text/xml", "آزادي براي کتابداران"},
		"windows-1252, declared":      {encoded(t, charmap.Windows1252, document(`encoding='windows-1252'`, french)), "", french},
		"windows-1252, in the header": {encoded(t, charmap.Windows1252, document("", french)), "application/rss+xml; charset=windows-1252", french},
		"windows-1252, told nowhere":  {encoded(t, charmap.Windows1252, document("", french)), "application/rss+xml", french},
		"UTF-8, header lies":          {document(`encoding="UTF-8"`, persian), "text/xml; charset=ISO-8859-1", persian},
		"UTF-8 with a mark":           {"\ufeff" + document(`encoding="UTF-8"`, persian), "", persian},
		"UTF-16":                      {string(utf16le(document(`encoding="UTF-16"`, persian))), "", persian},
		"an unknown name":             {document(`encoding="x-island"`, persian), "", persian},
		"a bad byte":                  {document(`encoding="UTF-8"`, "one \xff two"), "", "one \uFFFD two"},
		"control characters":          {document(`encoding="UTF-8"`, "one \x08 \x0b two"), "", "one two"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				fmt.Fprint(w, tt.body)
			})
			q := newQueue()
			fetch(t, newIngester(q, ingest.Settings{}), feedAt(server.URL))
			if got := q.items[0].Title; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReferencesToForbiddenCharactersAreLeftOut(t *testing.T) {
	document := `<rss><channel><item><title>one &#8;&#x0;&#xD83D;&#1114112;two &#233;&#x1F600;</title><link>https://magazine.example/x/</link></item></channel></rss>`
	if got := read(t, "feed.xml", document)[0].Title; got != "one two é😀" {
		t.Errorf("got %q", got)
	}
}

func TestJSONAndAtomDetails(t *testing.T) {
	json := `{"version": "https://jsonfeed.org/version/1.1", "language": "fr", "authors": [{"name": "The Desk"}], "items": [
		{"id": 7, "url": "https://magazine.example/one/", "title": "AT&T <3 you", "content_text": "a < b\nc\n\nd", "image": "https://cdn.example/i.jpg", "language": "fa_IR"}]}`
	got := read(t, "feed.json", json)[0]
	if got.Body != "<p>a &lt; b<br/>c</p><p>d</p>" || got.Author != "The Desk" || got.Language != "fa-IR" || got.Image != "https://cdn.example/i.jpg" || got.GUID != "7" {
		t.Errorf("JSON Feed gave %+v", got)
	}
	atom := `<feed xmlns="http://www.w3.org/2005/Atom"><author><name>The Desk</name></author><entry><id>urn:2</id><title>Two of them</title>
		<author><name>Ada</name></author><author><name>Bo</name></author><link rel="alternate" href="https://magazine.example/two/"/><published>2026-11-20T10:00:00+01:00</published>
		<category term="sea" label="The Sea"/><content type="xhtml" xml:base="https://cdn.example/"><div xmlns="http://www.w3.org/1999/xhtml"><p>See <a href="map">the map</a>.</p></div></content></entry></feed>`
	got = read(t, "feed.atom", atom)[0]
	if got.Body != `<p>See <a href="https://cdn.example/map">the map</a>.</p>` || got.Author != "Ada, Bo" || got.Published.Hour() != 9 || got.Topics[0] != "The Sea" {
		t.Errorf("Atom gave %+v", got)
	}
}

func TestAtomTextIsNotReadAsHTML(t *testing.T) {
	atom := `<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>x</title><link href="https://magazine.example/x/"/><content type="text">Why &lt;b&gt; is bold</content></entry></feed>`
	if got := read(t, "feed.atom", atom)[0].Body; got != "<p>Why &lt;b&gt; is bold</p>" {
		t.Errorf("got %s", got)
	}
}

func TestDocumentsThatAreNoFeed(t *testing.T) {
	lol := `<!DOCTYPE lolz [<!ENTITY a "lol">` + strings.Repeat(`<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">`, 20) + `]>`
	tests := map[string]struct{ document, want string }{
		"a web page":                {`<!doctype html><html><head><link rel="stylesheet" href="/x"><link rel="alternate" type="application/rss+xml" href="/sea/feed/"></head></html>`, "/sea/feed/"},
		"a web page without a feed": {"\n<html><body><p>Not found</p></body></html>", "ends in /feed/"},
		"nothing":                   {"", "no RSS, Atom or JSON feed"},
		"another XML":               {`<?xml version="1.0"?><opml></opml>`, "no RSS, Atom or JSON feed"},
		"JSON of another kind":      {`["x"]`, "no RSS, Atom or JSON feed"},
		"a hole in JSON":            {`{"version": "https://jsonfeed.org/version/1.1", "items": [null]}`, "cannot be read"},
		"half a feed":               {rss(posts(3)...)[:900], ""},
		"an abyss":                  {`<rss xmlns:a="urn:a"><channel><item>` + strings.Repeat("<a:b>", 1_500_000), "nested too deep"},
		"crumbs":                    {`<rss xmlns:a="urn:a"><channel><item><a:b>` + strings.Repeat("<![CDATA[x]]>y", 500_000) + `</a:b></item></channel></rss>`, "too many pieces"},
		"a swarm":                   {`<rss xmlns:a="urn:a"><channel><item>` + strings.Repeat("<a:b/>", 1_000_000) + `</item></channel></rss>`, "too many pieces"},
		"an entity bomb alone":      {lol + `<lolz>&b;</lolz>`, "no RSS, Atom or JSON feed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			_, err := newIngester(q, ingest.Settings{}).Fetch(t.Context(), feedAt(serveText(t, tt.document).URL))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want one that says %q", err, tt.want)
			}
			if len(q.items) > 0 || q.states["magazine"].Failures != 1 || q.states["magazine"].BaselineDone {
				t.Errorf("the poll left %+v and %d items", q.states["magazine"], len(q.items))
			}
		})
	}
	bomb := strings.Replace(rss(entry{title: "x", link: "https://magazine.example/x/"}), "<rss", lol+"<rss", 1)
	bomb = strings.Replace(bomb, "<![CDATA[x]]>", "Boom &b;", 1)
	if got := read(t, "feed.xml", bomb)[0].Title; got != "Boom &b;" {
		t.Errorf("an entity bomb in a feed makes the title %q", got)
	}
}
