package render_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// earlier is the Message-ID of an alert that was sent before.
const earlier = "p2q4r6s2t4u6v2w4x6y2z4a6@news.lantern.example"

// reminderContent reminds readers of one action, and of another one in the language of other readers.
func reminderContent(lang string) newsletter.Content {
	c := alertContent(lang)
	c.Kind, c.Follows = newsletter.Reminder, true
	c.Items = []newsletter.Item{c.Items[0], persianAction()}
	return c
}

// updateContent tells of an action that was won, and of one that was not.
func updateContent(lang string) newsletter.Content {
	c := alertContent(lang)
	c.Kind, c.Follows = newsletter.Update, true
	won, ended := petition(), persianAction()
	won.Ended, won.Won = monday.Add(-time.Hour), true
	won.Ending = "Daro Venn was taken to the Sorrel Hospital on Saturday evening, eleven days after the prison doctor asked for it. " +
		"His sister has seen him there; he is weak, and he is eating.\n\n" +
		"The ministry counted 8,214 letters. Its spokesman read from one of them on the radio, from a retired tram driver in Odel, " +
		"and said that the minister had signed the transfer that afternoon."
	ended.Ended = monday.Add(-2 * time.Hour)
	ended.Ending = "دادگاه تجدیدنظر حکم مهرناز دلشاد را تأیید کرد. وکیل او می\u200cگوید امضاهای شما در پرونده ثبت شده است و راه درخواست بازنگری هنوز باز است."
	c.Items = []newsletter.Item{won, ended}
	return c
}

// persianFollowUp is a follow-up in Persian.
func persianFollowUp(kind newsletter.Kind) newsletter.Content {
	c := persianEdition(newsletter.Alert)
	c.Kind, c.Follows = kind, true
	c.Items = c.Items[:1]
	if kind == newsletter.Update {
		c.Items[0].Ended, c.Items[0].Won = monday, true
		c.Items[0].Ending = "مهرناز دلشاد دیروز عصر آزاد شد و به خانه برگشت.\n\nوکیلش می\u200cگوید دادگاه همهٔ ۴۳۱۲ امضا را در پرونده ثبت کرده است."
	}
	return c
}

// following is the reader of an alert, who gets what follows it.
func following() newsletter.Personal {
	p := reader()
	p.Follows = earlier
	return p
}

// inOrder holds that a text says some things, one after the other.
func inOrder(t *testing.T, part string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		_, after, found := strings.Cut(part, want)
		if !found {
			t.Errorf("%q is missing, or stands too early", want)
			continue
		}
		part = after
	}
}

// TestReminder holds that a reminder says that there is time and until when, what it is about and how to act, and thanks who has acted.
func TestReminder(t *testing.T) {
	html, text, raw := rendered(t, newRenderer(t, 1), reminderContent("en"))
	for _, part := range []string{text, html[strings.Index(html, "Dear"):]} {
		inOrder(t, part, "What we wrote to you about is still open", "Ask Corvania’s", "Closes Tuesday 1 December 2026, 18:59 EST", "a signature is missing",
			"petitions.example/daro-venn", "there is nothing more to do", "https://lantern.example/2026/11/who-is-daro-venn", "مهرناز دلشاد", "petitions.example/delshad", "You receive")
	}
	if strings.Contains(html, "<img") {
		t.Error("a reminder shows the picture again")
	}
	if got := header(t, raw).Get("Feedback-ID"); got != "20261130:act:reminder:newslanternexam" {
		t.Errorf("Feedback-ID = %s", got)
	}
	if !strings.Contains(html, `class="preheader" lang="en" dir="ltr" style="display:none;max-height:0;max-width:0;overflow:hidden;mso-hide:all">Closes Tuesday`) {
		t.Error("the preheader does not begin with the deadline")
	}
}

// TestUpdate holds that an update tells how each action ended, and asks for nothing any more.
func TestUpdate(t *testing.T) {
	html, text, raw := rendered(t, newRenderer(t, 1), updateContent("en"))
	for part, won := range map[string]string{text: "WON", html[strings.Index(html, "Dear"):]: ">Won<"} {
		inOrder(t, part, "there is good news", won, "Ask Corvania’s", "he is weak, and he is", "8,214 letters", "Thank you to everyone who acted", "https://lantern.example/2026/11/who-is-daro-venn",
			"این فراخوان پایان یافته است", "برای آزادی", "https://lantern.example/fa/2026/11/delshad", "You receive")
		for _, stale := range []string{"petitions.example", "Act now", "همراه شوید", "Closes", "a signature is missing"} {
			if strings.Contains(part, stale) {
				t.Errorf("an update says %q", stale)
			}
		}
	}
	if got := header(t, raw).Get("Feedback-ID"); got != "20261130:act:update:newslanternexam" {
		t.Errorf("Feedback-ID = %s", got)
	}
}

