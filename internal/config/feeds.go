package config

import (
	"net/url"
	"time"

	"dispatcher/internal/newsletter"
)

func (c *checker) feeds() {
	taken := map[string]string{}
	for i := range c.cfg.Feeds {
		key := element("feeds", i)
		feed := &c.cfg.Feeds[i]
		c.feedAddress(key, feed)
		c.oneLine(child(key, "name"), feed.Name)
		c.unique(taken, child(key, "name"), feed.Name)
		c.feedLimits(key, feed)
		c.texts(child(key, "topics"), feed.Topics)
		c.texts(child(key, "exclude.categories"), feed.Exclude.Categories)
		c.texts(child(key, "exclude.title_prefixes"), feed.Exclude.TitlePrefixes)
		c.texts(child(key, "actions.categories"), feed.Actions.Categories)
		c.texts(child(key, "actions.title_prefixes"), feed.Actions.TitlePrefixes)
		c.texts(child(key, "actions.paragraph_prefixes"), feed.Actions.ParagraphPrefixes)
		c.texts(child(key, "actions.urgent_categories"), feed.Actions.UrgentCategories)
	}
}

func (c *checker) feedAddress(key string, feed *Feed) {
	if feed.URL == "" {
		c.missing(child(key, "url"), "give the address of the feed")
		return
	}
	u, ok := c.webAddress(child(key, "url"), feed.URL)
	if ok && feed.Name == "" {
		feed.Name = feedName(u)
	}
}

// feedName is what a feed without a name is called: its host and path.
func feedName(u *url.URL) string {
	name := u.Hostname()
	if path := newsletter.Slug(u.Path); path != "" {
		name += "-" + path
	}
	return name
}

func (c *checker) feedLimits(key string, feed *Feed) {
	c.atLeast(child(key, "poll"), feed.Poll, time.Minute)
	c.positive(child(key, "max_new"), feed.MaxNew)
	c.atLeast(child(key, "max_age"), feed.MaxAge, time.Minute)
	c.atLeast(child(key, "actions.default_life"), feed.Actions.DefaultLife, time.Minute)
}

func (c *checker) atLeast(key string, d, least time.Duration) {
	if d < least {
		c.problem(key, spell(d), "is too short", "write "+spell(least)+" or more")
	}
}
