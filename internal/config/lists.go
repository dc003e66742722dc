package config

import (
	"strconv"
	"strings"
	"text/template/parse"
	"time"
	_ "time/tzdata" // zones must load on a machine that has no zone files

	"dispatcher/internal/newsletter"
)

func (c *checker) topics() {
	taken := map[string]string{}
	for i := range c.cfg.Topics {
		key := element("topics", i)
		topic := &c.cfg.Topics[i]
		c.id(taken, child(key, "id"), topic.ID)
		if topic.Title == "" {
			topic.Title = titleOf(topic.ID)
		}
		c.oneLine(child(key, "title"), topic.Title)
		c.texts(child(key, "categories"), topic.Categories)
	}
}

func (c *checker) lists() {
	if len(c.cfg.Lists) == 0 {
		c.missing("lists", "give at least one list that readers can subscribe to")
	}
	taken := map[string]string{}
	for i := range c.cfg.Lists {
		key := element("lists", i)
		list := &c.cfg.Lists[i]
		c.id(taken, child(key, "id"), list.ID)
		if list.Title == "" {
			list.Title = titleOf(list.ID)
		}
		c.oneLine(child(key, "title"), list.Title)
		c.oneLine(child(key, "description"), list.Description)
		c.kindAndSchedule(key, list)
		c.zone(key, list)
		c.slots(key, list)
		c.listTopics(child(key, "topics"), list.Topics)
		c.listLimits(key, list)
		c.looks(key, list)
	}
	c.formerIDs(taken)
}

// formerIDs checks what the lists were called before. Taken maps the ids of today to their keys.
func (c *checker) formerIDs(taken map[string]string) {
	former := map[string]string{}
	for i, list := range c.cfg.Lists {
		key := child(element("lists", i), "was")
		switch {
		case list.Was == "":
			continue
		case list.Was == list.ID:
			c.problem(key, list.Was, "is the id that the list has now", "write the id that it had before, or take the line out")
		case !plausibleID(list.Was):
			c.problem(key, list.Was, "is not an id", idCure)
		case taken[list.Was] != "":
			c.problem(key, list.Was, "is the id of another list, "+taken[list.Was], "a list that was renamed leaves its old id to nobody: give the other list an id of its own")
		}
		c.unique(former, key, list.Was)
	}
}

func (c *checker) kindAndSchedule(key string, list *List) {
	kindKey, scheduleKey := child(key, "kind"), child(key, "schedule")
	if list.Kind == "" {
		list.Kind = newsletter.Digest
	}
	c.oneOf(kindKey, string(list.Kind), string(newsletter.Digest), string(newsletter.Alert))
	switch {
	case list.Kind == newsletter.Alert && list.Schedule != "":
		c.problem(scheduleKey, list.Schedule, "is on an alert list, which is mailed whenever an action is urgent", "take the schedule out, or make the kind digest")
		return
	case list.Kind == newsletter.Digest && list.Schedule == "" && !list.Retired:
		c.warn(kindKey, "", "is a digest without a schedule, so it is sent by hand alone", `give it a schedule such as "Mon 09:00"`)
	}
	if list.Schedule == "" {
		return
	}
	line, err := cronLine(list.Schedule)
	if err != nil {
		what, cure := explain(err)
		c.problem(scheduleKey, list.Schedule, what, cure)
		return
	}
	list.Schedule = line
}

// localClock is the timezone of a list whose schedule is on each reader's own clock.
const localClock = "subscriber"

// zone settles on whose clock a list's schedule is.
func (c *checker) zone(key string, list *List) {
	zoneKey, defaultKey := child(key, "timezone"), child(key, "default_timezone")
	switch {
	case list.Timezone == localClock && list.Kind == newsletter.Alert:
		c.problem(zoneKey, list.Timezone, "is on an alert list, which has no schedule: alerts go at once, and quiet hours are on each reader's own clock anyway", "name the zone that counts for readers whose own is not known, such as America/New_York")
	case list.Timezone == localClock:
		c.localZone(defaultKey, list)
	default:
		c.fixedZone(zoneKey, list)
		c.idleZone(defaultKey, list)
	}
}

func (c *checker) localZone(key string, list *List) {
	list.Local = true
	if list.DefaultTimezone == "" {
		list.DefaultTimezone = "UTC"
		if list.Schedule != "" && !list.Retired {
			c.warn(key, "", "is not given, so the schedule is read as UTC for readers whose zone is not known", "name the zone of most of your readers, such as America/New_York")
		}
	}
	list.Zone = c.location(key, list.DefaultTimezone)
}

func (c *checker) fixedZone(key string, list *List) {
	if list.Timezone == "" {
		list.Timezone = "UTC"
		switch {
		case list.Retired:
		case list.Schedule != "":
			c.warn(key, "", "is not given, so the schedule is read as UTC", "name the zone of your readers, such as America/New_York")
		case list.Kind == newsletter.Alert && c.cfg.Alerts.QuietHours != QuietHours{}:
			c.warn(key, "", "is not given, so alerts.quiet_hours are read as UTC for readers whose zone is not known", "name the zone of most of your readers, such as America/New_York")
		}
	}
	if near := nearest(list.Timezone, []string{localClock}); near != "" && list.Kind == newsletter.Digest {
		c.problem(key, list.Timezone, "is not the name of a zone", didYouMean(list.Timezone, []string{near}))
		return
	}
	list.Zone = c.location(key, list.Timezone)
}

