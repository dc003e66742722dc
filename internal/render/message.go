package render

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/wneessen/go-mail"

	"dispatcher/internal/newsletter"
)

// letter is a variant as it goes to go-mail.
type letter struct {
	publisher newsletter.Publisher
	content   newsletter.Content
	subject   string
	text      string
	html      string
	marks     marks
}

// encode builds the message: multipart/alternative with the text first, UTF-8, quoted-printable. Its bytes hang on its
// contents and the nonce alone. The header fields are those of section 3.6 of RFC 5322, RFC 2369, RFC 2919 and RFC 8058;
// each is made here and stands once. They reach go-mail as ASCII that it folds at blanks and does not encode again.
func (l letter) encode() ([]byte, error) {
	m := mail.NewMsg(mail.WithBoundary("part"+l.marks.nonce), mail.WithNoDefaultUserAgent())
	p, list := l.publisher, l.content.List
	answers := p.From
	if p.ReplyTo != "" {
		answers = p.ReplyTo
		m.SetGenHeader("Reply-To", "<"+string(p.ReplyTo)+">")
	}
	m.SetGenHeader("From", named(p.Name, "From", string(p.From)))
	m.SetGenHeader("To", l.marks.hole(holeTo))
	m.SetGenHeader(mail.HeaderSubject, headerText(l.subject, "Subject"))
	m.SetGenHeader(mail.HeaderDate, l.marks.hole(holeDate))
	m.SetGenHeader(mail.HeaderMessageID, l.marks.hole(holeMessageID))
	if l.content.Follows {
		m.SetGenHeader(mail.HeaderInReplyTo, l.marks.hole(holeFollows))
		m.SetGenHeader(mail.HeaderReferences, l.marks.hole(holeFollows))
	}
	m.SetGenHeader("List-Id", named(title(list), "List-Id", p.ListID(list)))
	m.SetGenHeader(mail.HeaderListUnsubscribe, l.marks.hole(holeListUnsubscribe))
	m.SetGenHeader(mail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	m.SetGenHeader("List-Post", "NO")
	m.SetGenHeader("List-Help", "<mailto:"+string(answers)+"?subject=help>")
	m.SetGenHeader("Feedback-ID", feedbackID(p, l.content))
	m.SetGenHeader(mail.HeaderPrecedence, "bulk")
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader(mail.HeaderXAutoResponseSuppress, "OOF, AutoReply")
	m.SetBodyString(mail.TypeTextPlain, l.text)
	m.AddAlternativeString(mail.TypeTextHTML, l.html)
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("building the message: %w", err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		if len(line) > 998+len("\r\n") { // RFC 5322 section 2.1.1
			return nil, fmt.Errorf("building the message: a line of %d characters begins with %.20q", len(line), line)
		}
	}
	return b.Bytes(), nil
}

// foldingSlack is how much earlier than at maxLine go-mail folds.
const foldingSlack = 4

// named is a phrase followed by something in angle brackets: a mailbox or a list's label.
func named(phrase, field, bracketed string) string {
	phrase = newsletter.OneLine(phrase, maxName)
	if phrase == "" {
		return "<" + bracketed + ">"
	}
	return string(appendPhrase(nil, phrase, len(field)+len(": ")+foldingSlack, " ")) + " <" + bracketed + ">"
}

// headerText is unstructured text (RFC 5322 section 3.2.5), in encoded words where it must be.
func headerText(text, field string) string {
	if isASCII(text) && !strings.Contains(text, "=?") {
		return text
	}
	return string(appendWords(nil, text, len(field)+len(": ")+foldingSlack, " "))
}

// feedbackID names a mailing to Gmail's feedback loop: day, list, kind, and a sender that never changes. None of
// them says anything about the reader.
func feedbackID(p newsletter.Publisher, c newsletter.Content) string {
	list := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == ':' {
			return '-'
		}
		return r
	}, c.List.ID)
	return fmt.Sprintf("%s:%s:%s:%s", c.Moment.UTC().Format("20060102"), list, c.Kind, senderID(p))
}

// senderID is made of the letters and digits of the From domain: 5 to 15 of them, as Gmail wants it.
func senderID(p newsletter.Publisher) string {
	id := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, p.From.Domain())
	if len(id) < 5 {
		id += "news"
	}
	return id[:min(len(id), 15)]
}
