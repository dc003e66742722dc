package main

import (
	"context"
	"reflect"
	"time"

	"dispatcher/internal/config"
	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/web"
	"dispatcher/templates"
)

// shift is what works by one config. It may begin again after it has ended.
type shift struct {
	office *office
	clock  *scheduler.Scheduler
	pages  *web.Pages
	mailer *mailer.Mailer

	rooms   []*room       // all but the mailer's
	leaving chan struct{} // closed to have the mailer end in good order
	sending *room         // the mailer's; nil: it does not run
}

// newShift makes the parts. What a config can make fail fails here, and nothing has begun.
func (s *service) newShift(o *office) (*shift, error) {
	clock, err := scheduler.New(o.store, o.desk(), o.liveLists(), o.now, o.log)
	if err != nil {
		return nil, err
	}
	heart := s.watchdog.heart("scheduler")
	clock.Alive = func(within time.Duration) {
		s.looked.Store(o.now().UnixMilli())
		heart(within)
	}
	pages, err := web.New(web.Config{
		Files: templates.With(o.config.TemplatesDir), Keys: o.store.Keys(), Ledger: o.store, Publisher: o.publisher, FormerURLs: o.config.FormerURLs, Lists: o.lists,
		Now: o.now, Log: o.log,
		Ready: s.vitals.ready(o), Metrics: s.vitals.metrics(o),
	})
	if err != nil {
		return nil, err
	}
	m := o.mailer()
	leaving := make(chan struct{})
	m.Alive, m.Figures, m.Leave = s.watchdog.heart, &s.vitals.mailer, leaving
	return &shift{office: o, clock: clock, pages: pages, mailer: m, leaving: leaving}, nil
}

// begin starts all parts but the mailer.
func (s *service) begin(ctx context.Context, h *shift) {
	s.shift = h
	s.logger.Store(h.office.log)
	for _, run := range []func(context.Context) error{h.office.ingester().Run, h.clock.Run, h.office.keepTidy} {
		h.rooms = append(h.rooms, enter(ctx, s.failed, run))
	}
	s.pages.answer(h.pages.Reader())
	s.admin.answer(h.pages.Admin())
}

// send starts the mailer.
func (s *service) send(ctx context.Context, h *shift) { h.sending = enter(ctx, s.failed, h.mailer.Run) }

// end has all parts but the mailer finish what they hold.
func (h *shift) end() {
	leave(h.rooms...)
	h.rooms = nil
}

// relayPatience is how long mail waits, at a reload, for a relay's answer to a message of the mailer before. Then that has to hurry.
const relayPatience = time.Minute

// stopSending has the mailer finish what is on the line.
func (h *shift) stopSending() {
	close(h.leaving)
	select {
	case <-h.sending.ended:
	case <-time.After(relayPatience):
		leave(h.sending)
	}
}

// sendsLike reports whether the mailer of another shift may go on in this one.
func (h *shift) sendsLike(other *shift) bool {
	return reflect.DeepEqual(sendingOf(h.office), sendingOf(other.office))
}

// sending is all in the config that a mailer knows.
type sending struct {
	composer  *render.Composer
	relays    []mailer.Relay
	hold      []newsletter.Lane
	rehearsal bool
	log       config.Log
}

func sendingOf(o *office) sending {
	return sending{composer: o.composer(), relays: relaysOf(o.config), hold: heldLanes(o.config), rehearsal: o.config.Rehearsal, log: o.config.Log}
}

// moveIn makes the database ready for a shift, while no other decides slots.
func (o *office) moveIn(ctx context.Context) error {
	if err := o.store.Relax(ctx, o.config.Durability == "normal"); err != nil {
		return err
	}
	return o.renameLists(ctx) // the last that can fail: nothing takes it back
}
