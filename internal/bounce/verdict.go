package bounce

import (
	"fmt"
	"mime"
	"regexp"
	"strconv"
	"strings"

	"dispatcher/internal/newsletter"
)

// Shapes of what mail systems say.
var (
	aStatus  = regexp.MustCompile(`[245]\.\d{1,3}\.\d{1,3}`)
	anInline = regexp.MustCompile(`(?:^|\b[245]\d\d[ -]|#)([245]\.\d{1,3}\.\d{1,3})\b`) // an enhanced code in front, behind a reply's, behind a number sign
	aRefusal = regexp.MustCompile(`\b55[013]\b`)
	aReply   = regexp.MustCompile(`\b[45]\d\d[ -]|#[45]\.\d`)
	aDaemon  = regexp.MustCompile(`(?i)mailer-daemon|postmaster|mail delivery (sub)?system|microsoftexchange`)
	theCopy  = regexp.MustCompile(`(?mi)^-+ *(below this line|this is a copy|original message|returned message)`)
	notFinal = regexp.MustCompile(`(?i)^(warning:|delayed|delivery delayed|delivery status notification \(delay\))`)
	aHoliday = regexp.MustCompile(`(?i)^(out of (the )?office|auto(matic)?[ -]?(reply|response)|auto:|vacation|away from|abwesen|absence|réponse automatique)`)
)

// verdict says what the report means, without the copy that it is about.
func (r *report) verdict() (newsletter.Bounce, error) {
	switch {
	case r.feedback != nil:
		return r.complaint()
	case len(r.recipients) > 0:
		return r.failure()
	default:
		return r.letter()
	}
}

// complaint reads a feedback report. Other types of feedback, such as not-spam, are no complaints.
func (r *report) complaint() (newsletter.Bounce, error) {
	if !strings.EqualFold(r.feedback.Get("Feedback-Type"), "abuse") {
		return newsletter.Bounce{}, fmt.Errorf("%w: feedback that is no complaint", ErrNoBounce)
	}
	return newsletter.Bounce{Kind: newsletter.Complaint, Words: r.feedback.Get("User-Agent")}, nil
}

// failure reads a delivery status. An alias may stand for several recipients: it is gone only if all of them are.
func (r *report) failure() (newsletter.Bounce, error) {
	var found newsletter.Bounce
	others := false
	for _, recipient := range r.recipients {
		status := aStatus.FindString(recipient.Get("Status"))
		action := strings.ToLower(recipient.Get("Action"))
		if !strings.HasPrefix(action, "failed") && (action != "" || !strings.HasPrefix(status, "5")) {
			others = true // delayed, delivered, relayed or expanded
			continue
		}
		diagnostic := recipient.Get("Diagnostic-Code")
		if _, words, typed := strings.Cut(diagnostic, ";"); typed { // "smtp; 550 ..."
			diagnostic = strings.TrimSpace(words)
		}
		if b := judge(status, diagnostic); found.Kind != newsletter.SoftBounce {
			found = b
		}
	}
	if found.Kind == "" {
		return newsletter.Bounce{}, fmt.Errorf("%w: a report without a failure", ErrNoBounce)
	}
	if others {
		found.Kind = newsletter.SoftBounce
	}
	return found, nil
}

// letter reads what has no part for machines: the words of old mail systems, holiday notices, challenges, letters of
// readers. Only a mail system returns mail, and it says that it is one, or answers without a sender and quotes a code.
// Auto-Submitted alone tells nothing: Postfix and Exim write auto-replied on bounces, as holiday notices do (RFC 3834).
func (r *report) letter() (newsletter.Bounce, error) {
	subject := r.header.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(subject); err == nil {
		subject = decoded
	}
	words := tellingWords(r.text)
	daemon := aDaemon.MatchString(r.header.Get("From")) || r.header.Get("X-Failed-Recipients") != ""
	switch {
	case notFinal.MatchString(subject):
		return newsletter.Bounce{}, fmt.Errorf("%w: a warning that delivery takes longer", ErrNoBounce)
	case aHoliday.MatchString(subject), !daemon && r.automatic():
		return newsletter.Bounce{}, fmt.Errorf("%w: an automatic reply", ErrNoBounce)
	case !daemon && (!r.nullSender || !anInline.MatchString(words)):
		return newsletter.Bounce{}, fmt.Errorf("%w: a letter", ErrNoBounce)
	}
	b := judge("", words)
	if b.Words == "" {
		b.Words = subject
	}
	return b, nil
}

// automatic reports whether the header says that nobody wrote this (RFC 3834 section 5, and what was used before it).
func (r *report) automatic() bool {
	submitted := r.header.Get("Auto-Submitted")
	return submitted != "" && !strings.EqualFold(submitted, "no") ||
		r.header.Get("X-Autoreply") != "" || r.header.Get("X-Autorespond") != "" ||
		strings.EqualFold(r.header.Get("Precedence"), "auto_reply")
}

// tellingWords is the first paragraph that quotes a reply, in front of the copy that came back.
func tellingWords(text string) string {
	if i := theCopy.FindStringIndex(text); i != nil {
		text = text[:i[0]]
	}
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if aReply.MatchString(paragraph) {
			return paragraph
		}
	}
	return ""
}

// judge tells hard from soft by an enhanced code and the words that go with it. Hard is only what surely says that the
// address is gone: quota, policy, content and routing are not the reader's fault. A status of 5.0.0 says no more than
// that it failed, and many programs write it above a diagnostic that says more.
func judge(status, diagnostic string) newsletter.Bounce {
	if inline := anInline.FindStringSubmatch(diagnostic); inline != nil && vague(status) {
		status = inline[1]
	}
	b := newsletter.Bounce{Kind: newsletter.SoftBounce, Status: status, Words: diagnostic}
	code, err := strconv.Atoi(aRefusal.FindString(diagnostic))
	if err != nil {
		code = 0 // it quotes none
	}
	if newsletter.SaysGone(code, status, diagnostic) {
		b.Kind = newsletter.HardBounce
	}
	return b
}

func vague(status string) bool { return status == "" || status == "5.0.0" }
