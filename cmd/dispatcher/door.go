package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"dispatcher/internal/web"
)

// door is a socket on which requests come, and who answers them. A reload changes who answers; the socket changes only where the config has
// another address. It is safe for concurrent use.
type door struct {
	key      string // of its address in the config
	wanted   string // the address that the config gave it
	given    bool   // the service manager has opened the socket and keeps it open over restarts: the config's address has no say
	listener net.Listener
	answers  atomic.Pointer[http.Handler]
	failed   chan<- error // takes what it fails with
	room     *room
}

// find takes a socket that was opened for the door, or opens one at the address that the config gives it.
func (d *door) find(ctx context.Context, address string, given []net.Listener) (err error) {
	if len(given) > 0 {
		d.listener, d.given = given[0], true
		return nil
	}
	d.wanted = address
	d.listener, err = listen(ctx, d.key, address)
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
func (d *door) address() string { return d.listener.Addr().String() }

// elsewhere is a socket at the address that another config gives the door; nil: it stays where it is.
func (d *door) elsewhere(ctx context.Context, address string) (net.Listener, error) {
	if d.given || address == d.wanted {
		return nil, nil
	}
	return listen(ctx, d.key, address)
}

// move goes on at another socket, where there is one. What was asked at the old one is still answered.
func (d *door) move(ctx context.Context, to net.Listener, address string, o *office) {
	if to == nil {
		return
	}
	leave(d.room)
	d.listener, d.wanted = to, address
	d.open(ctx, o)
}

// open begins to answer.
func (d *door) open(ctx context.Context, o *office) {
	listener := d.listener
	d.room = enter(ctx, d.failed, func(ctx context.Context) error { return web.Serve(ctx, listener, d, o.log) })
}

func (d *door) answer(h http.Handler) { d.answers.Store(&h) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*d.answers.Load()).ServeHTTP(w, r) }
