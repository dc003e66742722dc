package render_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/render"
)

// shelf holds the one variant that there is.
type shelf struct{ only newsletter.Variant }

func (s shelf) Variant(context.Context, newsletter.EditionID, newsletter.VariantID, time.Time) (newsletter.Variant, error) {
	return s.only, nil
}

// composer composes one variant, with two keys.
func composer(v newsletter.Variant) *render.Composer {
	return &render.Composer{
		Variants: shelf{v}, Publisher: publisher(),
		Keys: newsletter.Keys{
			1: {ID: 1, Secret: bytes.Repeat([]byte{1}, 32)},
			2: {ID: 2, Secret: bytes.Repeat([]byte{2}, 32)},
		},
	}
}

// copyOf is a copy of edition 9 for a reader.
func copyOf(follows newsletter.Followed) newsletter.Delivery {
	return newsletter.Delivery{
		DeliveryKey: newsletter.DeliveryKey{Edition: 9, Subscriber: 77}, List: "act", Variant: 1, Address: "noor@reader.example",
		FirstDue: monday, KeyID: 2, Follows: follows,
	}
}

// TestComposeInThread holds that a follow-up answers the very message that its reader got before, whichever key that was made with.
func TestComposeInThread(t *testing.T) {
	for name, key := range map[string]newsletter.KeyID{"the same key": 2, "an older key": 1} {
		t.Run(name, func(t *testing.T) {
			c := composer(inThread(t, true))
			before := copyOf(newsletter.Followed{})
			before.Edition, before.KeyID = 5, key
			first, err := c.Compose(t.Context(), before, nil)
			if err != nil {
				t.Fatal(err)
			}
			second, err := c.Compose(t.Context(), copyOf(newsletter.Followed{Edition: 5, KeyID: key}), nil)
			if err != nil {
				t.Fatal(err)
			}
			h, want := header(t, second.Data), header(t, first.Data).Get("Message-ID")
			if h.Get("In-Reply-To") != want || h.Get("References") != want || h.Get("Message-ID") == want {
				t.Errorf("In-Reply-To = %s, References = %s, Message-ID = %s; the first message is %s", h.Get("In-Reply-To"), h.Get("References"), h.Get("Message-ID"), want)
			}
			if got := c.Personal(copyOf(newsletter.Followed{Edition: 5, KeyID: key})).Follows; "<"+got+">" != want {
				t.Errorf("Personal follows %s, want %s", got, want)
			}
		})
	}
}

// TestComposeOutsideThread holds that a copy which answers nothing has no fields of a thread, whatever its variant has room for.
func TestComposeOutsideThread(t *testing.T) {
	for name, tt := range map[string]struct {
		room    bool
		follows newsletter.Followed
	}{
		"a regular edition": {false, newsletter.Followed{}},
		"nothing to answer": {true, newsletter.Followed{}},
		"no room for it":    {false, newsletter.Followed{Edition: 5, KeyID: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := composer(inThread(t, tt.room)).Compose(t.Context(), copyOf(tt.follows), nil)
			if err != nil {
				t.Fatal(err)
			}
			h := header(t, m.Data)
			if len(h["In-Reply-To"])+len(h["References"]) > 0 {
				t.Errorf("header = %v", h)
			}
		})
	}
}

// TestComposeWithoutKey holds that a missing key is told, of the edition itself and of the one it answers.
func TestComposeWithoutKey(t *testing.T) {
	for name, change := range map[string]func(*newsletter.Delivery){
		"own":      func(d *newsletter.Delivery) { d.KeyID = 3 },
		"followed": func(d *newsletter.Delivery) { d.Follows.KeyID = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			d := copyOf(newsletter.Followed{Edition: 5, KeyID: 1})
			change(&d)
			if _, err := composer(inThread(t, true)).Compose(t.Context(), d, nil); !errors.Is(err, newsletter.ErrNotFound) {
				t.Errorf("Compose = %v", err)
			}
		})
	}
}

func BenchmarkCompose(b *testing.B) {
	for name, follows := range map[string]newsletter.Followed{"alone": {}, "in a thread": {Edition: 5, KeyID: 1}} {
		b.Run(name, func(b *testing.B) {
			c, d := composer(inThread(b, follows.Edition != 0)), copyOf(follows)
			m, err := c.Compose(b.Context(), d, nil)
			b.ReportAllocs()
			for b.Loop() && err == nil {
				m, err = c.Compose(b.Context(), d, m.Data[:0])
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
