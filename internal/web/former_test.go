package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/web"
)

// moved is a site that was at other addresses before.
func moved(t *testing.T, public string) site {
	t.Helper()
	s := start(t, at(public), func(c *web.Config) {
		c.FormerURLs = []string{"https://old.example.org/mail", "https://older.example.org", "https://oldest.example.org/mail/weekly"}
	})
	s.ledger.items = map[string]newsletter.Item{code: petition}
	return s
}

func TestLinksOfOldMailWorkUnderFormerURLs(t *testing.T) {
	for name, base := range map[string]struct{ host, path string }{
		"that of now":          {"example.org", "/news"},
		"with a path":          {"old.example.org", "/mail"},
		"without one":          {"older.example.org", ""},
		"with a longer path":   {"oldest.example.org", "/mail/weekly"},
		"behind a blind proxy": {"127.0.0.1:8080", "/mail"},
	} {
		t.Run(name, func(t *testing.T) {
			s := moved(t, "https://example.org/news")
			from := func(send request) request {
				header := map[string]string{"Host": base.host}
				for name, value := range send.header {
					header[name] = value
				}
				return request{send.body, header}
			}
			if got := s.do(t, http.MethodGet, base.path+link(reader), from(request{})); got.status != http.StatusOK || !strings.Contains(got.body, "<form") {
				t.Errorf("the page is %d", got.status)
			}
			if got := s.do(t, http.MethodPost, base.path+link(reader), from(oneClick)); got.status != http.StatusOK || s.ledger.state(reader) != newsletter.Ended {
				t.Errorf("one click is %d, the subscription %q", got.status, s.ledger.state(reader))
			}
			left := s.do(t, http.MethodPost, base.path+link(reader), from(byHand))
			browser := map[string]string{"Host": base.host, "Origin": "https://" + base.host}
			if got := pressUndo(t, s, base.path+link(reader), left, browser); got.status != http.StatusOK || s.ledger.state(reader) != newsletter.Confirmed {
				t.Errorf("undo is %d, the subscription %q", got.status, s.ledger.state(reader))
			}
			if got := s.do(t, http.MethodGet, base.path+"/a/"+code, from(request{})); got.header.Get("Location") != petition.Petition {
				t.Errorf("the action's link is %d to %q", got.status, got.header.Get("Location"))
			}
		})
	}
}

// A proxy may pass requests on under another name than the browser's: then the origins that are trusted decide.
func TestFormerURLsAreTrustedAndOthersAreNot(t *testing.T) {
	for origin, want := range map[string]int{
		"https://example.org": http.StatusOK, "https://old.example.org": http.StatusOK, "https://older.example.org": http.StatusOK,
		"http://old.example.org": http.StatusForbidden, "https://evil.example": http.StatusForbidden,
	} {
		s := moved(t, "https://example.org/news")
		left := s.do(t, http.MethodPost, "/mail"+link(reader), byHand)
		got := pressUndo(t, s, "/mail"+link(reader), left, map[string]string{"Origin": origin, "Sec-Fetch-Site": "cross-site"})
		if got.status != want {
			t.Errorf("undo from %s is %d, want %d", origin, got.status, want)
		}
	}
}

func TestAFormerURLThatIsNoneIsRefused(t *testing.T) {
	c := config(newLedger(), &journal{})
	c.FormerURLs = []string{"old.example.org"}
	if _, err := web.New(c); err == nil || !strings.Contains(err.Error(), "old.example.org") {
		t.Errorf("New gives %v", err)
	}
}

// A reader who opens an old message does not know that the list was called otherwise then.
func TestALinkOfARenamedListShowsTheTitleOfToday(t *testing.T) {
	s := start(t, func(c *web.Config) {
		c.Lists = slices.Clone(c.Lists)
		c.Lists[0].Former = []string{"was-before"}
	})
	old := newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: reader.Subscriber, List: "was-before"}
	got := s.do(t, http.MethodGet, link(old), request{})
	if strings.Contains(got.body, "was-before") || !strings.Contains(got.body, lists[0].Title) {
		t.Errorf("the page is\n%s", got.body)
	}
}
