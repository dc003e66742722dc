package mailer

import (
	"errors"
	"time"

	"dispatcher/internal/newsletter"
)

// retryDelays are the waits between tries, lane by lane; the last one repeats. A petition wants to be signed today, a
// digest can wait for a greylisting server to make up its mind.
var retryDelays = map[newsletter.Lane][]time.Duration{
	newsletter.AlertLane:  {time.Minute, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour},
	newsletter.DigestLane: {5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour},
}

// outcome says what one try meant for a delivery. The error is nil, a *newsletter.ReplyError about this message, or a
// *cutError. Patience is time, never a number of tries: only the delivery's Expires ends it. Jitter is in [0, 1).
func outcome(d newsletter.Delivery, err error, at time.Time, jitter float64) newsletter.Outcome {
	o := newsletter.Outcome{DeliveryKey: d.DeliveryKey, At: at, Attempts: d.Attempts + 1}
	var reply *newsletter.ReplyError
	var cut *cutError
	switch {
	case err == nil:
		o.State, o.Code = newsletter.Sent, 250
		return o
	case errors.As(err, &reply):
		o.Code, o.Enhanced, o.Words = reply.Code, reply.Enhanced, reply.Text
		if reply.Permanent() && reply.Stage != newsletter.StageMail { // refused as senders, we wait until that is mended
			o.State, o.Owner = newsletter.Failed, owner(reply)
			return o
		}
	case errors.As(err, &cut) && cut.afterEnd:
		// The relay may have it. A second copy with the same Message-ID is better than none.
		o.Words = "the line was cut after the end of the message"
	default:
		o.Words = newsletter.OneLine(newsletter.Redact(err.Error()), 300)
	}
	delays := retryDelays[d.Lane]
	delay := delays[min(d.Attempts, len(delays)-1)]
	o.State, o.Due = newsletter.Pending, at.Add(delay+time.Duration(jitter*float64(delay)/10))
	if !o.Due.Before(d.Expires) {
		o.State = newsletter.Failed
		o.Words = "patience ran out: " + o.Words
	}
	return o
}

// owner says whose a permanent refusal of a recipient or message is. Only what is surely the reader's costs her address its good name.
func owner(reply *newsletter.ReplyError) newsletter.Owner {
	if newsletter.SaysGone(reply.Code, reply.Enhanced, reply.Text) {
		return newsletter.RecipientGone
	}
	return newsletter.OwnerUnknown
}
