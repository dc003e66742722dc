package render

import (
	"time"

	"dispatcher/internal/newsletter"
)

// sample is content that makes each template walk all its branches.
func sample(kind newsletter.Kind, lang string) newsletter.Content {
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
	return newsletter.Content{
		List:     newsletter.List{ID: "sample", Kind: kind, Title: "A list", Description: "A description.", Zone: time.UTC},
		Language: lang,
		Items:    []newsletter.Item{article(1), article(2), action(3), action(4), found, bare},
		Moment:   moment,
	}
}
