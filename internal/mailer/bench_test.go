package mailer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"dispatcher/internal/mailer"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// endless is an outbox of so many deliveries that keeps nothing.
type endless struct {
	outbox
	mu       sync.Mutex
	left     int
	open     int
	finished chan struct{}
}

func (o *endless) ClaimDeliveries(_ context.Context, c newsletter.Claim) (claimed []newsletter.Delivery, _ error) {
	if c.Lane != newsletter.DigestLane {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for ; o.left > 0 && len(claimed) < c.N; o.left-- {
		claimed = append(claimed, newsletter.Delivery{
			DeliveryKey: newsletter.DeliveryKey{Edition: 1, Subscriber: newsletter.SubscriberID(o.left)}, Lane: c.Lane,
			Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", o.left)), FirstDue: start, Expires: start.Add(time.Hour),
		})
	}
	return claimed, nil
}

func (o *endless) RecordOutcomes(_ context.Context, outcomes []newsletter.Outcome) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open -= len(outcomes); o.open == 0 {
		close(o.finished)
	}
	return nil
}

// letter composes the same 12 kB for everybody.
type letter []byte

func (l letter) Compose(_ context.Context, d newsletter.Delivery, buffer []byte) (newsletter.Message, error) {
	return newsletter.Message{From: "news@example.org", To: d.Address, Data: append(buffer, l...)}, nil
}

// BenchmarkPump sends one message of 12 kB to a relay in this process, with an outbox that costs nothing.
func BenchmarkPump(b *testing.B) {
	for _, connections := range []int{1, 20, 64} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			relay := smtptest.NewServer(smtptest.Config{DiscardData: true})
			defer relay.Close()
			box := &endless{left: b.N, open: b.N, finished: make(chan struct{})}
			message := letter("Subject: A letter\r\n\r\n" + string(bytes.Repeat([]byte("A line of a letter, as long as lines in quoted-printable text are.\r\n"), 175)))
			m := &mailer.Mailer{
				Outbox: box, Composer: message, Relays: []mailer.Relay{relayAt(relay, connections)}, Poll: time.Millisecond,
				Now: (&clock{now: start}).Now, Log: slog.New(slog.DiscardHandler),
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			b.ReportAllocs()
			b.ResetTimer()
			go func() { done <- m.Run(ctx) }()
			<-box.finished
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}
