package render_test

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// hostileNames are what people, importers and attackers call themselves.
var hostileNames = []string{
	"", "Noor", "Anna-Lena O'Brien", "José Ñandú", "مهرناز دلشاد", "محمد\u200cرضا", "שרה", "👩🏽‍🚀 Zoë", "=", "a=b=3D", "=?utf-8?q?x?=", "{{.Unsubscribe}}", "{name}",
	"Eve\r\nBcc: all@reader.example", "a\nb", "\r", `"Quoted" \ back`, "<script>alert(1)</script>", "Tom & Jerry's <b>", ".", "..", "From here", "-", "--part",
	"  padded  and   wide ", "\u202eevil", "bad \xff\xfe utf8", strings.Repeat("long ", 100), strings.Repeat("x", 500), strings.Repeat("ن", 500), strings.Repeat("👩🏽‍🚀", 100),
	strings.Repeat("=", 60), strings.Repeat("F", 79), strings.Repeat(".", 80), "hole" + strings.Repeat("0", 16) + "u",
}

// padded renders templates in which n characters stand before each hole.
func padded(t testing.TB) func(n int) newsletter.Variant {
	t.Helper()
	r := paddedRenderer(t)
	return func(n int) newsletter.Variant {
		c := digestContent("en")
		c.List.Description = strings.Repeat("x", n)
		v, err := r.Render(c)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// paddedRenderer renders templates in which the list's description stands before each hole.
func paddedRenderer(t testing.TB) *render.Renderer {
	t.Helper()
	files := templateFiles(t, map[string]string{
		"mail/digest.txt":  "{{.Description}}{{.Greeting}}{{.Description}}{{.Unsubscribe}} {{.Description}}\n{{.PostalAddress}}\n",
		"mail/digest.html": `<p>{{.Description}}{{.Greeting}}{{.Description}}<a href="{{.Unsubscribe}}">x</a>{{.Description}}{{.PostalAddress}}</p>` + "\n",
	})
	r, err := render.New(files, publisher(), dice(1))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAppendAtEveryColumn holds that two parsers which did not write the message find in it what was spliced in, wherever in a line
// the hole was.
func TestAppendAtEveryColumn(t *testing.T) {
	render := padded(t)
	for n := range 81 {
		v := render(n)
		for _, name := range hostileNames {
			p := reader()
			p.Name = name
			checkMessage(t, v, p)
			if t.Failed() {
				t.Fatalf("with %d characters before the hole and the name %q", n, name)
			}
		}
	}
}

func FuzzAppend(f *testing.F) {
	for i, name := range hostileNames {
		f.Add(name, byte(i))
	}
	render := padded(f)
	var variants []newsletter.Variant
	for n := range 81 {
		variants = append(variants, render(n))
	}
	f.Fuzz(func(t *testing.T, name string, n byte) {
		p := reader()
		p.Name = name
		checkMessage(t, variants[int(n)%len(variants)], p)
	})
}

// FuzzRender holds that whatever an item says, the message can be taken apart again and its lines are lawful.
func FuzzRender(f *testing.F) {
	f.Add("A title", "A summary.", "<p>One</p><ul><li>two<li>three</ul>four<br>five", "https://lantern.example/", "en")
	f.Add("نامه\r\nBcc: x", strings.Repeat("<", 300), strings.Repeat("<div>", 600), "javascript:x", "fa")
	f.Add("=?utf-8?q?x?=", ".\n.", "<pre>\r\n.\r\n</pre>", "tel:+1", "x\" y=\"")
	r, err := render.New(templateFiles(f, nil), publisher(), dice(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, title, summary, body, link, lang string) {
		c := alertContent("en")
		item := &c.Items[0]
		item.Title, item.Summary, item.Body, item.URL, item.Petition, item.Image, item.Language = title, summary, body, link, link, link, lang
		html, text, raw := rendered(t, r, c)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{text, html}, decodeParts(t, m)); diff != "" {
			t.Errorf("parts of the message (-Fill +message):\n%s", diff)
		}
	})
}

// checkMessage splices one reader's message and takes it apart again.
func checkMessage(t *testing.T, v newsletter.Variant, p newsletter.Personal) {
	t.Helper()
	var r render.Renderer
	html, text, raw, err := r.Fill(v, p)
	if err != nil {
		t.Fatal(err)
	}
	checkLines(t, raw)
	checkLineStarts(t, raw)
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	checkPersonalHeader(t, m.Header, p)
	decoded := decodeParts(t, m)
	if diff := cmp.Diff([]string{text, html}, decoded); diff != "" {
		t.Errorf("parts of the message, as net/mail reads them (-Fill +message):\n%s", diff)
	}
	if diff := cmp.Diff([]string{text, html}, decodeWithGoMessage(t, raw)); diff != "" {
		t.Errorf("parts of the message, as go-message reads them (-Fill +message):\n%s", diff)
	}
	checkGreeting(t, text, html, newsletter.OneLine(p.Name, 80))
}

// checkGreeting holds that the name is shown as it is, in one line, and that who has none is greeted without.
func checkGreeting(t *testing.T, text, page, name string) {
	t.Helper()
	inText, inHTML := "Dear "+name+",", "Dear <bdi>"+html.EscapeString(name)+"</bdi>,"
	if name == "" {
		inText, inHTML = "Dear reader,", "Dear reader,"
	}
	if !strings.Contains(text, inText) {
		t.Errorf("text lacks %q", inText)
	}
	if !strings.Contains(page, inHTML) {
		t.Errorf("HTML lacks %q", inHTML)
	}
}

// checkLines holds what RFC 5322 section 2.1.1 and RFC 2045 section 6.7 say about lines.
func checkLines(t *testing.T, raw []byte) {
	t.Helper()
	if !bytes.HasSuffix(raw, []byte("\r\n")) {
		t.Error("the last line does not end")
	}
	header, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	for line := range strings.SplitSeq(header, "\r\n") {
		if strings.ContainsAny(line, "\r\n") || len(line) > 998 || strings.TrimSpace(line) == "" {
			t.Errorf("header line %q", line)
		}
		if len(line) > 78 && strings.Contains(line[1:], " ") && !strings.HasPrefix(line, "List-Unsubscribe: ") {
			t.Errorf("header line of %d characters: %q", len(line), line)
		}
	}
	for line := range strings.SplitSeq(body, "\r\n") {
		if strings.ContainsAny(line, "\r\n") || len(line) > 76 {
			t.Errorf("body line of %d characters: %q", len(line), line)
		}
		for _, c := range []byte(line) {
			if c > '~' || c < ' ' {
				t.Errorf("byte %#x in %q", c, line)
			}
		}
	}
}

// checkLineStarts holds that no line of a message made of padded templates begins like the end of its part, an mbox
// separator or a line with a doubled dot.
func checkLineStarts(t *testing.T, raw []byte) {
	t.Helper()
	header, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	_, boundary, _ := strings.Cut(header, "boundary=")
	for line := range strings.SplitSeq(body, "\r\n") {
		if strings.HasPrefix(line, "From ") || strings.HasPrefix(line, ".") || (strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "--"+boundary)) {
			t.Errorf("body line that mail systems take for something else: %q", line)
		}
	}
}

func checkPersonalHeader(t *testing.T, h mail.Header, p newsletter.Personal) {
	t.Helper()
	for field, values := range h {
		if len(values) != 1 {
			t.Errorf("%d fields %s", len(values), field)
		}
	}
	if len(h["Bcc"]) > 0 {
		t.Error("a field was smuggled in")
	}
	to, err := h.AddressList("To")
	want := []*mail.Address{{Name: newsletter.OneLine(p.Name, 80), Address: string(p.Address)}}
	if diff := cmp.Diff(want, to); err != nil || diff != "" {
		t.Errorf("To is %q: %v (-want +got):\n%s", h.Get("To"), err, diff)
	}
	if decoded := decodeWords(t, h.Get("To")); strings.Contains(p.Name, "=?") && !strings.Contains(decoded, want[0].Name) {
		t.Errorf("a mail program that decodes quoted strings shows %s", decoded)
	}
	if date, err := h.Date(); err != nil || !date.Equal(p.Date.Truncate(time.Second)) {
		t.Errorf("Date = %v, %v, want %v", date, err, p.Date)
	}
	if got, want := h.Get("Message-ID"), "<"+p.MessageID+">"; got != want {
		t.Errorf("Message-ID = %s, want %s", got, want)
	}
	if got, want := h.Get("List-Unsubscribe"), fmt.Sprintf("<%s>, <%s>", p.Unsubscribe, p.Mailto); got != want {
		t.Errorf("List-Unsubscribe = %s, want %s", got, want)
	}
}

// decodeParts reads text and HTML with the standard library.
func decodeParts(t *testing.T, m *mail.Message) []string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("Content-Type = %q, %v", kind, err)
	}
	var parts []string
	r := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := r.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Header.Get("Content-Type"); got != want {
			t.Errorf("part is %s, want %s", got, want)
		}
		if got := part.Header.Get("Content-Transfer-Encoding"); got != "quoted-printable" {
			t.Errorf("part is encoded as %s", got)
		}
		decoded, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.ReplaceAll(string(decoded), "\r\n", "\n"))
	}
	if _, err := r.NextRawPart(); err != io.EOF {
		t.Errorf("after the last part: %v", err)
	}
	return parts
}

