package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Limits of one request.
const (
	maxBody        = 8 << 10          // bytes: a one-click body is 26
	ledgerPatience = 10 * time.Second // less than Serve's patience with the answer, so that there is one
	retryAfter     = 2 * time.Minute  // what a provider is told when the ledger is out of reach
)

// Reader is what the public listener serves: links in mail, below the path of the public URL, of now or before, or, where a
// proxy takes that path away, without it.
func (p *Pages) Reader() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.home)
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /u/{token}", p.ask)
	mux.HandleFunc("POST /u/{token}", p.leave)
	mux.HandleFunc("POST /u/{token}/undo", p.undo)
	mux.HandleFunc("GET /a/{code}", p.follow)
	mux.Handle("/{$}", p.only("GET, HEAD"))
	mux.Handle("/healthz", p.only("GET, HEAD"))
	mux.Handle("/u/{token}", p.only("GET, HEAD, POST"))
	mux.Handle("/u/{token}/undo", p.only("POST"))
	mux.Handle("/a/{code}", p.only("GET, HEAD"))
	mux.Handle("/", p.refusal(http.StatusNotFound))
	return p.outer(p.locate(p.protection.Handler(mux)))
}

// Admin is what the admin listener serves.
func (p *Pages) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("/healthz", p.only("GET, HEAD"))
	p.routeMonitoring(mux)
	mux.Handle("/", p.refusal(http.StatusNotFound))
	return p.outer(p.locate(mux))
}

// home says whose site this is.
func (p *Pages) home(w http.ResponseWriter, _ *http.Request) {
	p.show(w, http.StatusOK, pageHome, view{})
}

// ask shows the button and touches nothing. It does not look at the ledger either: whether somebody reads a list is
// not for everyone to see who comes upon a forwarded message.
func (p *Pages) ask(w http.ResponseWriter, r *http.Request) {
	p.show(w, http.StatusOK, pageLeave, view{List: p.read(r.PathValue("token")).title})
}

// leave ends a subscription. Every POST does, whatever its body: RFC 8058's pair in either encoding, the page's own
// form, or the nothing that some providers send. The body only says whether a person waits for a page.
func (p *Pages) leave(w http.ResponseWriter, r *http.Request) {
	token := r.PathValue("token")
	person := r.PostFormValue("from") == "page"
	about := p.read(token)
	words, page := "unsubscribed\n", pageLeft
	if about.proof {
		words, page = "test copy, nothing was changed\n", pageProof
	} else if !p.act(w, r, person, p.end) {
		return
	}
	if !person {
		answer(w, http.StatusOK, "text/plain; charset=utf-8", []byte(words))
		return
	}
	p.show(w, http.StatusOK, page, view{List: about.title, Undo: url.PathEscape(token) + "/undo"})
}

// undo takes leaving back.
func (p *Pages) undo(w http.ResponseWriter, r *http.Request) {
	about, page := p.read(r.PathValue("token")), pageUndone
	if about.proof {
		page = pageProof
	} else if !p.act(w, r, true, p.resume) {
		return
	}
	p.show(w, http.StatusOK, page, view{List: about.title})
}

// act changes a subscription, or says to try again and returns false. Who hangs up early still has left.
func (p *Pages) act(w http.ResponseWriter, r *http.Request, person bool, change func(context.Context, string) error) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), ledgerPatience)
	defer cancel()
	err := change(ctx, r.PathValue("token"))
	if err == nil {
		return true
	}
	p.log.Error("changing a subscription from the web", "error", err)
	w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	if person {
		p.show(w, http.StatusServiceUnavailable, pageLater, view{})
	} else {
		answer(w, http.StatusServiceUnavailable, "text/plain; charset=utf-8", []byte("not done, please try again later\n"))
	}
	return false
}

// outer sets the headers of every answer and reads the body before anything is done, so that a request that
// is too long or cut off does nothing.
func (p *Pages) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range p.headers {
			w.Header().Set(name, value)
		}
		defer p.rescue(w, r)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			status := http.StatusBadRequest
			if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
				status = http.StatusRequestEntityTooLarge
			}
			p.refusal(status).ServeHTTP(w, r)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// rescue answers a request that a fault of ours broke off. Left to net/http, the log would have the reader's network address, and
// the value of a panic may hold a part of the request: its type and the stack say where the fault is.
func (p *Pages) rescue(w http.ResponseWriter, r *http.Request) {
	if fault := recover(); fault != nil {
		p.log.Error("answering a request: panic", "type", fmt.Sprintf("%T", fault), "stack", string(debug.Stack()))
		p.refusal(http.StatusInternalServerError).ServeHTTP(w, r)
	}
}

// locate takes the path of the public URL, of now or before, off where it is there, and keeps the mux from redirecting a path that has
// empty or dotted parts: no link of ours looks like that, and no answer to a reader's own is a redirect (RFC 8058 section 3.1).
func (p *Pages) locate(next http.Handler) http.Handler {
	unknown := p.refusal(http.StatusNotFound)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, prefix := range p.prefixes {
			rest, below := strings.CutPrefix(r.URL.Path, prefix)
			if below && (rest == "" || rest[0] == '/') {
				r = r.Clone(r.Context())
				r.URL.Path, r.URL.RawPath = cmp.Or(rest, "/"), ""
				break
			}
		}
		if r.URL.Path != path.Clean("/"+r.URL.Path) {
			unknown.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// only answers the methods that a path does not have.
func (p *Pages) only(allow string) http.Handler {
	refused := p.refusal(http.StatusMethodNotAllowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		refused.ServeHTTP(w, r)
	})
}

// refusal answers what is not a request of ours.
func (p *Pages) refusal(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.show(w, status, pageRefused, view{Status: status})
	})
}

// show answers with a page, whole or not at all.
func (p *Pages) show(w http.ResponseWriter, status int, page string, v view) {
	v.Publisher = p.publisher
	body, err := p.templates.render(page, v)
	if err != nil {
		p.log.Error("showing a web page", "error", err)
		answer(w, http.StatusInternalServerError, "text/plain; charset=utf-8", []byte("This page cannot be shown.\n"))
		return
	}
	answer(w, status, "text/html; charset=utf-8", body)
}

// answer writes an answer. That its reader has gone is not an error of ours.
func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
