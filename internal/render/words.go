package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Words are the fixed words of one language, from words/*.json. Names in braces stand for what is put in.
type Words struct {
	Direction        string     `json:"direction"` // ltr or rtl
	Digits           string     `json:"digits"`    // the ten digits, 0 first
	Weekdays         [7]string  `json:"weekdays"`  // Sunday first
	Months           [12]string `json:"months"`
	Day              string     `json:"day"`
	ShortDay         string     `json:"short_day"`
	Moment           string     `json:"moment"`
	Greeting         string     `json:"greeting"`
	GreetingNameless string     `json:"greeting_nameless"`
	Stories          Plural     `json:"stories"`
	Actions          Plural     `json:"actions"`
	Contents         string     `json:"contents"`
	ContentsBoth     string     `json:"contents_both"`
	By               string     `json:"by"`
	Read             string     `json:"read"`
	StoryBehind      string     `json:"story_behind"`
	GoesWith         string     `json:"goes_with"`
	TakeAction       string     `json:"take_action"`
	ActNow           string     `json:"act_now"`
	Closes           string     `json:"closes"`
	Urgent           string     `json:"urgent"`
	MoreStories      string     `json:"more_stories"`
	MoreActions      string     `json:"more_actions"`
	InBrief          string     `json:"in_brief"`
	More             Plural     `json:"more"`
	StillOpen        string     `json:"still_open"`
	Reminder         string     `json:"reminder"`
	Acted            string     `json:"acted"`
	GoodNews         string     `json:"good_news"`
	HowItEnded       string     `json:"how_it_ended"`
	Won              string     `json:"won"`
	Ended            string     `json:"ended"`
	Thanks           string     `json:"thanks"`
	SubjectReminder  string     `json:"subject_reminder"`
	SubjectWon       string     `json:"subject_won"`
	SubjectEnded     string     `json:"subject_ended"`
	Unsubscribe      string     `json:"unsubscribe"`
	Why              string     `json:"why"`
	Leave            string     `json:"leave"`

	tag language.Tag
}

// Plural is a phrase by the plural category of its number, in CLDR's names: "one", "few", ..., and always "other".
type Plural map[string]string

// catalogue holds the words of all languages and finds the best for a reader.
type catalogue struct {
	words   []*Words
	matcher language.Matcher
}

// loadWords reads words/*.json. English comes first: it serves where no other language does.
func loadWords(files fs.FS) (*catalogue, error) {
	names, err := fs.Glob(files, "words/*.json")
	if err != nil {
		return nil, fmt.Errorf("listing words: %w", err)
	}
	c := &catalogue{}
	for _, name := range names {
		w, err := parseWords(files, name)
		if err != nil {
			return nil, err
		}
		if w.tag == language.English {
			c.words = append([]*Words{w}, c.words...)
		} else {
			c.words = append(c.words, w)
		}
	}
	if len(c.words) == 0 || c.words[0].tag != language.English {
		return nil, errors.New("words/en.json is missing: put it back into the templates folder")
	}
	tags := make([]language.Tag, len(c.words))
	for i, w := range c.words {
		tags[i] = w.tag
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

func parseWords(files fs.FS, name string) (*Words, error) {
	source, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("reading words: %w", err)
	}
	w := &Words{}
	if w.tag, err = language.Parse(strings.TrimSuffix(path.Base(name), ".json")); err != nil {
		return nil, fmt.Errorf("%s: the file must be named for its language, such as de.json: %w", name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(source))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(w); err != nil {
		return nil, fmt.Errorf("%s%s: %w; correct the file, words/en.json shows its form", name, lineOf(source, err), err)
	}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("%s: %w; words/en.json shows what belongs there", name, err)
	}
	return w, nil
}

// lineOf is the line at which JSON went wrong, behind a colon, where the error tells it.
func lineOf(source []byte, err error) string {
	offset := int64(0)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
	}
	if offset == 0 {
		return ""
	}
	return fmt.Sprintf(":%d", 1+bytes.Count(source[:offset], []byte("\n")))
}

// check finds a key that was left out or left empty.
func (w *Words) check() error {
	v := reflect.ValueOf(w).Elem()
	for i := range v.NumField() {
		field, key := v.Field(i), v.Type().Field(i).Tag.Get("json")
		missing := false
		switch {
		case key == "":
			continue
		case field.Kind() == reflect.Array:
			for j := range field.Len() {
				missing = missing || field.Index(j).String() == ""
			}
		case field.Kind() == reflect.Map:
			missing = field.Interface().(Plural)["other"] == ""
		default:
			missing = field.String() == ""
		}
		if missing {
			return fmt.Errorf("%q is missing or not complete", key)
		}
	}
	if utf8.RuneCountInString(w.Digits) != 10 {
		return errors.New(`"digits" must be ten characters`)
	}
	if w.Direction != "ltr" && w.Direction != "rtl" {
		return errors.New(`"direction" must be "ltr" or "rtl"`)
	}
	if !strings.Contains(w.Greeting, "{name}") {
		return errors.New(`"greeting" must contain {name}`)
	}
	return nil
}

// best finds the words nearest to a language. The match's index is used: its tag is decorated.
func (c *catalogue) best(tag string) *Words {
	wanted, err := language.Parse(tag)
	if err != nil {
		return c.words[0]
	}
	_, i, _ := c.matcher.Match(wanted)
	return c.words[i]
}

// of finds the words of an item's language, or else the given ones, those of the rest of the mail.
func (c *catalogue) of(tag string, otherwise *Words) *Words {
	wanted, err := language.Parse(tag)
	if err != nil {
		return otherwise
	}
	if _, i, confidence := c.matcher.Match(wanted); confidence >= language.High {
		return c.words[i]
	}
	return otherwise
}

// number writes n in the language's digits.
func (w *Words) number(n int) string { return w.digits(fmt.Sprint(n)) }

// digits puts the language's own digits in the place of 0 to 9.
func (w *Words) digits(s string) string {
	own := []rune(w.Digits)
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return own[r-'0']
		}
		return r
	}, s)
}

// count puts a number into the phrase that goes with it.
func (w *Words) count(p Plural, n int) string {
	forms := map[plural.Form]string{plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many"}
	phrase := p[forms[plural.Cardinal.MatchPlural(w.tag, n, 0, 0, 0, 0)]]
	if phrase == "" {
		phrase = p["other"]
	}
	return put(phrase, "n", w.number(n))
}

// put replaces the names in braces: pairs are name, value, name, value.
func put(phrase string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		pairs[i] = "{" + pairs[i] + "}"
	}
	return strings.NewReplacer(pairs...).Replace(phrase)
}

// day writes a date in full, with its weekday.
func (w *Words) day(t time.Time) string { return w.date(w.Day, t) }

// shortDay writes a date without its weekday.
func (w *Words) shortDay(t time.Time) string { return w.date(w.ShortDay, t) }

func (w *Words) date(pattern string, t time.Time) string {
	return put(pattern, "weekday", w.Weekdays[t.Weekday()], "day", w.number(t.Day()), "month", w.Months[t.Month()-1], "year", w.number(t.Year()))
}

// moment writes a date and time with its zone: where the zone has no short name, its distance from UTC.
func (w *Words) moment(t time.Time) string {
	zone := t.Format("MST")
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		zone = "UTC" + t.Format("-07:00")
	}
	return put(w.Moment, "day", w.day(t), "time", w.digits(t.Format("15:04")), "zone", zone)
}