// idleZone looks at a default zone that nothing uses.
func (c *checker) idleZone(key string, list *List) {
	if list.DefaultTimezone == "" {
		return
	}
	c.location(key, list.DefaultTimezone)
	cure := "write timezone: " + localClock + ", or take it out"
	if list.Kind == newsletter.Alert {
		cure = "write that zone under timezone"
	}
	c.warn(key, list.DefaultTimezone, "has no effect without timezone: "+localClock, cure)
}

// slots checks what becomes of slots that are late, and when reminders come.
func (c *checker) slots(key string, list *List) {
	missedKey, latenessKey, reminderKey := child(key, "on_missed"), child(key, "max_lateness"), child(key, "reminder")
	c.oneOf(missedKey, string(list.OnMissed), string(newsletter.MissedLatest), string(newsletter.MissedSkip))
	c.atLeast(latenessKey, list.MaxLateness, 5*time.Minute)
	const most = 30 * day
	switch r := list.Reminder; {
	case r == 0:
	case r < time.Hour:
		c.problem(reminderKey, spell(r), "is too short", "write 1h or more, or 0s for none")
	case r > most:
		c.problem(reminderKey, spell(r), "is too long", "write "+spell(most)+" or less")
	}
	alert := list.Kind == newsletter.Alert
	switch {
	case !alert && c.source.given(reminderKey):
		c.warn(reminderKey, spell(list.Reminder), "has no effect on a digest", "take it out")
	case alert && c.source.given(missedKey):
		c.warn(missedKey, string(list.OnMissed), "has no effect on an alert list", "take it out")
	}
	if alert && c.source.given(latenessKey) {
		c.warn(latenessKey, spell(list.MaxLateness), "has no effect on an alert list, whose mail goes until its actions close", "take it out")
	}
}

// location is the zone that a name stands for. Where there is none it has told so.
func (c *checker) location(key, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" { // Local is another time on another machine
		c.problem(key, name, "is not the name of a zone", "name one as the IANA database has it, such as America/New_York or UTC")
	}
	return zone
}

// listTopics warns of a topic that is probably misspelt. It is no problem: a category of that very name matches it.
func (c *checker) listTopics(key string, wanted []string) {
	c.texts(key, wanted)
	if len(c.cfg.Topics) == 0 {
		return
	}
	var known []string
	for _, t := range c.cfg.Topics {
		known = newsletter.AddTopics(known, t.ID, t.Title)
	}
	for _, f := range c.cfg.Feeds {
		known = newsletter.AddTopics(known, f.Topics...)
	}
	for i, topic := range wanted {
		if len(newsletter.AddTopics(known, topic)) > len(known) {
			c.warn(element(key, i), topic, "is not among the topics, so readers cannot choose it and only a category of that very name matches it", didYouMean(topic, known))
		}
	}
}

func (c *checker) listLimits(key string, list *List) {
	if list.MaxItems < 0 {
		c.problem(child(key, "max_items"), strconv.Itoa(list.MaxItems), "is too small", "write a number of items, or 0 for no limit")
	}
	c.atLeast(child(key, "max_age"), list.MaxAge, time.Minute)
	if list.Kind == newsletter.Digest && c.source.given(child(key, "wait")) {
		c.warn(child(key, "wait"), spell(list.Wait), "has no effect on a digest", "take it out")
	}
}

// looks checks what decides the words and the looks of a list's mail.
func (c *checker) looks(key string, list *List) {
	c.oneLine(child(key, "subject"), list.Subject)
	tree := parse.New("subject")
	tree.Mode = parse.SkipFuncCheck // which functions there are is for the renderer to say
	if _, err := tree.Parse(list.Subject, "", "", map[string]*parse.Tree{}); err != nil {
		c.problem(child(key, "subject"), list.Subject, "is not a template", "close every {{ with }}")
	}
	if !isLanguage(list.Language) {
		c.problem(child(key, "language"), list.Language, "is not a language tag", "write one such as en, fa or pt-BR (BCP 47)")
	}
}

// id checks what names a list or topic for good. A list's id is a label of its List-Id (RFC 2919
// section 3), so it has a label's letters and length (RFC 1035 section 2.3.1).
func (c *checker) id(taken map[string]string, key, id string) {
	if id == "" {
		c.missing(key, "give it a short name for good, such as iran-weekly")
		return
	}
	if !plausibleID(id) {
		c.problem(key, id, "is not an id", idCure)
	}
	c.unique(taken, key, id)
}

const idCure = "write up to 63 lower-case letters, digits and hyphens, such as iran-weekly"

func plausibleID(id string) bool {
	odd := strings.ContainsFunc(id, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
	return !odd && len(id) <= 63 && strings.Trim(id, "-") == id
}

// titleOf makes a title of an id: "iran-weekly" is "Iran Weekly".
func titleOf(id string) string {
	words := strings.FieldsFunc(id, func(r rune) bool { return r == '-' })
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

// isLanguage checks the shape of a language tag (RFC 5646 section 2.1): letters, then subtags of up
// to eight letters and digits.
func isLanguage(tag string) bool {
	for i, part := range strings.Split(tag, "-") {
		odd := strings.ContainsFunc(part, func(r rune) bool {
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
			return !letter && (i == 0 || r < '0' || r > '9')
		})
		if odd || len(part) > 8 || part == "" || i == 0 && len(part) < 2 {
			return false
		}
	}
	return true
}

// parseName checks a name that stands for a file or a choice: no path can be made of it.
func parseName(text string) error {
	odd := strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
	if odd || text == "" {
		return &misfit{"is not a name", "write letters, digits, - and _"}
	}
	return nil
}
