package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	systemd "github.com/coreos/go-systemd/v22/daemon"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// service is a serve for as long as its process lives. The database with the mailer's lock, the sockets and the watchdog stay; a shift works by
// one config, and a reload puts another in its place.
type service struct {
	path         string // of the config
	shift        *shift // the one that works
	pages, admin *door
	watchdog     *watchdog
	vitals       vitals
	logger       atomic.Pointer[slog.Logger] // of the shift
	looked       atomic.Int64                // when the scheduler gave its last sign, Unix milliseconds
	failed       chan error                  // what the first part that failed failed with
	reloads      store.Reloads               // how changes of the config were dealt with
}

// newService opens the sockets and makes the first shift. Nothing has begun yet.
func newService(ctx context.Context, o *office, path string) (s *service, err error) {
	s = &service{path: path, watchdog: newWatchdog(), failed: make(chan error, 1)}
	s.vitals.looked = s.lastLook
	if s.shift, err = s.newShift(o); err != nil {
		return nil, err
	}
	given, err := activation.ListenersWithNames()
	if err != nil {
		return nil, fmt.Errorf("taking the sockets of the service manager: %w", err)
	}
	s.pages, s.admin = &door{key: "http.listen", failed: s.failed}, &door{key: "http.admin_listen", failed: s.failed}
	if err := s.pages.find(ctx, o.config.HTTP.Listen, given["pages"]); err != nil {
		return nil, err
	}
	if err := s.admin.find(ctx, o.config.HTTP.AdminListen, given["admin"]); err != nil {
		return nil, errors.Join(err, s.pages.close())
	}
	return s, nil
}

// log may be called from any goroutine.
func (s *service) log() *slog.Logger { return s.logger.Load() }

// run serves until the context is cancelled, or a part fails. Each hangup has the config read again.
func (s *service) run(ctx context.Context, hangups <-chan os.Signal) (err error) {
	o := s.shift.office
	within, cancel := context.WithCancel(ctx)
	guard := enter(context.WithoutCancel(ctx), s.failed, s.guard)
	defer leave(guard)
	s.begin(within, s.shift)
	s.send(within, s.shift)
	s.pages.open(within, o)
	s.admin.open(within, o)
	defer func() {
		s.tell(systemd.SdNotifyStopping, "Finishing the messages that are on the line")
		cancel()
		leave(slices.Concat(s.shift.rooms, []*room{s.shift.sending}, s.pages.rooms, s.admin.rooms)...)
		if err == nil {
			err = s.failure() // what failed while it ended
		}
	}()
	s.tellSockets()
	s.tell(systemd.SdNotifyReady, s.status(ctx))
	alive := s.watchdog.heart("service")
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		alive(0)
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.failed:
			return err
		case <-hangups:
			alive(reloadPatience)
			s.reload(within)
		case <-minute.C:
			alive(reloadPatience)
			s.tell("", s.status(ctx))
		}
	}
}

// tellSockets says which addresses of the config have no say.
func (s *service) tellSockets() {
	http := s.shift.office.config.HTTP
	for _, d := range []struct {
		*door
		wanted string
	}{{s.pages, http.Listen}, {s.admin, http.AdminListen}} {
		if d.given && d.wanted != d.address() {
			s.log().Warn("the service manager's socket has the say, not the config", "key", d.key, "config", d.wanted, "socket", d.address())
		}
	}
}

// reloadPatience is how long a reload may take: messages that are on the line are waited for, for a while, and the database.
const reloadPatience = 10 * time.Minute

// lastLook is when the scheduler gave its last sign; zero: it has not yet. It may be called from any goroutine.
func (s *service) lastLook() time.Time {
	if ms := s.looked.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

func (s *service) failure() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}

// guard tells the service manager that all parts are alive, as often as it wants, until it is cancelled. It does not while one is stuck: then
// the service manager's watchdog ends the process and begins another.
func (s *service) guard(ctx context.Context) error {
	within, err := systemd.SdWatchdogEnabled(false)
	if err != nil || within == 0 {
		<-ctx.Done()
		return nil
	}
	look := time.NewTicker(within / 3)
	defer look.Stop()
	told := ""
	for {
		stuck := strings.Join(s.watchdog.stuck(), ", ")
		if stuck == "" {
			s.tell(systemd.SdNotifyWatchdog, "")
		} else if stuck != told {
			s.log().Error("stuck: no sign of life in time; the watchdog will begin anew", "parts", stuck)
		}
		told = stuck
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// status says in a line what is being served and what comes next.
func (s *service) status(ctx context.Context) string {
	o := s.shift.office
	serving := "Serving " + counted(len(o.liveLists()), "list")
	if o.config.Rehearsal {
		serving = "Rehearsing " + counted(len(o.liveLists()), "list")
	}
	if held, err := o.store.Held(ctx, o.now()); err == nil && held != "" {
		return serving + "; mail is held back, `dispatcher release` lets it go: " + held
	}
	var first newsletter.List
	var soonest time.Time
	for _, l := range o.liveLists() {
		if next, err := o.nextSlot(ctx, l, o.now()); err == nil && !next.IsZero() && (soonest.IsZero() || next.Before(soonest)) {
			first, soonest = l, next
		}
	}
	if soonest.IsZero() {
		return serving
	}
	if first.Zone != nil {
		soonest = soonest.In(first.Zone)
	}
	return serving + "; next: " + first.ID + " " + soonest.Format("Mon 2 Jan 15:04 MST")
}

// tell tells the service manager how it stands, where there is one.
func (s *service) tell(state, status string) {
	var lines []string
	if state != "" {
		lines = append(lines, state)
	}
	if status != "" {
		lines = append(lines, "STATUS="+newsletter.OneLine(scrub(status), 0))
	}
	if _, err := systemd.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		s.log().Warn("telling the service manager failed", "error", err)
	}
}
