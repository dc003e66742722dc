package mailer_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// ended is an outbox with nothing to send whose edition has just ended.
type ended struct {
	*outbox
	edition newsletter.Edition
	told    chan struct{}
}

func (o *ended) FinishEditions(context.Context) ([]newsletter.Edition, error) {
	select {
	case <-o.told:
		return nil, nil
	default:
		close(o.told)
		return []newsletter.Edition{o.edition}, nil
	}
}

func TestAnEditionThatWentBadlyIsAWarningWithItsCure(t *testing.T) {
	for name, tt := range map[string]struct {
		failed, ours int
		want, not    []string
	}{
		"all well":   {0, 0, []string{"level=INFO", "failed=0 ours=0"}, []string{"cure="}},
		"a few gone": {20, 0, []string{"level=INFO", "failed=20 ours=0"}, []string{"cure="}},
		"all by us":  {300, 300, []string{"level=WARN", "ours=300", "dispatcher editions show 7", "dispatcher editions retry 7 --owner ours"}, nil},
		"all gone":   {300, 0, []string{"level=WARN", "ours=0", "dispatcher editions show 7"}, []string{"retry"}},
	} {
		t.Run(name, func(t *testing.T) {
			relay := smtptest.NewServer(smtptest.Config{})
			defer relay.Close()
			e := newsletter.Edition{ID: 7, List: "weekly", Made: start, Ours: tt.ours}
			e.Counts.Add(newsletter.Failed, tt.failed)
			e.Counts.Add(newsletter.Sent, 300-tt.failed)
			box := &ended{outbox: newOutbox(0), edition: e, told: make(chan struct{})}
			m := newMailer(box, relayAt(relay, 1))
			var text log
			m.Log = slog.New(slog.NewTextHandler(&text, nil))
			ended := runUntilTold(t, m, box.told, &text)
			for _, want := range append(tt.want, `msg="edition done"`, "edition=7") {
				if !strings.Contains(ended, want) {
					t.Errorf("%q is not in %s", want, ended)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(ended, not) {
					t.Errorf("%q is in %s", not, ended)
				}
			}
		})
	}
}

// runUntilTold runs a mailer until its log has told an end: whoever has returned from Run has.
func runUntilTold(t *testing.T, m *mailer.Mailer, told <-chan struct{}, text *log) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	<-told
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return text.String()
}
