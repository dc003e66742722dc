package web

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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
	maxHeader      = 16 << 10         // bytes
)

// Serve answers requests from a listener, which it closes, until ctx is cancelled; requests that are in work then get
// their answer. It blocks, returns nil once cancelled and an error when the listener fails before.
func Serve(ctx context.Context, listener net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerPatience,
		ReadTimeout:                  readPatience,
		WriteTimeout:                 writePatience,
		IdleTimeout:                  idlePatience,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // its answers would lack our headers
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("cutting HTTP requests off that did not end", "error", err)
		_ = server.Close() // its only error is the listener's, which is closed
	}
	<-ended
	return nil
}
