package ingest

import (
	"net/url"
	"strings"

	"github.com/mmcdole/gofeed"
	ext "github.com/mmcdole/gofeed/extensions"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// leadImage finds the picture of an entry: the one that the feed names, else the first in the text; and its description,
// where the text shows the same picture with one.
func leadImage(e *gofeed.Item, body, excerpt content, self *url.URL) (src, alt string) {
	pictures := append(body.images(), excerpt.images()...)
	for _, named := range namedImages(e) {
		src = absoluteLink(self, named)
		if src == "" || isAvatar(src) || leadsToAny(src, trackers) {
			continue
		}
		for _, p := range pictures {
			if samePage(p.url, src) {
				return src, p.text
			}
		}
		return src, ""
	}
	if len(pictures) > 0 {
		return pictures[0].url, pictures[0].text
	}
	return "", ""
}

// images lists the pictures of a text with their descriptions.
func (c content) images() []link {
	var images []link
	for n := range c.root.Descendants() {
		if n.Type == html.ElementNode && n.DataAtom == atom.Img {
			images = append(images, link{attribute(n.Attr, "src"), attribute(n.Attr, "alt")})
		}
	}
	return images
}

// namedImages lists what the feed itself calls the entry's picture, the surest first: an enclosure, Media RSS, and what
// JSON Feed and podcasts have.
func namedImages(e *gofeed.Item) []string {
	var named []string
	for _, enclosure := range e.Enclosures {
		if strings.HasPrefix(strings.ToLower(enclosure.Type), "image/") {
			named = append(named, enclosure.URL)
		}
	}
	media := e.Extensions["media"]
	groups := append([]map[string][]ext.Extension{media}, childrenOf(media["group"])...)
	for _, element := range []string{"content", "thumbnail"} {
		for _, group := range groups {
			named = append(named, mediaURLs(group, element)...)
		}
	}
	for _, nested := range childrenOf(media["content"]) {
		named = append(named, mediaURLs(nested, "thumbnail")...)
	}
	if e.Image != nil {
		named = append(named, e.Image.URL)
	}
	return named
}

func childrenOf(elements []ext.Extension) []map[string][]ext.Extension {
	var children []map[string][]ext.Extension
	for _, e := range elements {
		children = append(children, e.Children)
	}
	return children
}

// mediaURLs lists the pictures among the Media RSS elements of one name.
func mediaURLs(group map[string][]ext.Extension, element string) []string {
	var urls []string
	for _, m := range group[element] {
		kind := strings.ToLower(m.Attrs["medium"] + m.Attrs["type"])
		if element == "thumbnail" || strings.Contains(kind, "image") || kind == "" && picture.MatchString(m.Attrs["url"]) {
			urls = append(urls, m.Attrs["url"])
		}
	}
	return urls
}
