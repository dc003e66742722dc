// Package bounce reads what comes back by mail after the relay had taken a copy: reports of failed delivery (RFC 3464),
// complaints of readers (RFC 5965), and the plain letters that some mail systems write instead.
//
// Which copy a report is about is told by the signed token in its envelope sender alone. What the report says of
// addresses is ignored: anybody can write a report, and nobody shall be silenced by a forged one.
package bounce

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"dispatcher/internal/newsletter"
)

// Reasons for which a message that came back changes nothing. They may be wrapped with what it is instead.
var (
	// ErrNotOurs says that the message bears no token that opens: it is about no copy of this database.
	ErrNotOurs = errors.New("it bears no token of ours")
	// ErrNoBounce says that the message is about a copy of ours, but reports neither a failure nor a complaint.
	ErrNoBounce = errors.New("not a bounce")
)

const (
	maxMessage = 5 << 20 // bytes; what lies behind them is the copy that came back
	maxWords   = 300     // runes
)

// Read tells what a returned message reports. It changes nothing. Recipient is the envelope recipient under which the
// message arrived, empty where that is not known. A message that reports no bounce gives ErrNoBounce, one that is not
// about a copy of ours ErrNotOurs, and one that cannot be read to its end the error of its reader. However broken the
// message is, what can be understood of it counts. Read may be called concurrently.
func Read(message io.Reader, recipient string, keys newsletter.Keys, now time.Time) (newsletter.Bounce, error) {
	raw, err := io.ReadAll(io.LimitReader(message, maxMessage))
	if err != nil {
		return newsletter.Bounce{}, fmt.Errorf("reading returned message: %w", err)
	}
	r := takeApart(raw)
	key, err := r.delivery(recipient, keys)
	if err != nil {
		return newsletter.Bounce{}, err
	}
	b, err := r.verdict()
	if err != nil {
		return newsletter.Bounce{}, err
	}
	b.DeliveryKey, b.At = key, now
	b.Words = newsletter.OneLine(newsletter.Redact(b.Words), maxWords)
	return b, nil
}

// aToken finds the token in an address as our messages carry it. What a forwarder has put around it (SRS, BATV) does
// not matter.
var aToken = regexp.MustCompile(`\+([A-Za-z2-7]+)@`)

// arrivedFor are the fields in which mail systems write down the envelope recipient; To is where a report without them
// says it.
var arrivedFor = []string{"Delivered-To", "X-Original-To", "Envelope-To", "To"}

// delivery says which copy the report is about, by the first token that opens. Those of the envelope come first.
func (r *report) delivery(recipient string, keys newsletter.Keys) (newsletter.DeliveryKey, error) {
	places := []string{recipient}
	for _, name := range arrivedFor {
		places = append(places, r.header.Values(name)...)
	}
	for _, place := range append(places, r.senders...) {
		for _, match := range aToken.FindAllStringSubmatch(place, -1) {
			if key, err := keys.OpenBounce(match[1]); err == nil {
				return key, nil
			}
		}
	}
	return newsletter.DeliveryKey{}, ErrNotOurs
}