// decodeWithGoMessage reads text and HTML with another library.
func decodeWithGoMessage(t *testing.T, raw []byte) []string {
	t.Helper()
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	r := e.MultipartReader()
	for {
		part, err := r.NextPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := io.ReadAll(part.Body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, strings.ReplaceAll(string(decoded), "\r\n", "\n"))
	}
}

// TestHeaderValuesCannotEscape holds that an id, a date or a link with line ends makes no new field.
func TestHeaderValuesCannotEscape(t *testing.T) {
	v := padded(t)(10)
	p := reader()
	p.Address += "\r\nBcc: x@reader.example"
	p.MessageID += ">\r\nX-Evil: 1"
	p.Unsubscribe += ">\r\nX-Evil: 2"
	p.Mailto += "\nX-Evil: 3"
	var r render.Renderer
	_, _, raw, err := r.Fill(v, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get("X-Evil") != "" || m.Header.Get("Bcc") != "" {
		t.Errorf("header = %v", m.Header)
	}
}

// TestAppendAddsToDst holds that Append leaves alone what stands before.
func TestAppendAddsToDst(t *testing.T) {
	m, err := render.Compile(padded(t)(3))
	if err != nil {
		t.Fatal(err)
	}
	alone := m.Append(nil, reader())
	if got := m.Append([]byte("before"), reader()); string(got) != "before"+string(alone) {
		t.Error("Append depends on what stands before")
	}
}

// TestCompileRefusesOtherHoles holds that a variant whose message lost or gained a hole is not sent.
func TestCompileRefusesOtherHoles(t *testing.T) {
	good := padded(t)(5)
	marker := func(letter string) string { return "hole" + good.Nonce + letter }
	tests := map[string]func(*newsletter.Variant){
		"no nonce":           func(v *newsletter.Variant) { v.Nonce = "" },
		"no message":         func(v *newsletter.Variant) { v.Message = nil },
		"a link lost":        func(v *newsletter.Variant) { v.HTML = strings.Replace(v.HTML, marker("U"), "", 1) },
		"a name gained":      func(v *newsletter.Variant) { v.Text += marker("n") },
		"another's nonce":    func(v *newsletter.Variant) { v.Nonce = "0123456789abcdef" },
		"a condition open":   func(v *newsletter.Variant) { v.Text += marker("i") },
		"a condition nested": func(v *newsletter.Variant) { v.HTML += marker("e") },
		"two addressees": func(v *newsletter.Variant) {
			v.Message = bytes.Replace(v.Message, []byte("To: "), []byte("Cc: "+marker("t")+"\r\nTo: "), 1)
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			v := good
			spoil(&v)
			if _, err := render.Compile(v); err == nil {
				t.Error("Compile took it")
			}
		})
	}
	if _, err := render.Compile(good); err != nil {
		t.Errorf("Compile(good) = %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	c := digestContent("en")
	c.Items = c.Items[:1]
	v, err := newRenderer(b, 1).Render(c)
	if err != nil {
		b.Fatal(err)
	}
	m, err := render.Compile(v)
	if err != nil {
		b.Fatal(err)
	}
	p := reader()
	dst := m.Append(nil, p)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = m.Append(dst[:0], p)
	}
}
