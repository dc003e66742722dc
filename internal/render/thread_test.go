package render_test

import (
	"bytes"
	"maps"
	"net/mail"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// inThread renders the padded templates as an answer to an earlier message, or not.
func inThread(t testing.TB, follows bool) newsletter.Variant {
	t.Helper()
	c := digestContent("en")
	c.List.Description, c.Follows = "xxx", follows
	v, err := paddedRenderer(t).Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestThread holds that a message names the one it answers in both fields (RFC 5322 section 3.6.4), as two parsers that did not
// write it read them, and is otherwise like one that answers none.
func TestThread(t *testing.T) {
	alone := checkThread(t, inThread(t, false), following())
	answer := checkThread(t, inThread(t, true), following())
	want := maps.Clone(alone)
	want["In-Reply-To"], want["References"] = []string{"<" + earlier + ">"}, []string{"<" + earlier + ">"}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Errorf("header of an answer (-want +got):\n%s", diff)
	}
}

// TestThreadWithoutMessage holds that a copy of which no earlier message is known leaves both fields out: neither may be empty.
func TestThreadWithoutMessage(t *testing.T) {
	alone := checkThread(t, inThread(t, false), reader())
	for name, id := range map[string]string{"none": "", "nothing of it is lawful": "\r\n <> "} {
		t.Run(name, func(t *testing.T) {
			p := reader()
			p.Follows = id
			if diff := cmp.Diff(alone, checkThread(t, inThread(t, true), p)); diff != "" {
				t.Errorf("header (-of a message that answers none +got):\n%s", diff)
			}
		})
	}
}

// TestThreadCannotEscape holds that an id with line ends makes no new field.
func TestThreadCannotEscape(t *testing.T) {
	p := reader()
	p.Follows = "1@a.example>\r\nBcc: all@reader.example\r\nX-Evil: <"
	h := checkThread(t, inThread(t, true), p)
	if got, want := h.Get("In-Reply-To"), "<1@a.exampleBcc:all@reader.exampleX-Evil:>"; got != want || h.Get("References") != want {
		t.Errorf("In-Reply-To = %q, References = %q, want %q", got, h.Get("References"), want)
	}
	if h.Get("Bcc") != "" || h.Get("X-Evil") != "" {
		t.Errorf("header = %v", h)
	}
}

// checkThread splices one reader's message, plain and stuffed, and takes its header apart.
func checkThread(t *testing.T, v newsletter.Variant, p newsletter.Personal) mail.Header {
	t.Helper()
	m, err := render.Compile(v)
	if err != nil {
		t.Fatal(err)
	}
	raw := m.Append(nil, p)
	if !bytes.Equal(newsletter.DotStuff(raw), m.AppendStuffed(nil, p)) {
		t.Error("the stuffed message differs by more than dots")
	}
	if bytes.Contains(raw, []byte("hole"+v.Nonce)) {
		t.Error("a marker was left")
	}
	checkMessage(t, v, p)
	h := header(t, raw)
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"In-Reply-To", "References"} {
		if got := e.Header.Get(field); got != h.Get(field) {
			t.Errorf("%s is %q for go-message and %q for net/mail", field, got, h.Get(field))
		}
	}
	return h
}

// TestCompileRefusesHalfAThread holds that the fields of a thread are whole, or the variant is not sent.
func TestCompileRefusesHalfAThread(t *testing.T) {
	good := inThread(t, true)
	marker := "hole" + good.Nonce + "r"
	for name, change := range map[string][2]string{
		"one field lost":         {"References: " + marker + "\r\n", ""},
		"both in one":            {"References: " + marker + "\r\n", "References: " + marker + " " + marker + "\r\n"},
		"text behind":            {"In-Reply-To: " + marker, "In-Reply-To: " + marker + " x"},
		"a hole behind":          {"In-Reply-To: " + marker, "In-Reply-To: " + marker + "hole" + good.Nonce + "m"},
		"nothing before":         {"Auto-Submitted: auto-generated\r\n", marker + "\r\n"},
		"in the body":            {"\r\n\r\n", "\r\n\r\n" + marker},
		"another one's nonce":    {"In-Reply-To: hole", "In-Reply-To: hola"},
		"twice the message's id": {"In-Reply-To: " + marker, "In-Reply-To: hole" + good.Nonce + "m"},
	} {
		t.Run(name, func(t *testing.T) {
			v := good
			v.Message = bytes.Replace(v.Message, []byte(change[0]), []byte(change[1]), 1)
			if bytes.Equal(v.Message, good.Message) {
				t.Fatalf("the message lacks %q", change[0])
			}
			if _, err := render.Compile(v); err == nil || !strings.Contains(err.Error(), "holes") {
				t.Errorf("Compile = %v", err)
			}
		})
	}
}

// TestAppendInThreadAllocatesNothing holds that an answer costs no more memory than another message.
func TestAppendInThreadAllocatesNothing(t *testing.T) {
	m, err := render.Compile(inThread(t, true))
	if err != nil {
		t.Fatal(err)
	}
	p := following()
	dst := m.AppendStuffed(nil, p)
	if n := testing.AllocsPerRun(100, func() { dst = m.AppendStuffed(dst[:0], p) }); n > 0 {
		t.Errorf("an answer costs %v allocations", n)
	}
}
