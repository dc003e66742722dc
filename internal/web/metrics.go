package web

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"dispatcher/internal/newsletter"
)

// Metrics is where /metrics finds what it shows. Each function is called once at each scrape, from any goroutine. Nothing is kept
// between scrapes, so that other pages may take over with the same counters.
type Metrics struct {
	Version string
	Figures func(context.Context) (newsletter.Figures, error) // with an error, what it gave back is not shown
	Mailer  func() newsletter.MailerFigures
	Looked  func() time.Time // when the scheduler gave its last sign; zero: it has not yet
}

// scrapePatience is how long the figures of one scrape may take. Prometheus waits ten seconds, unless it is told otherwise.
const scrapePatience = 8 * time.Second

// metrics answers a scrape: what the process knows of itself, and what its parts do. Figures that cannot be read are missing, and
// dispatcher_figures_read says so.
func (p *Pages) metrics() http.HandlerFunc {
	m := p.monitored
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var failing atomic.Bool // the log knows that the figures cannot be read
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), scrapePatience)
		defer cancel()
		s := scrape{version: m.Version, readiness: p.ready(ctx), mailer: m.Mailer(), looked: m.Looked(), now: p.now()}
		s.figures, s.err = m.Figures(ctx)
		if was := failing.Swap(s.err != nil); s.err != nil && !was {
			p.log.Warn("reading figures for monitoring failed", "error", s.err)
		}
		parts := prometheus.NewRegistry()
		parts.MustRegister(s)
		promhttp.HandlerFor(prometheus.Gatherers{process, parts}, promhttp.HandlerOpts{
			ErrorHandling: promhttp.ContinueOnError,
			ErrorLog:      slog.NewLogLogger(p.log.Handler(), slog.LevelError),
		}).ServeHTTP(w, r)
	}
}

// scrape is all that one scrape shows of dispatcher. It is a prometheus.Collector.
type scrape struct {
	version   string
	readiness newsletter.Readiness
	figures   newsletter.Figures
	err       error // figures could not be read
	mailer    newsletter.MailerFigures
	looked    time.Time
	now       time.Time
}

