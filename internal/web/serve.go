package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Patience with one connection, and the most that its header may hold. A phone on a bad line needs
// seconds for our few kilobytes; whoever needs longer holds a connection that readers want.
const (
	headerPatience = 10 * time.Second
	readPatience   = 20 * time.Second
	writePatience  = 40 * time.Second // from the end of the header: reading, ledgerPatience, writing
	idlePatience   = 60 * time.Second
	endPatience    = 15 * time.Second // for the requests that are in work when the end is asked for
	firstPatience  = 1 * time.Second  // for the first request of a connection that had come in before that
	maxHeader      = 16 << 10         // bytes
)

// Serve answers requests from a listener, which it closes, until ctx is cancelled; requests that are in work then get
// their answer. It blocks, returns nil once cancelled and an error when the listener fails before.
func Serve(ctx context.Context, listener net.Listener, h http.Handler, log *slog.Logger) error {
	door := &arrivals{waiting: map[net.Conn]bool{}}
	server := &http.Server{
		Handler:                      door.let(h),
		ConnContext:                  door.arrive,
		ConnState:                    door.change,
		ReadHeaderTimeout:            headerPatience,
		ReadTimeout:                  readPatience,
		WriteTimeout:                 writePatience,
		IdleTimeout:                  idlePatience,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // its answers would lack our headers
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	closing := onceListener{listener, sync.OnceValue(listener.Close)}
	go func() { ended <- server.Serve(closing) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	_ = closing.Close() // nobody else comes in
	<-ended
	door.empty(grace, firstPatience)
	if err := server.Shutdown(grace); err != nil {
		log.Warn("cutting HTTP requests off that did not end", "error", err)
		_ = server.Close() // its only error is the listener's, which is closed
	}
	return nil
}

// onceListener is a listener that may be closed more than once.
type onceListener struct {
	net.Listener
	close func() error
}

func (l onceListener) Close() error { return l.close() }
