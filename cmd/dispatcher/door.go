package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"dispatcher/internal/web"
)

// door is where requests come in, and who answers them. A reload changes who answers; the socket changes only where the config has another
// address. It is safe for concurrent use.
type door struct {
	key     string         // of its address in the config
	wanted  string         // the address that the config gave it
	given   bool           // the service manager has opened the sockets and keeps them over restarts: the config's address has no say
	sockets []net.Listener // one, unless more were given
	answers atomic.Pointer[http.Handler]
	failed  chan<- error // takes what it fails with
	rooms   []*room
}

// find takes the sockets that were opened for the door, or opens one at the address that the config gives it.
func (d *door) find(ctx context.Context, address string, given []net.Listener) error {
	if len(given) > 0 {
		d.sockets, d.given = given, true
		return nil
	}
	d.wanted = address
	l, err := listen(ctx, d.key, address)
	if err == nil {
		d.sockets = []net.Listener{l}
	}
	return err
}

func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for pages: %w; give %s another address", err, key)
	}
	return l, nil
}

// address is where it really is.
func (d *door) address() string {
	var all []string
	for _, l := range d.sockets {
		all = append(all, l.Addr().String())
	}
	return strings.Join(all, ", ")
}

// elsewhere is a socket at the address that another config gives the door; nil: it stays where it is.
func (d *door) elsewhere(ctx context.Context, address string) (net.Listener, error) {
	if d.given || address == d.wanted {
		return nil, nil
	}
	l, err := listen(ctx, d.key, address)
	if err != nil {
		err = fmt.Errorf("%w; one that overlaps the present address %s takes a restart", err, d.wanted)
	}
	return l, err
}

// move goes on at another socket, where there is one. What was asked at the old one is still answered.
func (d *door) move(ctx context.Context, to net.Listener, address string, o *office) {
	if to == nil {
		return
	}
	leave(d.rooms...)
	d.sockets, d.wanted = []net.Listener{to}, address
	d.open(ctx, o)
}

// open begins to answer.
func (d *door) open(ctx context.Context, o *office) {
	d.rooms = nil
	for _, l := range d.sockets {
		d.rooms = append(d.rooms, enter(ctx, d.failed, func(ctx context.Context) error { return web.Serve(ctx, l, d, o.log) }))
	}
}

// close closes the sockets of a door that was never opened.
func (d *door) close() (err error) {
	for _, l := range d.sockets {
		err = errors.Join(err, l.Close())
	}
	return err
}

func (d *door) answer(h http.Handler) { d.answers.Store(&h) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*d.answers.Load()).ServeHTTP(w, r) }
