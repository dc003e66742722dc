package store_test

import (
	"fmt"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/store"
)

// outboxOf makes an edition for n readers.
func outboxOf(b *testing.B, n int) *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), b.TempDir(), start)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	var batch []store.Enrolment
	for i := range n {
		batch = append(batch, store.Enrolment{
			Subscriber: newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", i)), Name: "Reader"},
			Lists:      []string{"weekly"}, Confirmed: true,
		})
	}
	if _, err := s.Enrol(b.Context(), batch, start); err != nil {
		b.Fatal(err)
	}
	d := newsletter.Draft{
		List: newsletter.List{ID: "weekly", Kind: newsletter.Digest}, Slot: newsletter.Slot{List: "weekly", Due: start}, Made: start, Life: 72 * time.Hour, Expires: start.Add(72 * time.Hour),
		Variants: []newsletter.Variant{{ID: 1, Message: []byte("message")}}, Audience: []newsletter.Audience{{Variant: 1}},
	}
	d.List.FirstWave.N = n // nobody waits for a verdict
	if _, err := s.Freeze(b.Context(), d); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkClaim gives out one delivery, in claims of as many as the mailer takes.
func BenchmarkClaim(b *testing.B) {
	for _, n := range []int{80, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := outboxOf(b, b.N)
			b.ResetTimer()
			for left := b.N; left > 0; {
				got, err := s.ClaimDeliveries(b.Context(), newsletter.Claim{Run: 1, Lane: newsletter.DigestLane, Now: start, N: min(n, left)})
				if err != nil || len(got) == 0 {
					b.Fatalf("%d claimed, %v", len(got), err)
				}
				left -= len(got)
			}
		})
	}
}

// BenchmarkRecord records one outcome, in groups of as many as there are connections.
func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{1, 8, 20, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := outboxOf(b, b.N)
			var outcomes []newsletter.Outcome
			for len(outcomes) < b.N {
				got, err := s.ClaimDeliveries(b.Context(), newsletter.Claim{Run: 1, Lane: newsletter.DigestLane, Now: start, N: 1000})
				if err != nil {
					b.Fatal(err)
				}
				for _, d := range got {
					outcomes = append(outcomes, newsletter.Outcome{DeliveryKey: d.DeliveryKey, State: newsletter.Sent, At: start, Attempts: 1})
				}
			}
			b.ResetTimer()
			for left := outcomes; len(left) > 0; {
				group := left[:min(n, len(left))]
				if err := s.RecordOutcomes(b.Context(), group); err != nil {
					b.Fatal(err)
				}
				left = left[len(group):]
			}
		})
	}
}
