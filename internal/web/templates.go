package web

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
)

// The pages, by the names of their files.
const (
	pageHome    = "home"
	pageLeave   = "leave"   // the question
	pageLeft    = "left"    // the answer, with a way back
	pageUndone  = "undone"  // the way back was taken
	pageProof   = "proof"   // it was a test copy
	pageLater   = "later"   // a wish could not be written down
	pageContact = "contact" // an action that is a letter or a call
	pageClosed  = "closed"  // an action that is over
	pageWon     = "won"     // an action that has reached what it asked for
	pageRefused = "refused" // there is no answer to the request; Status says why
)

// view is what the templates are run on.
type view struct {
	Publisher string
	List      string // title; empty when the link does not name one
	Undo      string // URL, on the page left
	Status    int    // of the answer, on the page refused
	Action    action // on the pages contact, closed and won
}

// templates are the parsed pages.
type templates struct {
	pages  map[string]*template.Template
	styles [][]byte // SHA-256 of every style block on them, each once
}

// parseTemplates reads layout.html and the pages from the folder web. Each page is laid over its own copy
// of the layout, and tried on samples that reach every branch.
func parseTemplates(files fs.FS) (templates, error) {
	t := templates{pages: map[string]*template.Template{}}
	for _, name := range []string{pageHome, pageLeave, pageLeft, pageUndone, pageProof, pageLater, pageContact, pageClosed, pageWon, pageRefused} {
		page, err := template.ParseFS(files, "web/layout.html", "web/"+name+".html")
		if err != nil {
			return templates{}, err
		}
		t.pages[name] = page
		for _, status := range []int{
			http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestEntityTooLarge,
			http.StatusInternalServerError, http.StatusServiceUnavailable, 0,
		} {
			sample := view{Publisher: "Example Magazine", Undo: "token/undo", Status: status, Action: action{Title: "Example title"}}
			if status != 0 {
				sample.List, sample.Action = "Example Weekly", sampleAction
			}
			out, err := t.render(name, sample)
			if err != nil {
				return templates{}, err
			}
			t.addStyles(out)
		}
	}
	return t, nil
}

// render runs a page on a view.
func (t templates) render(name string, v view) ([]byte, error) {
	var out bytes.Buffer
	if err := t.pages[name].ExecuteTemplate(&out, "page", v); err != nil {
		return nil, fmt.Errorf("running %s.html: %w", name, err)
	}
	return out.Bytes(), nil
}

// addStyles keeps the hash of each style block as the browser will see it, after html/template had its way with it.
func (t *templates) addStyles(page []byte) {
	for {
		_, after, found := bytes.Cut(page, []byte("<style>"))
		if !found {
			return
		}
		style, rest, _ := bytes.Cut(after, []byte("</style>"))
		sum := sha256.Sum256(style)
		if !slices.ContainsFunc(t.styles, func(known []byte) bool { return bytes.Equal(known, sum[:]) }) {
			t.styles = append(t.styles, sum[:])
		}
		page = rest
	}
}
