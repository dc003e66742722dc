package render

import (
	"errors"
	"fmt"
	"strings"
	"text/template"

	"dispatcher/internal/newsletter"
)

// errEmptySubject says that a subject template makes nothing of its data.
var errEmptySubject = errors.New("the subject comes out empty")

// Subject is what a list's subject template is run on.
type Subject struct {
	Title     string // of the lead
	List      string // title of the list
	Publisher string
	Date      string // in words
	Count     int    // items
	Stories   int    // of Count
	Actions   int    // of Count
}

// subject is the mail's subject: what the list's template says, or the lead's title, which a reminder and an update put into words
// of the lead's language.
func (l layout) subject(p newsletter.Publisher) (text string, err error) {
	text = l.content.Items[0].Title
	switch {
	case l.content.Kind == newsletter.Reminder || l.content.Kind == newsletter.Update:
		text = l.followUp(l.content.Items[0])
	case l.content.List.Subject != "":
		text, err = runSubject(l.content.List.Subject, l.subjectData(p))
	}
	if text = newsletter.OneLine(text, maxSubject); text == "" {
		text = title(l.content.List)
	}
	return text, err
}

// followUp says what has become of an action since its alert.
func (l layout) followUp(i newsletter.Item) string {
	lang, _ := l.language(i)
	words := l.all.of(lang, l.words)
	phrase := words.SubjectEnded
	switch {
	case l.content.Kind == newsletter.Reminder:
		phrase = words.SubjectReminder
	case i.Won:
		phrase = words.SubjectWon
	}
	return put(phrase, "title", i.Title)
}

func (l layout) subjectData(p newsletter.Publisher) Subject {
	s := Subject{
		Title: l.content.Items[0].Title, List: title(l.content.List), Publisher: p.Name,
		Date: l.words.day(l.content.Moment.In(l.zone)), Count: len(l.content.Items),
	}
	for _, i := range l.content.Items {
		if i.Kind == newsletter.Action {
			s.Actions++
		} else {
			s.Stories++
		}
	}
	return s
}

func runSubject(source string, s Subject) (string, error) {
	t, err := template.New("subject").Parse(source)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, s); err != nil {
		return "", err
	}
	return b.String(), nil
}

// CheckSubject reports what is wrong with a list's subject template.
func (r *Renderer) CheckSubject(source string) error {
	text, err := runSubject(source, Subject{"A title", "A list", r.publisher.Name, "A day", 3, 2, 1})
	if err == nil && newsletter.OneLine(text, 0) == "" && source != "" {
		err = errEmptySubject
	}
	if err != nil {
		return fmt.Errorf("%w; a subject may use {{.Title}}, {{.List}}, {{.Publisher}}, {{.Date}}, {{.Count}}, {{.Stories}} and {{.Actions}}", err)
	}
	return nil
}
