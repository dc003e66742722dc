package newsletter_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"dispatcher/internal/newsletter"
)

func TestParseAddressTakesLocalPartsOfEveryScript(t *testing.T) {
	tests := map[string]struct {
		in   string
		want newsletter.Address
	}{
		"Latin":             {"jörg@example.net", "jörg@example.net"},
		"Latin, decomposed": {"jo\u0308rg@example.net", "j\u00f6rg@example.net"},
		"Cyrillic":          {"Зоя.Читатель@example.net", "Зоя.Читатель@example.net"},
		"Arabic":            {"قارئ@example.net", "قارئ@example.net"},
		"Hindi":             {"पाठक@example.net", "पाठक@example.net"},
		"Chinese":           {"读者@例子.example", "读者@xn--fsqu00a.example"},
		"Korean":            {"독자+소식@example.net", "독자+소식@example.net"},
		"two scripts":       {"news-読者@Example.NET", "news-読者@example.net"},
		"a picture":         {"📰@example.net", "📰@example.net"},
		"blanks around":     {"\u00a0\u3000zoë@example.net\u2003", "zoë@example.net"},
		"64 bytes":          {strings.Repeat("ö", 32) + "@example.net", newsletter.Address(strings.Repeat("ö", 32) + "@example.net")},
		"64 bytes in the end": {
			strings.Repeat("o\u0308", 32) + "@example.net", newsletter.Address(strings.Repeat("ö", 32) + "@example.net"),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := newsletter.ParseAddress(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("ParseAddress(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
			if !got.International() {
				t.Errorf("%q is said to be plain ASCII", got)
			}
		})
	}
}

// What becomes ASCII when it is normalised needs no SMTPUTF8, and neither does a domain, which is an A-label.
func TestInternationalIsTheLocalPartAlone(t *testing.T) {
	for in, want := range map[string]bool{
		"reader@example.net": false, "reader@bücher.example": false, "\u212aurt@example.net": false, "zoë@example.net": true, "x\u00b2@bücher.example": true,
	} {
		a, err := newsletter.ParseAddress(in)
		if err != nil || a.International() != want {
			t.Errorf("ParseAddress(%+q) = %q, %v; international is %v", in, a, err, a.International())
		}
	}
}

func TestParseAddressRefusesWhatNobodySees(t *testing.T) {
	for name, local := range map[string]string{
		"zero width space": "lé\u200bser", "zero width non-joiner": "lé\u200cser", "zero width joiner": "lé\u200dser", "soft hyphen": "lé\u00adser",
		"right-to-left override": "lé\u202eser", "left-to-right isolate": "lé\u2066ser", "Arabic letter mark": "lé\u061cser", "byte order mark": "\ufefflé",
		"no-break space": "lé\u00a0ser", "ideographic space": "lé\u3000ser", "line separator": "lé\u2028ser", "next line": "lé\u0085ser", "C1 control": "lé\u009bser",
		"Hangul filler": "lé\u3164ser", "halfwidth filler": "lé\uffa0ser", "grapheme joiner": "lé\u034fser", "variation selector": "lé\ufe0fser",
		"Mongolian selector": "lé\u180bser", "empty Braille": "lé\u2800ser", "tag": "lé\U000e0061ser", "invisible times": "lé\u2062ser",
		"private": "lé\ue000ser", "unassigned": "lé\u0378ser", "noncharacter": "lé\uffffser", "replacement character": "lé\ufffdser",
		"Latin-1": "l\xe9ser", "overlong": "l\xc0\xafser", "surrogate": "l\xed\xa0\x80ser", "cut off": "ls\xc3",
		"mark without a letter": "\u0338léser", "a heap of marks": "e" + strings.Repeat("\u0327", 31),
		"Greek question mark, which is a semicolon": "lé\u037eser", "dot first": ".lé", "dot last": "lé.", "two dots": "lé..ser",
		"line end": "lé\r\nser", "blank": "lé ser", "bracket": "lé<ser", "quoted": `"lé ser"`, "encoded word": "=?UTF-8?Q?l=C3=A9?= ser",
		"66 bytes": strings.Repeat("é", 33),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newsletter.ParseAddress(local + "@example.net")
			if err == nil {
				t.Fatalf("ParseAddress takes %+q", got)
			}
			if strings.Contains(err.Error(), local) || strings.Contains(err.Error(), "example.net") {
				t.Errorf("the error repeats the address: %v", err)
			}
		})
	}
}

func TestOneReaderIsOneHoweverHerAddressIsWritten(t *testing.T) {
	key := newsletter.Key{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}
	for _, same := range [][]string{
		{"Reader@example.net", "READER@EXAMPLE.NET", "reader@example.net"},
		{"jörg@example.net", "JÖRG@example.net", "jo\u0308rg@example.net", "JO\u0308RG@Example.net"},
		{"зоя@bücher.example", "ЗОЯ@BÜCHER.example", "Зоя@xn--bcher-kva.example"},
		{"\u0130\u0301nci@example.net", "íNCI@example.net"}, // lower case takes the dot from the letter, which then meets its accent
	} {
		var folded string
		var hash []byte
		for i, in := range same {
			a, err := newsletter.ParseAddress(in)
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				folded, hash = a.Folded(), key.AddressHash(a)
			}
			if a.Folded() != folded || !bytes.Equal(key.AddressHash(a), hash) {
				t.Errorf("%+q is %+q when folded, and %+q is %+q", in, a.Folded(), same[0], folded)
			}
		}
	}
	different := map[string]string{}
	for _, in := range []string{"jörg@example.net", "jorg@example.net", "joerg@example.net", "jőrg@example.net", "读者@example.net", "讀者@example.net", "ｊörg@example.net"} {
		a, err := newsletter.ParseAddress(in)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := different[a.Folded()]; taken {
			t.Errorf("%q and %q are one reader", in, other)
		}
		different[a.Folded()] = in
	}
}

