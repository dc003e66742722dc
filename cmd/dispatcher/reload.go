package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"dispatcher/internal/config"
)

// next is a new config, ready to be worked by.
type next struct {
	*shift
	pages, admin net.Listener // sockets at other addresses; nil: they stay
}

// reload reads the config again. With a good one another shift takes over; of a bad one nothing is taken, and the old goes on.
func (s *service) reload(ctx context.Context) {
	s.reloads.Begun++
	s.noteReloads() // before the file is read: who asks from now on asks for another reload than this
	old := s.shift
	n, err := s.prepare(ctx, old.office)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	s.tell("", "Taking over the new config")
	old.end()
	if err := n.office.moveIn(ctx); err != nil {
		s.refuse(ctx, errors.Join(err, n.closeSockets(), old.office.moveIn(ctx)))
		s.begin(ctx, old)
		return
	}
	keep := n.sendsLike(old)
	if keep {
		n.mailer, n.leaving, n.sending = old.mailer, old.leaving, old.sending
	}
	s.begin(ctx, n.shift)
	o := n.office
	s.pages.move(ctx, n.pages, o.config.HTTP.Listen, o)
	s.admin.move(ctx, n.admin, o.config.HTTP.AdminListen, o)
	if !keep {
		old.stopSending()
		s.send(ctx, n.shift)
	}
	s.log().Info("config reloaded", "lists", len(o.lists), "feeds", len(o.feeds), "rehearsal", o.config.Rehearsal,
		"pages", s.pages.address(), "admin", s.admin.address(), "mailer_goes_on", keep)
	o.tellWarnings(ctx)
	s.tellSockets()
	s.tell("", s.status(ctx))
	s.answer("")
}

// answer tells who asked for the reload how it went.
func (s *service) answer(refused string) {
	s.reloads.Ended, s.reloads.Refused = s.reloads.Begun, refused
	s.noteReloads()
}

func (s *service) noteReloads() {
	if err := s.shift.office.store.NoteReloads(s.reloads); err != nil {
		s.log().Warn("telling how a reload went failed", "error", err)
	}
}

// prepare checks everything of the new config that can be refused. The old shift works on meanwhile.
func (s *service) prepare(ctx context.Context, old *office) (n next, err error) {
	cfg, err := config.Load(s.path, old.environ)
	if err != nil {
		return n, err
	}
	if cfg.DataDir != old.config.DataDir {
		return n, config.Problems{cfg.Problem("data_dir", cfg.DataDir, "is another folder than dispatcher serves from", "restart it to change that")}
	}
	o, err := furnish(old.process, cfg)
	if err != nil {
		return n, err
	}
	o.store, o.log = old.store, newLogger(o.process, cfg.Log, serveLevel)
	if err := o.store.TryWrite(ctx); err != nil { // what is on its way could not be written down
		return n, fmt.Errorf("the database cannot be written: %w", err)
	}
	gone, err := o.vanished(ctx)
	if err == nil && len(gone) > 0 {
		err = gone
	}
	if err = errors.Join(err, o.recall(ctx)); err != nil {
		return n, err
	}
	if n.shift, err = s.newShift(o); err != nil {
		return n, err
	}
	if n.pages, err = s.pages.elsewhere(ctx, cfg.HTTP.Listen); err != nil {
		return n, err
	}
	if n.admin, err = s.admin.elsewhere(ctx, cfg.HTTP.AdminListen); err != nil {
		return n, errors.Join(err, n.closeSockets())
	}
	return n, nil
}

func (n *next) closeSockets() (err error) {
	for _, l := range []net.Listener{n.pages, n.admin} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// refuse says, in one line, why the new config is not taken.
func (s *service) refuse(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // it is told to end, which is no fault of the config's
	}
	why, more, _ := strings.Cut(err.Error(), "\n")
	problems := 1
	if more != "" {
		problems += strings.Count(more, "\n") + 1
	}
	s.log().Error("config refused, the old one goes on; `dispatcher check` tells all that is wrong with it", "problems", problems, "first", why)
	s.tell("", "The new config is refused, the old one goes on: "+why)
	s.answer(scrub(err.Error()))
}
