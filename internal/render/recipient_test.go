package render_test

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// internationalAddresses have local parts beyond ASCII (RFC 6531).
var internationalAddresses = []newsletter.Address{
	"jörg@reader.example", "Зоя.Читатель@reader.example", "قارئ@reader.example", "पाठक@reader.example", "读者+news@reader.example", "📰@reader.example",
	newsletter.Address(strings.Repeat("ö", 32) + "@" + strings.Repeat("long.", 20) + "example"),
}

// TestInternationalAddressesStayUTF8 holds that the To field names such a reader as she writes herself, that the parsers
// which did not write the message read it so, and that nothing else in the message goes beyond ASCII for it.
func TestInternationalAddressesStayUTF8(t *testing.T) {
	v := padded(t)(10)
	for _, address := range internationalAddresses {
		for _, name := range []string{"Noor", "مهرناز دلشاد", `"Quoted" \ back`, strings.Repeat("long ", 16)} {
			p := reader()
			p.Address, p.Name = address, name
			checkMessage(t, v, p)
			var r render.Renderer
			_, _, raw, err := r.Fill(v, p)
			if err != nil {
				t.Fatal(err)
			}
			before, after, found := strings.Cut(string(raw), "<"+string(address)+">\r\n")
			if !found || strings.ContainsFunc(before+after, func(r rune) bool { return r >= utf8.RuneSelf }) {
				t.Errorf("the message to %s does not name that address, or goes beyond ASCII elsewhere:\n%s", address, raw)
			}
		}
	}
}

// FuzzAddress holds that whatever is in the store in the place of an address, one mailbox stands in the To field and nothing
// else comes of it, and that an address which newsletter takes stands there as it is.
func FuzzAddress(f *testing.F) {
	for _, address := range append(internationalAddresses, "noor@reader.example", "", "a>\r\nBcc: <b@reader.example", "jörg>, <b@reader.example", "\"jörg\"@reader.example",
		"j\u2028örg@reader.example", "j\u0085örg@reader.example", "j\u202eörg@reader.example", "j\xf6rg@reader.example", "jörg\x00\t\v @reader.example") {
		f.Add(string(address))
	}
	m, err := render.Compile(padded(f)(10))
	if err != nil {
		f.Fatal(err)
	}
	fields := func(t *testing.T, raw []byte) mail.Header {
		message, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		return message.Header
	}
	f.Fuzz(func(t *testing.T, address string) {
		p := reader()
		want := fields(t, m.Append(nil, p))
		p.Name, p.Address = "", newsletter.Address(address)
		raw := m.Append(nil, p)
		got := fields(t, raw)
		to := got.Get("To")
		if !utf8.Valid(raw) || len(to) < 2 || to[0] != '<' || to[len(to)-1] != '>' || strings.ContainsFunc(to[1:len(to)-1], func(r rune) bool {
			return r == ' ' || !unicode.IsPrint(r) || strings.ContainsRune(`<>"`, r)
		}) {
			t.Errorf("To = %q", to)
		}
		delete(got, "To")
		delete(want, "To")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("other fields (-of a plain message +of this):\n%s", diff)
		}
		if a, err := newsletter.ParseAddress(address); err == nil && a == p.Address && to != "<"+address+">" {
			t.Errorf("To = %q for the good address %q", to, address)
		}
	})
}

// TestAppendAllocatesNothing holds that a message costs no memory, in whatever script its reader's address is.
func TestAppendAllocatesNothing(t *testing.T) {
	m, err := render.Compile(padded(t)(10))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range append(internationalAddresses, "noor@reader.example") {
		p := reader()
		p.Address = address
		dst := m.AppendStuffed(nil, p)
		if n := testing.AllocsPerRun(100, func() { dst = m.AppendStuffed(dst[:0], p) }); n > 0 {
			t.Errorf("a message to %s costs %v allocations", address, n)
		}
	}
}
