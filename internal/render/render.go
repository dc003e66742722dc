// Package render turns content into mail: subject, HTML and text from templates, and one message per variant with
// holes for what differs from reader to reader. Splicing a reader's parts into the holes is all that is left to do
// when a copy is sent. The HTML is made here, once, and preview, archive and mail show the same bytes.
package render

import (
	"errors"
	"fmt"
	"html"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/vanng822/go-premailer/premailer"

	"dispatcher/internal/newsletter"
)

const (
	maxHTML    = 90_000 // bytes; Gmail cuts a mail at 102 kB, and with it the way to leave
	maxSubject = 150    // runes
)

// Reasons why templates or content make no mail.
var (
	errNoItems    = errors.New("there are no items to render")
	errNoAction   = errors.New("reminders and updates are about actions alone")
	errTooLarge   = fmt.Errorf("the HTML is larger than %d bytes even with one item: shorten the templates", maxHTML)
	errNoWayOut   = errors.New("the template must print {{.Unsubscribe}}: every mail says how to leave")
	errNoAddress  = errors.New("the template must print {{.PostalAddress}}: the law asks for it")
	errOneElement = errors.New(`only one <style> may be inlined; mark the others with data-premailer="ignore"`)
)

// Renderer renders content with one set of templates for one publisher. It may be used by several goroutines at
// once if its source of randomness may.
type Renderer struct {
	publisher newsletter.Publisher
	random    io.Reader
	words     *catalogue
	html      map[newsletter.Kind]*htmltemplate.Template
	text      map[newsletter.Kind]*texttemplate.Template
}

// New reads all mail templates and words and tries each in each language, so that a mistake in them shows now and not
// when an edition is due. Nonces are read from random.
func New(files fs.FS, publisher newsletter.Publisher, random io.Reader) (*Renderer, error) {
	words, err := loadWords(files)
	if err != nil {
		return nil, err
	}
	r := &Renderer{
		publisher, random, words,
		map[newsletter.Kind]*htmltemplate.Template{},
		map[newsletter.Kind]*texttemplate.Template{},
	}
	for _, kind := range []newsletter.Kind{newsletter.Digest, newsletter.Alert, newsletter.Reminder, newsletter.Update} {
		if err := r.parse(files, kind); err != nil {
			return nil, fmt.Errorf("reading templates: %w; correct that line, or remove the file from the templates folder to have the built-in one", err)
		}
		for _, w := range words.words {
			for _, c := range samples(kind, w.tag.String()) {
				if err := r.try(c); err != nil {
					return nil, fmt.Errorf("trying the %s templates in %q: %w; correct them, or remove them from the templates folder to have the built-in ones", kind, w.tag, err)
				}
			}
		}
	}
	return r, nil
}

// parse reads the templates of a kind, after the parts that all kinds share, so that it may define one of them anew.
func (r *Renderer) parse(files fs.FS, kind newsletter.Kind) error {
	html := htmltemplate.New("").Funcs(htmltemplate.FuncMap{"mso": mso})
	for _, name := range []string{"mail/style.html", "mail/parts.html", "mail/" + string(kind) + ".html"} {
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if html, err = html.New(name).Parse(string(source)); err != nil {
			return err
		}
	}
	text := texttemplate.New("").Funcs(texttemplate.FuncMap{"wrap": wrap, "rule": rule, "upper": strings.ToUpper})
	for _, name := range []string{"mail/parts.txt", "mail/" + string(kind) + ".txt"} {
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if text, err = text.New(name).Parse(string(source)); err != nil {
			return err
		}
	}
	r.html[kind], r.text[kind] = html, text
	return nil
}

// mso wraps HTML so that only Outlook on Windows sees it. It is a function because html/template drops comments.
func mso(html string) htmltemplate.HTML {
	return htmltemplate.HTML("<!--[if mso]>" + html + "<![endif]-->")
}

// try renders a sample and looks for what no mail may lack.
func (r *Renderer) try(c newsletter.Content) error {
	v, err := r.Render(c)
	if err != nil {
		return err
	}
	address := newsletter.OneLine(r.publisher.PostalAddress, 0)
	for _, part := range []struct{ name, text, link string }{
		{"html", html.UnescapeString(v.HTML), marks{v.Nonce}.hole(holeHTMLLink)},
		{"txt", v.Text, marks{v.Nonce}.hole(holeTextLink)},
	} {
		err := errNoWayOut
		if strings.Contains(part.text, part.link) {
			err = errNoAddress
			if strings.Contains(newsletter.OneLine(part.text, 0), address) {
				continue
			}
		}
		return fmt.Errorf("mail/%s.%s: %w", c.Kind, part.name, err)
	}
	return nil
}

// Render renders one variant. The caller gives it its ID and Until.
func (r *Renderer) Render(c newsletter.Content) (newsletter.Variant, error) {
	v, err := r.render(c)
	if err != nil {
		return newsletter.Variant{}, fmt.Errorf("rendering list %s: %w", c.List.ID, err)
	}
	return v, nil
}