// Describe tells what may come, so that the registry finds what contradicts itself.
func (scrape) Describe(to chan<- *prometheus.Desc) {
	for _, m := range ours {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (s scrape) Collect(to chan<- prometheus.Metric) {
	buildInfo.tell(to, 1, s.version)
	readyNow.tell(to, truth(len(s.readiness.Reasons) == 0))
	figuresRead.tell(to, truth(s.err == nil))
	if !s.looked.IsZero() {
		schedulerLooked.tell(to, seconds(s.looked))
	}
	s.collectMailer(to)
	if s.err == nil {
		s.collectLists(to)
		s.collectQueue(to)
		s.collectDisk(to)
	}
}

func (s scrape) collectLists(to chan<- prometheus.Metric) {
	for id, l := range s.figures.Lists {
		readers.tell(to, float64(l.Readers), id)
		for fate, n := range l.Slots {
			slots.tell(to, float64(n), id, string(fate))
		}
		for _, state := range []newsletter.EditionState{newsletter.Sending, newsletter.Paused, newsletter.Done, newsletter.Cancelled} {
			editions.tell(to, float64(l.Editions[state]), id, string(state))
		}
		for state, n := range map[newsletter.State]int{
			newsletter.Sent: l.Counts.Sent, newsletter.Pending: l.Counts.Pending, newsletter.Failed: l.Counts.Failed,
			newsletter.Withdrawn: l.Counts.Withdrawn, newsletter.Unknown: l.Counts.Unknown,
		} {
			deliveries.tell(to, float64(n), id, string(state))
		}
		failed := zeros(failureOwners)
		maps.Copy(failed, l.Failed)
		for owner, n := range failed {
			failures.tell(to, float64(n), id, string(owner))
		}
	}
}

func (s scrape) collectQueue(to chan<- prometheus.Metric) {
	f := s.figures
	for lane, l := range f.Lanes {
		pending.tell(to, float64(l.Pending), string(lane))
		age := 0.0
		if !l.Oldest.IsZero() {
			age = max(0, s.now.Sub(l.Oldest).Seconds())
		}
		oldestDue.tell(to, age, string(lane))
	}
	for _, state := range []newsletter.ItemState{newsletter.Queued, newsletter.Held, newsletter.Dropped} {
		items.tell(to, float64(f.Items[state]), string(state))
	}
	barred := zeros(knownReasons)
	for reason, n := range f.Suppressions {
		if _, known := barred[reason]; !known {
			reason = otherReason // labels are no place for an admin's own words
		}
		barred[reason] += n
	}
	for reason, n := range barred {
		suppressions.tell(to, float64(n), reason)
	}
	for _, kind := range []newsletter.BounceKind{newsletter.HardBounce, newsletter.SoftBounce, newsletter.Complaint} {
		bounces.tell(to, float64(f.Bounces[kind]), string(kind))
	}
	for _, feed := range f.Feeds {
		if !feed.LastPoll.IsZero() {
			feedPolled.tell(to, seconds(feed.LastPoll), feed.Name)
		}
		feedFailures.tell(to, float64(feed.Failures), feed.Name)
		feedGone.tell(to, truth(feed.Gone), feed.Name)
	}
	held.tell(to, truth(f.Held != ""))
}

const otherReason = "other"

// A series that begins with its first failure has not grown, and no alert sees it: these are told from the start, as 0.
var (
	// failureOwners are whose fault a failure can be.
	failureOwners = []newsletter.Owner{
		newsletter.RecipientGone, newsletter.RecipientBusy, newsletter.OurIdentity, newsletter.OurReputation, newsletter.OurContent,
		newsletter.OurQuota, newsletter.Theirs, newsletter.OwnerUnknown,
	}

	// knownReasons are why dispatcher itself suppresses an address, and all others.
	knownReasons = []string{"recipient gone", "complaint", "admin", otherReason}
)

// zeros are counts by all names, of which none was seen yet.
func zeros[Name comparable](names []Name) map[Name]int {
	counts := make(map[Name]int, len(names))
	for _, name := range names {
		counts[name] = 0
	}
	return counts
}

func (s scrape) collectDisk(to chan<- prometheus.Metric) {
	d := s.figures.Disk
	databaseSize.tell(to, float64(d.Database))
	walSize.tell(to, float64(d.WAL))
	diskFree.tell(to, float64(d.Free))
	diskSize.tell(to, float64(d.Size))
}

func (s scrape) collectMailer(to chan<- prometheus.Metric) {
	m := s.mailer
	commit.tellHistogram(to, m.Commit)
	group.tellHistogram(to, m.Group)
	unwritten.tell(to, float64(m.Unwritten))
	for _, r := range m.Relays {
		relayTaken.tell(to, float64(r.Taken), r.Name)
		relayUnreached.tell(to, float64(r.Unreached), r.Name)
		for _, x := range r.Refusals {
			reply := "4xx"
			if x.Permanent {
				reply = "5xx"
			}
			relayRefused.tell(to, float64(x.Count), r.Name, string(x.Owner), reply)
		}
		if !r.Used {
			continue
		}
		relayConnections.tell(to, float64(r.Busy), r.Name, "busy")
		relayConnections.tell(to, float64(r.Idle), r.Name, "idle")
		relayMost.tell(to, float64(r.Most), r.Name)
		relayCircuit.tell(to, truth(r.CircuitOpen), r.Name)
		relayQuota.tell(to, truth(r.QuotaSpent), r.Name)
		relaySlowed.tell(to, float64(r.Slowed), r.Name)
		if r.Rate > 0 {
			relayRate.tell(to, r.Rate, r.Name)
		}
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// seconds is an instant as Prometheus writes it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
