package ingest_test

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// hostile are pieces of HTML that have run scripts in mail programs and browsers.
var hostile = []string{
	`<script>alert(1)</script>`, `<scr<script>ipt>alert(1)</scr</script>ipt>`, `<img src=x onerror=alert(1)>`, `<img src="javascript:alert(1)">`,
	`<svg/onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`, `<math><mtext></p><img src=x onerror=alert(1)></math>`, `<iframe srcdoc="<script>alert(1)</script>"></iframe>`,
	`<a href="jav&#x09;ascript:alert(1)">x</a>`, `<a href=" javascript:alert(1)">x</a>`, `<a href="vbscript:x">x</a>`, `<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>`,
	`<a href="//evil.example" onclick="x()">x</a>`, `<p style="background:url(javascript:alert(1))">x</p>`, `<style>@import 'https://evil.example/x.css';</style>`,
	`<link rel=stylesheet href=https://evil.example>`, `<meta http-equiv=refresh content="0;url=https://evil.example">`, `<base href="https://evil.example/">`,
	`<form action="https://evil.example"><input name=password></form>`, `<object data="x.swf"></object>`, `<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>`,
	`<template><script>alert(1)</script></template>`, `<![CDATA[<script>alert(1)</script>]]>`, `<!--[if mso]><script>alert(1)</script><![endif]-->`, `<p lang='"><script>alert(1)</script>'>x</p>`,
	`<plaintext><script>alert(1)</script>`, `<xmp><script>alert(1)</script></xmp>`, `<textarea></textarea><script>alert(1)</script>`, "<img src='https://cdn.example/x.png' alt='\"><script>alert(1)</script>'>",
}

// checkClean proves what newsletter.Item promises of its texts and links.
func checkClean(t *testing.T, item newsletter.Item) {
	t.Helper()
	texts := append([]string{item.Title, item.Summary, item.Author, item.ImageAlt, item.GUID, item.Reason}, item.Topics...)
	for _, text := range texts {
		if text != newsletter.OneLine(text, 0) {
			t.Errorf("%q is not clean", text)
		}
	}
	if item.Title == "" || len([]rune(item.Title)) > 300 {
		t.Errorf("title of %d characters: %q", len([]rune(item.Title)), item.Title)
	}
	for _, link := range []string{item.URL, item.Image, item.Petition} {
		if u, err := url.Parse(link); err != nil || link != "" && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			t.Errorf("link %q: %v", link, err)
		}
	}
	if item.URL == "" || item.Kind == newsletter.Action && (item.Petition == "" || item.Closes().IsZero() || len(item.Identities()) == 0) {
		t.Errorf("not a whole item: %+v", item)
	}
	if item.Published.IsZero() || item.Published.After(today.AddDate(0, 0, 1)) {
		t.Errorf("published %v", item.Published)
	}
	checkBody(t, item.Body)
}

func checkBody(t *testing.T, body string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatalf("the body does not parse: %v", err)
	}
	elements := strings.Fields("html head body p br hr div blockquote ul ol li pre h2 h3 h4 h5 h6 em strong b i u s sub sup code cite q small bdi figure figcaption a img")
	for n := range root.Descendants() {
		if n.Type == html.CommentNode || n.Type == html.ElementNode && !slices.Contains(elements, n.Data) {
			t.Errorf("the body has <%s>: %s", n.Data, body)
		}
		for _, a := range n.Attr {
			switch a.Key {
			case "href", "src":
				if !strings.HasPrefix(a.Val, "http://") && !strings.HasPrefix(a.Val, "https://") && !strings.HasPrefix(a.Val, "mailto:") {
					t.Errorf("the body has a link to %q", a.Val)
				}
			case "alt", "width", "height", "dir", "lang":
			default:
				t.Errorf("the body has the attribute %s: %s", a.Key, body)
			}
		}
	}
}

func TestHostileContentIsHarmless(t *testing.T) {
	for _, h := range hostile {
		h = strings.ReplaceAll(h, "]]>", "]]&gt;") // the feed's own CDATA sections end there
		e := entry{
			title: "A " + h + " title \r\nBcc: all", link: "https://magazine.example/x/", date: today, categories: []string{h + " x\u202e"},
			description: h, content: "<p>" + h + "</p>", extra: "<dc:creator><![CDATA[Ada " + h + "]]></dc:creator>",
		}
		for _, item := range read(t, "feed.xml", rss(e)) {
			checkClean(t, item)
		}
	}
}

func FuzzImport(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("testdata", "wordpress.xml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(rss(post("one", 1))))
	f.Add([]byte(`<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://magazine.example/"><entry><id>1</id><title>x</title><link href="y"/><content type="xhtml"><div>Take action: <a href="z">z</a></div></content></entry></feed>`))
	f.Add([]byte(`{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": "https://magazine.example/", "title": "x", "content_text": "y"}, null]}`))
	f.Add([]byte("{\"title\": \"x\", \"petition\": \"https://actions.example/1\", \"deadline\": \"2026-12-01\", \"body_markdown\": \"[a](javascript:b) <script>\"}\n{}"))
	f.Add([]byte("---\ntitle: x\nurl: https://magazine.example/\ntopics: [a, b]\n---\n**Take action:** [sign](https://actions.example/1)\n"))
	f.Fuzz(func(t *testing.T, document []byte) {
		importAny(t, string(document))
	})
}

// FuzzEntry looks behind the XML, at what an entry holds.
func FuzzEntry(f *testing.F) {
	for _, h := range hostile {
		f.Add(h+"t", "https://magazine.example/x/", "deadline-2026-12-01", h, h)
	}
	f.Add("Take Action: x", "/x", "Petition", "One. Two […]", `<p>x <a href="https://www.facebook.com/sharer?u=x">y</a></p><p>Sign <a href="//actions.example">z</a></p>`)
	f.Add("x", "https://magazine.example/", "Urgent", "", `<div>Take action: a. <a href="https://actions.example/?q=1">b</a>, c<br><br>d</div><table><tr><td>e</table><img src=/f width=1><h1>g`)
	f.Add("ش", "https://bücher.example", "ایران", "Dr. A. said “no.” Then […]", `<p>The post <a href="/">x</a> appeared first on <a href="/">y</a>.`)
	f.Fuzz(func(t *testing.T, title, link, category, description, content string) {
		e := entry{title: title, link: link, date: today, categories: []string{category}, description: description, content: content}
		for _, field := range []*string{&e.title, &e.link, &e.categories[0], &e.description, &e.content} {
			*field = strings.ReplaceAll(*field, "]]>", "]]&gt;")
		}
		importAny(t, rss(e))
	})
}

func importAny(t *testing.T, document string) {
	t.Helper()
	q := newQueue()
	_, err := newIngester(q, ingest.Settings{}).Import(t.Context(), "file", strings.NewReader(document), ingest.ImportOptions{Actions: usual, Release: true})
	var bad *ingest.ImportError
	if err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	for _, item := range q.items {
		checkClean(t, item)
	}
}
