package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// arrivals are the connections whose first request nobody has answered yet. [http.Server.Shutdown] drops a request that it reads after the
// end was asked for; a client that had just been let in would get no answer, in a restart that is to refuse nobody.
type arrivals struct {
	mu      sync.Mutex
	waiting map[net.Conn]bool
}

// arrival is the key of a connection in the context of its requests.
type arrival struct{}

func (a *arrivals) arrive(ctx context.Context, c net.Conn) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[c] = true
	return context.WithValue(ctx, arrival{}, c)
}

func (a *arrivals) leave(c net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, c)
}

func (a *arrivals) change(c net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		a.leave(c)
	}
}

func (a *arrivals) let(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(arrival{}).(net.Conn); ok {
			a.leave(c)
		}
		h.ServeHTTP(w, r)
	})
}

// empty waits until every first request is being answered, but not for long for those who do not ask.
func (a *arrivals) empty(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		a.mu.Lock()
		n := len(a.waiting)
		a.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
