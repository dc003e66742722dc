package web

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

const (
	maxTitle  = 300  // runes of an action's title
	maxEnding = 5000 // runes of how it ended
	maxLink   = 2000 // bytes of a link that leads on
)

// action is one as its page shows it.
type action struct {
	Title    string
	Language string       // BCP 47; empty: not known
	Story    string       // URL of its article; empty: none but the petition
	Contact  template.URL // mailto: or tel:, while it is open
	To       string       // whom that writes to or calls; may be empty
	Call     bool         // it is tel:
	Words    []string     // paragraphs of how it ended; may be none
	Closed   string       // when, in words
	Machine  string       // the same as HTML's time element reads it
}

// sampleAction has everything.
var sampleAction = action{
	Title: "Example title", Language: "en", Story: "https://magazine.example/story", Contact: "tel:+1-202-555-0100", To: "+1-202-555-0100",
	Call: true, Words: []string{"An example."}, Closed: "1 December 2026, 12:00 UTC", Machine: "2026-12-01T12:00:00Z",
}

// follow leads on from an action's stable link to its petition, or says how the action ended. The redirect is 302 and not 301 or 308,
// since the link in the mail stays the one to use and its target may move (RFC 9110 section 15.4.3); nothing of the request gets into it.
func (p *Pages) follow(w http.ResponseWriter, r *http.Request) {
	code := r.PathValue("code")
	if !plausibleCode(code) {
		p.refusal(http.StatusNotFound).ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), ledgerPatience)
	defer cancel()
	item, err := p.ledger.ActionByCode(ctx, code)
	switch {
	case errors.Is(err, newsletter.ErrNotFound):
		p.refusal(http.StatusNotFound).ServeHTTP(w, r)
	case err != nil:
		if r.Context().Err() == nil { // who has hung up is no fault
			p.log.Error("following an action's link", "error", err)
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		p.refusal(http.StatusServiceUnavailable).ServeHTTP(w, r)
	case item.State == newsletter.Dropped: // its title may be why
		p.refusal(http.StatusGone).ServeHTTP(w, r)
	case item.Won:
		p.show(w, http.StatusOK, pageWon, view{Action: ended(item)})
	case !item.Open(p.now()):
		p.show(w, http.StatusOK, pageClosed, view{Action: ended(item)})
	default:
		p.lead(w, r, item)
	}
}

// lead sends a browser on to a petition. To one that is no web page it cannot be sent without asking, so there is a page between.
func (p *Pages) lead(w http.ResponseWriter, r *http.Request, item newsletter.Item) {
	target, scheme := onward(item.Petition)
	switch scheme {
	case "http", "https":
		if strings.HasSuffix(target.Path, "/a/"+item.Code) { // it leads here
			p.refusal(http.StatusNotFound).ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, target.String(), http.StatusFound)
	case "mailto", "tel":
		a := about(item)
		a.Contact, a.Call = template.URL(target.String()), scheme == "tel" // its scheme has just been looked at
		a.To = newsletter.OneLine(unescaped(target.Opaque), maxTitle)
		p.show(w, http.StatusOK, pageContact, view{Action: a})
	default:
		p.refusal(http.StatusNotFound).ServeHTTP(w, r)
	}
}

// onward reads a link that a browser may be sent to; the scheme is empty when it must not.
func onward(link string) (target *url.URL, scheme string) {
	u, err := url.Parse(link)
	if err != nil || len(link) > maxLink || strings.ContainsFunc(link, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return nil, ""
	}
	switch {
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", u.Scheme == "mailto", u.Scheme == "tel" && u.Opaque != "":
		return u, u.Scheme
	}
	return nil, ""
}

// unescaped is text of a URL as people read it.
func unescaped(text string) string {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// about is what every page says of an action.
func about(item newsletter.Item) action {
	a := action{Title: newsletter.OneLine(item.Title, maxTitle), Language: item.Language}
	if _, scheme := onward(item.URL); strings.HasPrefix(scheme, "http") && newsletter.CanonicalURL(item.URL) != newsletter.CanonicalURL(item.Petition) {
		a.Story = item.URL
	}
	return a
}

// ended is what the pages of an action say that is over. A deadline that was given as a day ends with that day in UTC, and people read
// that as its last minute.
func ended(item newsletter.Item) action {
	closed := item.Closes().UTC()
	if item.Won && !item.Ended.IsZero() {
		closed = item.Ended.UTC()
	} else if closed.Equal(closed.Truncate(24 * time.Hour)) {
		closed = closed.Add(-time.Minute)
	}
	a := about(item)
	a.Words = paragraphs(item.Ending)
	a.Closed, a.Machine = closed.Format("2 January 2006, 15:04 UTC"), closed.Format(time.RFC3339)
	return a
}

// paragraphs takes an editor's words apart where empty lines separate them.
func paragraphs(words string) (found []string) {
	var lines []string
	left := maxEnding
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(words)+"\n\n", "\n") {
		if line = newsletter.OneLine(line, 0); line != "" {
			lines = append(lines, line)
			continue
		}
		if len(lines) > 0 && left > 0 {
			text := newsletter.OneLine(strings.Join(lines, " "), left)
			found = append(found, text)
			left -= utf8.RuneCountInString(text)
		}
		lines = nil
	}
	return found
}

// plausibleCode reports whether text has the form of a code, 13 letters or digits of base32, so that nothing else costs a look at
// the ledger.
func plausibleCode(text string) bool {
	return len(text) == 13 && !strings.ContainsFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '2' || r > '7') })
}