func (r *Renderer) render(c newsletter.Content) (newsletter.Variant, error) {
	c, err := r.complete(c)
	if err != nil {
		return newsletter.Variant{}, err
	}
	marks, err := drawMarks(r.random)
	if err != nil {
		return newsletter.Variant{}, err
	}
	l := layout{content: c, words: r.words.best(c.Language), all: r.words, zone: c.List.Zone, marks: marks}
	if l.zone == nil {
		l.zone = time.UTC
	}
	subject, err := l.subject(r.publisher)
	if err != nil {
		return newsletter.Variant{}, err
	}
	html, text, err := r.fit(l, subject)
	if err != nil {
		return newsletter.Variant{}, err
	}
	message, err := letter{r.publisher, c, subject, text, html, marks}.encode()
	if err != nil {
		return newsletter.Variant{}, err
	}
	v := newsletter.Variant{Language: c.Language, Subject: subject, HTML: html, Text: text, Message: message, Nonce: marks.nonce}
	_, err = Compile(v)
	return v, err
}

// complete says what a content leaves to its list, and refuses one that makes no mail.
func (r *Renderer) complete(c newsletter.Content) (newsletter.Content, error) {
	if c.Kind == "" {
		c.Kind = c.List.Kind
	}
	if c.Language == "" {
		c.Language = c.List.Language
	}
	c.Reminders = c.Reminders[:min(len(c.Reminders), maxReminders)]
	followsUp := c.Kind == newsletter.Reminder || c.Kind == newsletter.Update
	switch {
	case len(c.Items) == 0:
		return c, errNoItems
	case r.html[c.Kind] == nil:
		return c, fmt.Errorf("there is no template for the kind %q", c.Kind)
	case followsUp && slices.ContainsFunc(c.Items, func(i newsletter.Item) bool { return i.Kind != newsletter.Action }):
		return c, errNoAction
	}
	return c, nil
}

// fit renders both parts, with as many items in full as the size of the HTML allows.
func (r *Renderer) fit(l layout, subject string) (html, text string, err error) {
	attempt := func(shrunk int) bool {
		if err == nil {
			html, err = r.renderHTML(l, subject, shrunk)
		}
		return err != nil || len(html) <= maxHTML
	}
	most := len(l.content.Reminders) + 2*len(l.content.Items) // by then all but the lead have lost their place
	shrunk := 0
	if !attempt(0) {
		shrunk = sort.Search(most, attempt)
		attempt(shrunk)
	}
	if err == nil && len(html) > maxHTML {
		err = errTooLarge
	}
	if err != nil {
		return "", "", err
	}
	text, err = r.renderText(l, subject, shrunk)
	return html, text, err
}

func (r *Renderer) renderHTML(l layout, subject string, shrunk int) (string, error) {
	l.html = true
	var b strings.Builder
	if err := r.html[l.content.Kind].Execute(&b, l.page(r.publisher, subject, shrunk)); err != nil {
		return "", err
	}
	return inline(b.String())
}

func (r *Renderer) renderText(l layout, subject string, shrunk int) (string, error) {
	var b strings.Builder
	if err := r.text[l.content.Kind].Execute(&b, l.page(r.publisher, subject, shrunk)); err != nil {
		return "", err
	}
	return tidy(b.String()), nil
}

// inline moves the rules of the one <style> without data-premailer="ignore" into style attributes, for mail programs that drop
// style sheets. The inliner reads several of them at once and in no order, so there may be one only; what it would get wrong
// (media queries, selectors that match nothing yet) stands in an ignored one and stays as it is.
func inline(html string) (string, error) {
	if inlinedStyles(html) > 1 {
		return "", errOneElement
	}
	p, err := premailer.NewPremailerFromString(html, premailer.NewOptions())
	if err != nil {
		return "", fmt.Errorf("reading HTML to inline its style: %w", err)
	}
	inlined, err := p.Transform()
	if err != nil {
		return "", fmt.Errorf("inlining style: %w", err)
	}
	return strings.ReplaceAll(inlined, "<style "+keepStyle, "<style"), nil
}

const keepStyle = `data-premailer="ignore"`

// inlinedStyles counts the style elements that the inliner would read: those outside comments that do not ask to be kept.
func inlinedStyles(html string) int {
	n := 0
	for html != "" {
		seen, comment, _ := strings.Cut(html, "<!--")
		n += strings.Count(seen, "<style") - strings.Count(seen, "<style "+keepStyle)
		_, html, _ = strings.Cut(comment, "-->")
	}
	return n
}

// Fill puts one reader's personal parts into a variant for a look at it: what it returns are the bytes that she gets
// by mail, the parts decoded and the message whole.
func (r *Renderer) Fill(v newsletter.Variant, p newsletter.Personal) (html, text string, message []byte, err error) {
	m, err := Compile(v)
	if err != nil {
		return "", "", nil, err
	}
	var parts [2]string
	for i, part := range []string{v.HTML, v.Text} {
		pieces, _, err := cut([]byte(part), v.Nonce, false)
		if err != nil {
			return "", "", nil, err
		}
		parts[i] = string(appendPlain(nil, pieces, p))
	}
	return parts[0], parts[1], m.Append(nil, p), nil
}
