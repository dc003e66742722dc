package ingest_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

// conditional serves a document with validators and notes the ones that come back.
func conditional(t *testing.T, document string) (server *httptest.Server, asked func() []string) {
	t.Helper()
	var conditions []string
	server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		conditions = append(conditions, r.Header.Get("If-None-Match")+"|"+r.Header.Get("If-Modified-Since"))
		w.Header().Set("ETag", `W/"7"`)
		w.Header().Set("Last-Modified", "Fri, 20 Nov 2026 15:00:00 GMT")
		if r.Header.Get("If-None-Match") == `W/"7"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if _, err := w.Write([]byte(document)); err != nil {
			t.Error(err)
		}
	})
	return server, func() []string { return conditions }
}

const validators = `W/"7"|Fri, 20 Nov 2026 15:00:00 GMT`

func TestUnchangedFeedIsNotFetchedAgain(t *testing.T) {
	server, asked := conditional(t, rss(post("one", 1)))
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	fetch(t, i, feedAt(server.URL))
	if got := fetch(t, i, feedAt(server.URL)); got != (newsletter.Intake{}) {
		t.Errorf("304 brought %+v", got)
	}
	if diff := cmp.Diff([]string{"|", validators}, asked()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	want := newsletter.FeedState{
		Name: "magazine", URL: server.URL, ETag: `W/"7"`, LastModified: "Fri, 20 Nov 2026 15:00:00 GMT", LastPoll: today, BaselineDone: true,
	}
	if diff := cmp.Diff(want, q.states["magazine"]); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestValidatorsAreKeptOnlyWithTheIntake(t *testing.T) {
	server, asked := conditional(t, rss(post("one", 1)))
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	q.broken = errors.New("disk is full")
	if _, err := i.Fetch(t.Context(), feedAt(server.URL)); !errors.Is(err, q.broken) {
		t.Fatalf("got error %v, want the queue's", err)
	}
	q.broken = nil
	if got := fetch(t, i, feedAt(server.URL)); got.New != 1 {
		t.Errorf("the poll after the failed intake brought %+v, want the entry", got)
	}
	if diff := cmp.Diff([]string{"|", "|"}, asked()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestNewURLStartsAfresh(t *testing.T) {
	server, asked := conditional(t, rss(post("one", 1)))
	i := newIngester(newQueue(), ingest.Settings{})
	fetch(t, i, feedAt(server.URL))
	fetch(t, i, feedAt(server.URL+"/feed/"))
	if diff := cmp.Diff([]string{"|", "|"}, asked()); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestFailedPollIsRecordedAndForgiven(t *testing.T) {
	status := http.StatusServiceUnavailable
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, rss(post("one", 1)))
	})
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	for range 2 {
		if _, err := i.Fetch(t.Context(), feedAt(server.URL)); err == nil {
			t.Fatal("a 503 is no error")
		}
	}
	if got := q.states["magazine"]; got.Failures != 2 || got.LastError == "" || got.BaselineDone || len(q.items) != 0 {
		t.Errorf("after two failures: %+v with %d items", got, len(q.items))
	}
	status = http.StatusOK
	fetch(t, i, feedAt(server.URL))
	if got := q.states["magazine"]; got.Failures != 0 || got.LastError != "" {
		t.Errorf("after a good poll: %+v", got)
	}
}

func TestGoneFeedIsRecordedAsGone(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	q := newQueue()
	if _, err := newIngester(q, ingest.Settings{}).Fetch(t.Context(), feedAt(server.URL)); !errors.Is(err, ingest.ErrGone) {
		t.Errorf("got error %v, want ErrGone", err)
	}
	if got := q.states["magazine"]; !got.Gone || got.URL != server.URL {
		t.Errorf("state is %+v, want gone", got)
	}
}

func TestRedirectsAreFollowedFiveTimes(t *testing.T) {
	for hops, ok := range map[int]bool{0: true, 5: true, 6: false, 1000: false} {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			left := hops
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if left--; left >= 0 {
					http.Redirect(w, r, fmt.Sprintf("/hop/%d", left), http.StatusFound)
					return
				}
				fmt.Fprint(w, rss(post("one", 1)))
			})
			_, err := newIngester(newQueue(), ingest.Settings{}).Fetch(t.Context(), feedAt(server.URL))
			if (err == nil) != ok {
				t.Errorf("%d redirects: error %v", hops, err)
			}
		})
	}
}

func TestRequestTellsWhoAsksAndNothingElse(t *testing.T) {
	var headers []http.Header
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		headers = append(headers, r.Header)
		if r.URL.Path == "/" {
			http.SetCookie(w, &http.Cookie{Name: "visitor", Value: "7"})
			http.Redirect(w, r, "/feed/", http.StatusFound)
			return
		}
		fmt.Fprint(w, rss(post("one", 1)))
	})
	fetch(t, newIngester(newQueue(), ingest.Settings{}), feedAt(server.URL+"/?key=sesame"))
	for _, h := range headers {
		if got := h.Get("User-Agent"); got != "dispatcher/test (+https://news.example.org)" {
			t.Errorf("User-Agent is %q", got)
		}
		if !strings.Contains(h.Get("Accept"), "application/rss+xml") {
			t.Errorf("Accept is %q", h.Get("Accept"))
		}
		for _, name := range []string{"Cookie", "Referer"} {
			if got := h.Get(name); got != "" {
				t.Errorf("%s is sent: %q", name, got)
			}
		}
	}
}

func TestErrorsTellNoSecret(t *testing.T) {
	servers := map[string]http.HandlerFunc{
		"redirect loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
		},
		"bad redirect": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "gopher://user:sesame@magazine.example/?key=sesame")
			w.WriteHeader(http.StatusFound)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			target, err := url.Parse(serve(t, handler).URL)
			if err != nil {
				t.Fatal(err)
			}
			target.User, target.RawQuery = url.UserPassword("user", "sesame"), "key=sesame"
			q := newQueue()
			_, err = newIngester(q, ingest.Settings{}).Fetch(t.Context(), feedAt(target.String()))
			if err == nil || strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error is %v", err)
			}
			if got := q.states["magazine"].LastError; got == "" || strings.Contains(got, "sesame") {
				t.Errorf("the recorded error is %q", got)
			}
		})
	}
}

func TestTooMuchOrTooSlowIsAFailedPoll(t *testing.T) {
	padding := strings.Repeat(" ", 1<<16)
	servers := map[string]http.HandlerFunc{
		"50 MB": func(w http.ResponseWriter, _ *http.Request) {
			for range 50 << 20 / len(padding) {
				if _, err := w.Write([]byte(padding)); err != nil {
					return // the client has had enough
				}
			}
		},
		"50 MB in a few kB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			for range 50 << 20 / len(padding) {
				if _, err := z.Write([]byte(padding)); err != nil {
					return
				}
			}
		},
		"no end": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "<rss>")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for name, handler := range servers {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			s := ingest.Settings{}
			if strings.HasPrefix(name, "no") {
				s.Timeout = 50 * time.Millisecond
			}
			if _, err := newIngester(q, s).Fetch(t.Context(), feedAt(serve(t, handler).URL)); err == nil {
				t.Error("no error")
			}
			if q.states["magazine"].Failures != 1 {
				t.Errorf("state is %+v, want one failure", q.states["magazine"])
			}
		})
	}
}

func TestStoppingIsNoFailure(t *testing.T) {
	q := newQueue()
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(http.ResponseWriter, *http.Request) { cancel() })
	if _, err := newIngester(q, ingest.Settings{}).Fetch(ctx, feedAt(server.URL)); err == nil {
		t.Error("a poll that was stopped has no error")
	}
	if got := q.states["magazine"]; got.Failures != 0 {
		t.Errorf("state is %+v, want no failure", got)
	}
}
