package render

import (
	"time"

	"dispatcher/internal/newsletter"
)

// samples are contents that make the templates of a kind walk all their branches.
func samples(kind newsletter.Kind, lang string) []newsletter.Content {
	moment := time.Date(2026, time.November, 30, 9, 0, 0, 0, time.UTC)
	article := func(id newsletter.ItemID) newsletter.Item {
		return newsletter.Item{
			ID: id, Kind: newsletter.Article, URL: "https://magazine.example/story", Title: "A title", Summary: "A summary.", Published: moment,
			Author: "An author", Image: "https://magazine.example/picture.jpg", ImageAlt: "A picture", Topics: []string{"A topic"}, Language: lang,
		}
	}
	action := func(id newsletter.ItemID) newsletter.Item {
		i := article(id)
		i.Kind, i.Petition, i.Urgent = newsletter.Action, "https://petition.example/sign", true
		i.Deadline = moment.Add(48 * time.Hour)
		i.Body = "<p>A paragraph.</p>"
		return i
	}
	found, bare := action(5), newsletter.Item{ID: 6, Kind: newsletter.Article, Title: "عنوان", URL: "https://magazine.example/fa"}
	found.Parent = 1
	c := newsletter.Content{
		List:     newsletter.List{ID: "sample", Title: "A list", Description: "A description.", Zone: time.UTC},
		Kind:     kind,
		Language: lang,
		Moment:   moment,
	}
	switch kind {
	case newsletter.Digest:
		c.Items, c.Reminders = []newsletter.Item{article(1), article(2), action(3), action(4), found, bare}, []newsletter.Item{action(7)}
	case newsletter.Reminder:
		c.Items = []newsletter.Item{action(3), action(4), found}
	case newsletter.Update:
		won, ended := action(3), action(4)
		won.Won, won.Ending, ended.Ending = true, "A paragraph.\n\nAnother.", "A paragraph."
		c.Items = []newsletter.Item{won, ended}
		other := c
		other.Items = []newsletter.Item{ended, won}
		return []newsletter.Content{c, other}
	default:
		c.Items = []newsletter.Item{article(1), article(2), action(3), action(4), found, bare}
	}
	return []newsletter.Content{c}
}
