package main

import (
	"context"
	"errors"
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

	rooms   []*room // all but the mailer's
	sending *room   // the mailer's; nil: it does not run
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
	m.Alive, m.Figures = s.watchdog.heart, &s.vitals.mailer
	return &shift{office: o, clock: clock, pages: pages, mailer: m}, nil
}

// begin starts the parts, but not a mailer that goes on.
func (s *service) begin(ctx context.Context, h *shift) {
	s.shift = h
	s.logger.Store(h.office.log)
	for _, run := range []func(context.Context) error{h.office.ingester().Run, h.clock.Run, h.office.keepTidy} {
		h.rooms = append(h.rooms, enter(ctx, s.failed, run))
	}
	if h.sending == nil {
		h.sending = enter(ctx, s.failed, h.mailer.Run)
	}
	s.pages.answer(h.pages.Reader())
	s.admin.answer(h.pages.Admin())
}

// end has all parts but the mailer finish what they hold.
func (h *shift) end() {
	leave(h.rooms...)
	h.rooms = nil
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
	return errors.Join(o.store.Relax(ctx, o.config.Durability == "normal"), o.renameLists(ctx))
}
