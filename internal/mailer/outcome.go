package mailer

import (
	"errors"
	"slices"
	"time"

	"dispatcher/internal/newsletter"
)

// retryDelays are the waits between tries, lane by lane; the last one repeats. A petition wants to be signed today, a
// digest can wait for a greylisting server to make up its mind.
var retryDelays = map[newsletter.Lane][]time.Duration{
	newsletter.NoticeLane: {time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
	newsletter.AlertLane:  {time.Minute, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour},
	newsletter.DigestLane: {5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour},
}

// attempt is one try at a delivery: the error is nil, a *newsletter.ReplyError, a *cutError or an *unableError.
type attempt struct {
	newsletter.Delivery
	err    error
	at     time.Time
	jitter float64           // in [0, 1)
	hold   []newsletter.Lane // where a copy that the relay may have is not sent again
	others bool              // there are other relays, which may offer what this one does not
}

// outcome says what a try meant for its delivery. Patience is time, never a number of tries: only the delivery's Expires ends it.
func outcome(t attempt) newsletter.Outcome {
	o := newsletter.Outcome{DeliveryKey: t.DeliveryKey, At: t.at, Attempts: t.Attempts + 1}
	var reply *newsletter.ReplyError
	var unable *unableError
	v := judge(t.err)
	switch {
	case t.err == nil:
		o.State, o.Code = newsletter.Sent, 250
		return o
	case errors.As(t.err, &unable) && !t.others:
		o.State, o.Owner, o.Words = newsletter.Failed, unable.owner, unable.why
		return o
	case errors.As(t.err, &reply):
		o.Code, o.Enhanced, o.Words, o.Owner = reply.Code, reply.Enhanced, reply.Text, reply.Owner()
	case afterEnd(t.err): // the relay may have it (RFC 1047)
		o.Words = "the line was cut after the end of the message: " + cutWords(t.err)
		if slices.Contains(t.hold, t.Lane) {
			o.State = newsletter.Unknown
			return o
		}
	default:
		o.Words = cutWords(t.err)
	}
	switch {
	case v.about == aboutSender || v.about == aboutDay: // not the copy's fault: it waits for the relay
		o.State, o.Due, o.Attempts = newsletter.Pending, t.at, t.Attempts
		return o
	case reply != nil && reply.Permanent():
		o.State = newsletter.Failed
		return o
	}
	delays := retryDelays[t.Lane]
	delay := delays[min(t.Attempts, len(delays)-1)]
	if t.Attempts == 0 && afterEnd(t.err) {
		delay = 0 // most likely it was cut in the middle: the kernel takes a message whole, and does not tell how far it went
	}
	o.State, o.Due = newsletter.Pending, t.at.Add(delay+time.Duration(t.jitter*float64(delay)/10))
	if !o.Due.Before(t.Expires) {
		o.State = newsletter.Failed
		o.Words = "patience ran out: " + o.Words
	}
	return o
}

// aboutTheLine reports whether what ended a try says nothing about its message, and something about the connection: it broke, or the
// relay closed it with 421 (RFC 5321 section 3.8). A 421 to one recipient's message that asks for less mail is about that.
func aboutTheLine(err error) bool {
	var reply *newsletter.ReplyError
	var unable *unableError
	switch {
	case err == nil || errors.As(err, &unable):
		return false
	case errors.As(err, &reply):
		early := reply.Stage == newsletter.StageConnect || reply.Stage == newsletter.StageMail
		return reply.Code == 421 && (early || !reply.Throttled()) && !reply.DailyQuota()
	}
	return true
}

func cutWords(err error) string { return newsletter.OneLine(newsletter.Redact(err.Error()), 300) }

func afterEnd(err error) bool {
	var cut *cutError
	return errors.As(err, &cut) && cut.afterEnd
}

// verdict is what a try says about others than its reader.
type verdict struct {
	about     subject
	throttled bool // the class of the recipient asks us to slow down
}

// subject is what a try tells us something about.
type subject int

const (
	aboutNobody subject = iota // the relay took it
	aboutReader                // a reply for this message alone
	aboutUs                    // refused for our sake: who we are, what we send, how much
	aboutSender                // refused before there was a recipient
	aboutRelay                 // the relay or the line is not well
	aboutDay                   // the allowance of the relay's day is used up
)

// judge says what a try is about (promise 3).
func judge(err error) verdict {
	var reply *newsletter.ReplyError
	var unable *unableError
	switch {
	case err == nil:
		return verdict{about: aboutNobody}
	case errors.As(err, &unable):
		return verdict{about: aboutReader}
	case aboutTheLine(err) || !errors.As(err, &reply):
		return verdict{about: aboutRelay}
	case reply.DailyQuota():
		return verdict{about: aboutDay}
	case reply.Stage == newsletter.StageMail && reply.Code == 552: // its size, not its sender
		return verdict{about: aboutReader}
	case reply.Stage == newsletter.StageMail && reply.Permanent():
		return verdict{about: aboutSender}
	case reply.Stage == newsletter.StageMail:
		return verdict{about: aboutRelay}
	case reply.Owner().Ours() && (reply.Permanent() || reply.Owner() == newsletter.OurQuota):
		return verdict{about: aboutUs, throttled: reply.Throttled()}
	}
	return verdict{about: aboutReader, throttled: reply.Throttled()}
}
