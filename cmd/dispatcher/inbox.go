package main

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"dispatcher/internal/smtptest"
)

// inbox shows on local pages what a relay has taken. Messages may come from anybody: the pages escape them and run no
// script but their own, and a message's HTML is shown in a frame where none runs and nothing is loaded from elsewhere.
type inbox struct {
	messages func() []smtptest.Message // oldest first; it only ever grows
	zone     *time.Location
	pages    *template.Template
}

// The views of a message, in the order of their tabs.
const (
	viewHTML    = "html"
	viewText    = "text"
	viewSource  = "source"
	viewHeaders = "headers"
)

const (
	// pagePolicy lets a page of ours have our style and script, and frame a message.
	pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// messagePolicy makes a message's HTML a document without script, forms, or an origin. It has pictures of this
	// machine alone, so that no message can tell its sender that it was read.
	messagePolicy = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src http://127.0.0.1:* data:; frame-ancestors 'self'"
)

// newInbox makes the pages for the messages that a function lists, oldest first. Times are told in a zone.
func newInbox(messages func() []smtptest.Message, zone *time.Location) (http.Handler, error) {
	pages, err := template.ParseFS(demoFiles, "demo/inbox.html")
	if err != nil {
		return nil, fmt.Errorf("reading the inbox's pages: %w", err)
	}
	in := &inbox{messages, zone, pages}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", in.list)
	mux.HandleFunc("GET /messages/{id}", in.message)
	mux.HandleFunc("GET /messages/{id}/{view}", in.message)
	mux.HandleFunc("GET /messages/{id}/body", in.body)
	mux.HandleFunc("GET /messages/{id}/message.eml", in.download)
	for _, name := range []string{"inbox.css", "inbox.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, demoFiles, "demo/"+name) })
	}
	mux.HandleFunc("/", in.missing)
	return guarded(mux), nil
}

// guarded sets the headers of every answer. A handler may set another policy.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// inboxRow is a message in the list.
type inboxRow struct {
	letter
	ID   int // from 1, in the order of arrival
	Time string
}

func (in *inbox) row(id int, m smtptest.Message) inboxRow {
	return inboxRow{letter: readLetter(m.Data), ID: id, Time: m.Received.In(in.zone).Format("Mon 15:04:05")}
}

// list shows all messages, the newest first.
func (in *inbox) list(w http.ResponseWriter, _ *http.Request) {
	var rows []inboxRow
	for i, m := range slices.Backward(in.messages()) {
		rows = append(rows, in.row(i+1, m))
	}
	in.show(w, http.StatusOK, "list", rows)
}

// inboxMessage is a message on its page.
type inboxMessage struct {
	inboxRow
	View   string
	Tabs   []inboxTab
	Source string
	Size   string

	Newer, Older int // the messages beside it; 0: none
}

type inboxTab struct{ View, Title string }

func (in *inbox) message(w http.ResponseWriter, r *http.Request) {
	id, m, ok := in.find(r)
	tabs := []inboxTab{{viewHTML, "HTML"}, {viewText, "Text"}, {viewSource, "Source"}, {viewHeaders, "Headers"}}
	view := r.PathValue("view")
	if view == "" {
		view = viewHTML
	}
	if !ok || !slices.ContainsFunc(tabs, func(t inboxTab) bool { return t.View == view }) {
		in.missing(w, r)
		return
	}
	page := inboxMessage{inboxRow: in.row(id, m), View: view, Tabs: tabs, Source: decodeText(m.Data, ""), Older: id - 1}
	page.Size = fmt.Sprintf("%.1f kB", float64(len(m.Data))/1000)
	if id < len(in.messages()) {
		page.Newer = id + 1
	}
	in.show(w, http.StatusOK, "message", page)
}

// find is the message that a request names by its place, from 1.
func (in *inbox) find(r *http.Request) (id int, m smtptest.Message, ok bool) {
	all := in.messages()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(all) {
		return 0, m, false
	}
	return id, all[id-1], true
}

var headTag = regexp.MustCompile(`(?i)<head(\s[^>]*)?>`)

// body is a message's HTML alone, for the frame. Its links open beside the inbox.
func (in *inbox) body(w http.ResponseWriter, r *http.Request) {
	_, m, ok := in.find(r)
	if !ok {
		in.missing(w, r)
		return
	}
	html := readLetter(m.Data).HTML
	at := 0
	if head := headTag.FindStringIndex(html); head != nil {
		at = head[1]
	}
	w.Header().Set("Content-Security-Policy", messagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(w, html[:at], `<base target="_blank">`, html[at:])
}

// download is a message as it came, for a mail program.
func (in *inbox) download(w http.ResponseWriter, r *http.Request) {
	id, m, ok := in.find(r)
	if !ok {
		in.missing(w, r)
		return
	}
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="message-%d.eml"`, id))
	_, _ = w.Write(m.Data) // its reader may have gone
}

func (in *inbox) missing(w http.ResponseWriter, _ *http.Request) {
	in.show(w, http.StatusNotFound, "missing", nil)
}

// show answers with a page, whole or not at all.
func (in *inbox) show(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := in.pages.ExecuteTemplate(&b, page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // its reader may have gone
}
