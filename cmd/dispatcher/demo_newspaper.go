package main

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	htmltemplate "html/template"
	"net/http"
	"strings"
	texttemplate "text/template"
	"time"

	"dispatcher/cmd/dispatcher/demo/pictures"
)

//go:embed demo/*.yaml demo/*.xml demo/*.csv demo/*.html demo/*.css demo/*.js
var demoFiles embed.FS

// newspaper is the sample newsroom's site: the feed, as WordPress would serve it, and the pages and pictures that the
// mail leads to.
type newspaper struct {
	url     string // without a trailing slash
	made    time.Time
	feed    []byte
	stories []sampleStory
	pages   *htmltemplate.Template
}

// sampleStory is an entry of the feed, as its page shows it.
type sampleStory struct {
	Title    string            `xml:"title"`
	Link     string            `xml:"link"`
	Author   string            `xml:"creator"`
	Language string            `xml:"language"`
	Body     htmltemplate.HTML `xml:"encoded"` // our own: it needs no cleaning
}

// Direction is how the story's text runs.
func (s sampleStory) Direction() string {
	if s.Language == "fa" {
		return "rtl"
	}
	return "ltr"
}

// feedDates makes the sample feed new whenever the demo runs.
type feedDates struct {
	Site string
	now  time.Time
}

// Ago is a moment as RSS writes it.
func (f feedDates) Ago(text string) (string, error) {
	ago, err := time.ParseDuration(text)
	return f.now.Add(-ago).UTC().Format(time.RFC1123Z), err
}

// DayIn is the date some days from now, as a deadline category has it.
func (f feedDates) DayIn(days int) string {
	return f.now.UTC().AddDate(0, 0, days).Format(time.DateOnly)
}

// newNewspaper makes a newspaper of the embedded files whose stories are hours old at a moment.
func newNewspaper(url string, now time.Time) (*newspaper, error) {
	n := &newspaper{url: url, made: now}
	source, err := texttemplate.ParseFS(demoFiles, "demo/feed.xml")
	if err != nil {
		return nil, fmt.Errorf("reading the sample feed: %w", err)
	}
	var feed bytes.Buffer
	if err := source.Execute(&feed, feedDates{url, now}); err != nil {
		return nil, fmt.Errorf("dating the sample feed: %w", err)
	}
	n.feed = feed.Bytes()
	var channel struct {
		Stories []sampleStory `xml:"channel>item"`
	}
	if err := xml.Unmarshal(n.feed, &channel); err != nil {
		return nil, fmt.Errorf("reading the sample feed: %w", err)
	}
	n.stories = channel.Stories
	if n.pages, err = htmltemplate.ParseFS(demoFiles, "demo/newspaper.html"); err != nil {
		return nil, fmt.Errorf("reading the sample newspaper's pages: %w", err)
	}
	return n, nil
}

// site serves it all.
func (n *newspaper) site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /feed/{$}", n.serveFeed)
	mux.HandleFunc("GET /pictures/{file}", n.servePicture)
	mux.HandleFunc("GET /stories/{slug}/{$}", n.serveStory)
	mux.HandleFunc("GET /petitions/{slug}/{$}", func(w http.ResponseWriter, _ *http.Request) { n.show(w, "petition", nil) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { n.show(w, "home", n.stories) })
	return mux
}

// serveFeed answers as WordPress does: with validators, and 404 for the page behind the last.
func (n *newspaper) serveFeed(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("paged") != "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/rss+xml; charset=UTF-8")
	http.ServeContent(w, r, "", n.made, bytes.NewReader(n.feed))
}

func (n *newspaper) servePicture(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	if err := pictures.WritePNG(&b, strings.TrimSuffix(r.PathValue("file"), ".png")); err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "max-age=86400")
	_, _ = b.WriteTo(w) // its reader may have gone
}

func (n *newspaper) serveStory(w http.ResponseWriter, r *http.Request) {
	for _, story := range n.stories {
		if strings.HasSuffix(story.Link, r.URL.Path) {
			n.show(w, "story", story)
			return
		}
	}
	http.NotFound(w, r)
}

// show answers with a page, whole or not at all.
func (n *newspaper) show(w http.ResponseWriter, page string, data any) {
	var b bytes.Buffer
	if err := n.pages.ExecuteTemplate(&b, page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = b.WriteTo(w) // its reader may have gone
}
