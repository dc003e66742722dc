package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// readyPatience is how long the answer may take whether dispatcher is ready: a writer waits for others meanwhile.
const readyPatience = 5 * time.Second

// healthz says that the process answers.
func healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
}

// routeMonitoring adds what the admin listener has for monitoring.
func (p *Pages) routeMonitoring(mux *http.ServeMux) {
	if p.ready == nil {
		return
	}
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.Handle("/readyz", p.only("GET, HEAD"))
	if p.monitored != nil {
		mux.HandleFunc("GET /metrics", p.metrics())
		mux.Handle("/metrics", p.only("GET, HEAD"))
	}
}

// readyView is what /readyz answers in JSON.
type readyView struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	Notes   []string `json:"notes"`
}

// readyz says whether dispatcher can do its work, and if not why: a line for each reason, or JSON where ?format=json or the Accept header
// asks for it. What does not keep it from its work is noted after "ready".
func (p *Pages) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	now := p.ready(ctx)
	status := http.StatusOK
	if len(now.Reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	if r.URL.Query().Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		view := readyView{Ready: len(now.Reasons) == 0, Reasons: append([]string{}, now.Reasons...), Notes: append([]string{}, now.Notes...)}
		body, err := json.Marshal(view)
		if err != nil {
			status, body = http.StatusInternalServerError, []byte("{}") // strings can always be marshalled
		}
		answer(w, status, "application/json", append(body, '\n'))
		return
	}
	lines := now.Reasons
	if status == http.StatusOK {
		lines = []string{"ready"}
	}
	lines = slices.Concat(lines, now.Notes)
	answer(w, status, "text/plain; charset=utf-8", []byte(strings.Join(lines, "\n")+"\n"))
}
