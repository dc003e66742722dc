package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"

	"dispatcher/internal/config"
	"dispatcher/internal/newsletter"
)

// newLogger logs as the config says, but nothing below least. No line holds an e-mail address or a reader's token, whatever a relay or
// a library has written into its error.
func newLogger(p process, c config.Log, least slog.Level) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the config has been checked
	}
	options := &slog.HandlerOptions{Level: max(level, least), ReplaceAttr: scrubAttr}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

// scrubAttr scrubs the message and each value of a line; slog calls it for those within groups, too. A value that is neither text nor
// an error stays as it is where it holds nothing in either format.
func scrubAttr(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(scrub(a.Value.String()))
	case slog.KindAny:
		v := a.Value.Any()
		if err, ok := v.(error); ok {
			a.Value = slog.StringValue(scrub(err.Error()))
			break
		}
		text := fmt.Sprintf("%+v", v)
		encoded, err := json.Marshal(v)
		if err != nil || scrub(text) != text || scrub(string(encoded)) != string(encoded) {
			a.Value = slog.StringValue(scrub(text))
		}
	}
	return a
}

// What stands where something was taken out.
const (
	addressGone = "[address]"
	tokenGone   = "[token]"
)

var (
	// anAt finds the spellings of the sign within an address: URLs escape it, maybe twice, pages have character references and JSON and
	// Go escapes for it, and Unicode has two signs that address parsers may take for it.
	anAt = regexp.MustCompile(`(?i)@|\x{FF20}|\x{FE6B}|%(?:25)*40|&(?:amp;)*(?:#0*64|#x0*40|commat);?|\\u0040|\\x40`)

	// quotedAt finds it as quoted-printable writes it (RFC 2045 section 6.7), where a domain follows: =40 is a number elsewhere.
	quotedAt = regexp.MustCompile(`(?i)([^\s=])=40([a-z0-9-]+\.[a-z]{2})`)

	// lonelyAt finds what newsletter.Redact leaves: the sign with what stands beside it.
	lonelyAt = regexp.MustCompile(`\S*[ \t]*@[ \t]*\S*`)

	// aLink finds readers' links, aToken what newsletter.Key makes for them and for envelope senders: 26 letters of base32 and more,
	// whose case mail programs may have changed.
	aLink  = regexp.MustCompile(`(?i)/u/[^/\s"'<>?#]+`)
	aToken = regexp.MustCompile(`[a-z2-7]{26,}|[A-Z2-7]{26,}`)
)

// scrub takes out of text for the log what looks like an e-mail address, and the tokens of readers' links. It takes rather too much
// than too little: no spelling of the sign that each address has is left.
func scrub(text string) string {
	text = quotedAt.ReplaceAllString(text, "$1@$2")
	if anAt.MatchString(text) {
		text = newsletter.Redact(anAt.ReplaceAllString(text, "@"))
		text = lonelyAt.ReplaceAllString(text, addressGone)
	}
	text = aLink.ReplaceAllString(text, "/u/"+tokenGone)
	return aToken.ReplaceAllString(text, tokenGone)
}