// TestUpdateWithoutWords holds that an action which has ended without more to say about it makes a mail of its own kind, not of the other.
func TestUpdateWithoutWords(t *testing.T) {
	for name, tt := range map[string]struct {
		won       bool
		says, not string
	}{
		"won":   {true, "We asked you to act, and now there is good news.", "This action has ended"},
		"ended": {false, "This action has ended", "good news"},
	} {
		t.Run(name, func(t *testing.T) {
			c := updateContent("en")
			c.Items = c.Items[:1]
			c.Items[0].Won, c.Items[0].Ending = tt.won, " \r\n "
			html, text, _ := rendered(t, newRenderer(t, 1), c)
			for _, part := range []string{html, strings.ReplaceAll(text, "THIS ACTION HAS ENDED", "This action has ended")} {
				if !strings.Contains(part, tt.says) || strings.Contains(part, tt.not) {
					t.Errorf("lacks %q or says %q:\n%s", tt.says, tt.not, part)
				}
			}
		})
	}
}

// TestSubjectOfFollowUps holds that the subject says what has become of the first action, in its language, whatever the list's subject is.
func TestSubjectOfFollowUps(t *testing.T) {
	ended := updateContent("en")
	ended.Items[0].Won = false
	inPersian := reminderContent("en")
	inPersian.Items = inPersian.Items[1:]
	inEnglish := persianFollowUp(newsletter.Reminder)
	inEnglish.Items = []newsletter.Item{petition()}
	long := reminderContent("en")
	long.Items[0].Title = strings.Repeat("word by word ", 20)
	tests := map[string]struct {
		content newsletter.Content
		want    string
	}{
		"reminder":                 {reminderContent("en"), "Still open: Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor"},
		"won":                      {updateContent("en"), "Won: Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor"},
		"ended":                    {ended, "Ended: Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor"},
		"Persian":                  {persianFollowUp(newsletter.Update), "به نتیجه رسید: برای آزادی مهرناز دلشاد امضا کنید"},
		"Persian action elsewhere": {inPersian, "هنوز فرصت هست: برای آزادی مهرناز دلشاد امضا کنید"},
		"English action elsewhere": {inEnglish, "Still open: Ask Corvania’s Justice Minister to Let Daro Venn See a Doctor"},
		"too long":                 {long, "Still open: " + strings.Repeat("word by word ", 10) + "word…"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.content.List.Subject = "{{.List}} of {{.Date}}"
			v, err := newRenderer(t, 1).Render(tt.content)
			if err != nil || v.Subject != tt.want {
				t.Errorf("Subject = %q, %v, want %q", v.Subject, err, tt.want)
			}
		})
	}
}

// TestBrokenOverrideOfFollowUps holds that a mistake in an admin's own template shows at once, in a part for either ending too.
func TestBrokenOverrideOfFollowUps(t *testing.T) {
	whole := "{{.Unsubscribe}} {{.PostalAddress}}"
	tests := map[string]struct{ file, source, want string }{
		"reminder":            {"mail/reminder.html", "\n{{.Titel}}", "mail/reminder.html:2"},
		"reminder's text":     {"mail/reminder.txt", "{{.PostalAddress}}", "mail/reminder.txt: the template must print {{.Unsubscribe}}"},
		"update":              {"mail/update.txt", "{{.Titel}}", "mail/update.txt:1"},
		"update of a victory": {"mail/update.txt", whole + "{{if .Lead.Won}}{{.Titel}}{{end}}", "mail/update.txt:1"},
		"update of another":   {"mail/update.html", whole + "\n{{if .Lead.Won}}{{else}}{{.Titel}}{{end}}", "mail/update.html:2"},
		"digest's reminders":  {"mail/digest.txt", whole + "{{range .Reminders}}{{.Titel}}{{end}}", "mail/digest.txt:1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render.New(templateFiles(t, map[string]string{tt.file: tt.source}), publisher(), dice(1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

// TestMissingTemplateOfFollowUps holds that each kind's templates are asked for at the start.
func TestMissingTemplateOfFollowUps(t *testing.T) {
	for _, name := range []string{"mail/reminder.html", "mail/reminder.txt", "mail/update.html", "mail/update.txt"} {
		if _, err := render.New(without{os.DirFS("../../templates"), name}, publisher(), dice(1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("New without %s = %v", name, err)
		}
	}
}

// without is a file system that lacks one file.
type without struct {
	fs.FS
	name string
}

func (w without) Open(name string) (fs.File, error) {
	if name == w.name {
		return nil, fs.ErrNotExist
	}
	return w.FS.Open(name)
}