// Hashes are in databases: those of plain addresses stay what they have always been.
func TestFoldingAPlainAddressIsLowerCase(t *testing.T) {
	var every strings.Builder
	for c := byte(' '); c < 0x7f; c++ {
		every.WriteByte(c)
	}
	a := newsletter.Address(every.String())
	if got := a.Folded(); got != strings.ToLower(every.String()) {
		t.Errorf("%q is %q when folded", a, got)
	}
}

func TestRedactHidesAddressesOfEveryScript(t *testing.T) {
	for in, want := range map[string]string{
		"550 5.1.1 <jörg@example.net>: rejected":                   "550 5.1.1 <[address]>: rejected",
		"no such user 读者@xn--fsqu00a.example here":                 "no such user [address] here",
		"پیام به قارئ@مثال.example نرسید":                          "پیام به [address] نرسید",
		"to=<पाठक@example.net>, relay=none":                        "to=<[address]>, relay=none",
		"utf-8; zoë.o'néill@example.net":                           "utf-8; [address]",
		`"zoë@example.net" is full`:                                `"[address]" is full`,
		`mailbox "zoë müller"@example.net is full`:                 "mailbox [address] is full",
		`unknown: j\x{F6}rg@example.net`:                           "unknown: [address]", // RFC 6533 section 3
		"unknown: j\xf6rg@example.net":                             "unknown: [address]", // Latin-1
		"unknown: j\xc3@example.net, half a letter":                "unknown: [address], half a letter",
		"unknown: j?rg@example.net":                                "unknown: [address]",
		"unknown: =?UTF-8?Q?j=C3=B6rg?=@example.net":               "unknown: [address]",
		"unknown: j=C3=B6rg@example.net":                           "unknown: [address]",
		"see https://relay.example/why?to=j%C3%B6rg%40example.net": "see https:[address]",
		"from bounces+jörg=example.net@list.example":               "from [address]",
		"host mx.example[192.0.2.1] said: jörg@[192.0.2.7] closed": "host mx.example[192.0.2.1] said: [address][192.0.2.7] closed",
		"jörg@: no such user":                                      "[address]: no such user",
		"نامه رسید: 250 2.0.0":                                     "نامه رسید: 250 2.0.0",
		"meet us @ the “Café”":                                     "meet us @ the “Café”",
	} {
		if got := newsletter.Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// An address that is taken can stand in an envelope and a header field, is the same when it is read again, and is hidden
// from whatever is logged.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{
		"reader@example.net", "a@b\r\n.example", "jörg@bücher.example", "jo\u0308rg@example.net", "قارئ@example.net", "पाठक@example.net", "读者@例子.example",
		"\u0338x@example.net", "a\u037eb@example.net", "\u0130\u0301@example.net", "a\u1fefb@example.net", "lé\u202eser@example.net", "l\xe9ser@example.net", "o'b=%40+?@example.net",
		"x\u0345\u0301@example.net", "\u1e9e\u01c5@example.net", "\u115f\u1161@example.net", strings.Repeat("\u0958", 12) + "@example.net",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := newsletter.ParseAddress(in)
		if err != nil {
			return
		}
		hidden := func(r rune) bool {
			return r <= ' ' || r == utf8.RuneError || !unicode.IsGraphic(r) || unicode.IsSpace(r)
		}
		if len(a) > 254 || !utf8.ValidString(string(a)) || strings.ContainsFunc(string(a), hidden) || strings.ContainsAny(string(a), `<>()",:;\`) {
			t.Errorf("ParseAddress(%q) = %q, which cannot stand in an envelope", in, a)
		}
		if !norm.NFC.IsNormalString("<" + string(a) + ">") {
			t.Errorf("ParseAddress(%q) = %+q, which is not NFC between its brackets", in, a)
		}
		if strings.ContainsFunc(a.Domain(), func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Errorf("the domain of %q is %q", in, a.Domain())
		}
		if again, err := newsletter.ParseAddress(string(a)); err != nil || again != a {
			t.Errorf("ParseAddress(%q) = %q, %v: not stable", a, again, err)
		}
		if read, err := mail.ParseAddress("<" + string(a) + ">"); err != nil || read.Address != string(a) {
			t.Errorf("net/mail reads %q as %v, %v", a, read, err)
		}
		if again := newsletter.Address(a.Folded()).Folded(); again != a.Folded() {
			t.Errorf("%+q is %+q when folded, and %+q when folded twice", a, a.Folded(), again)
		}
		if got := newsletter.Redact("rcpt to:<" + string(a) + "> failed"); got != "rcpt to:<[address]> failed" {
			t.Errorf("Redact leaves %q of %q", got, a)
		}
	})
}
