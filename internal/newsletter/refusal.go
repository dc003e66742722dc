package newsletter

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// refusalRule is one row of the refusal table. It holds where each field that is not empty holds.
type refusalRule struct {
	stages   []Stage  // one of them
	codes    []string // the reply begins with one of them: "4" is any 4xx
	enhanced []string // one of them, as RFC 3463 writes them: X is any number, and "" that the relay gave none
	words    []string // one of these phrases begins where a word of the reply does
	and      []string // one of these, too
	without  []string // none of these
	owner    Owner
	pace     pace
}

// pace is what a refusal asks of our speed.
type pace int

// The paces. They exclude each other: it does not help to go slower where the allowance of the day is used up.
const (
	asBefore pace = iota
	slower        // more comes than the recipient's host or the relay wants now
	tomorrow      // the allowance of a day is used up
)

// Phrases and codes that more than one row needs. Phrases are plainWords.
var (
	toReader = []Stage{StageRcpt, StageData, StageEnd} // only what is said from RCPT on can be about a recipient
	vague    = []string{"", "X.0.0"}
	refused  = []string{"550", "551", "553"}

	// goneCodes say that the mailbox is not there (RFC 3463 section 3.2, RFC 7505 section 4.2 for 5.1.10).
	goneCodes = []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
	goneWords = []string{
		"user unknown", "unknown user", "recipient unknown", "unknown recipient", "mailbox unknown", "unknown mailbox", "unknown local part",
		"no such user", "no such recipient", "no such mailbox", "no such address", "no such account", "no such person", "invalid recipient",
		"user not found", "recipient not found", "mailbox not found", "user does not exist", "user doesnt exist", "mailbox does not exist",
		"unknown or illegal alias", "no mailbox here by that name", "no mail box here by that name", "not listed in domino", "not listed in public",
		"not our customer", "this user doesnt have a", "utilisateur inconnu", "destinataire inconnu", "adresse d au moins un destinataire invalide",
	}

	// identityCodes are those of RFC 3463 section 3.2 for a bad sender, of RFC 4954 section 6 and of RFC 7372 section 3, and what
	// Google and Microsoft made of the numbers that were left.
	identityCodes = []string{
		"X.1.7", "X.1.8", "X.7.8", "X.7.20", "X.7.21", "X.7.22", "X.7.23", "X.7.24", "X.7.25", "X.7.26", "X.7.27",
		"X.7.29", "X.7.30", "X.7.32", "X.7.40", "X.7.57", "X.7.509", "X.7.515",
	}
	identityWords = []string{
		"spf", "dkim", "dmarc", "sender policy framework", "sender identity", "sender signature", "authentic", "unauthentic", "not verified",
		"not authorized to send", "not authorised to send", "not allowed to send", "not permitted to send", "sending for this account", "not owned by",
		"relay access denied", "relay denied", "relaying denied", "relaying prohibited", "relay not permitted", "relay prohibited",
		"unable to relay", "open relay", "allowed rcpthosts", "ptr record", "reverse dns", "reverse hostname", "rdns", "cannot find your", "helo", "ehlo",
		"starttls", "tls required", "password", "credentials", "unauthorized ip", "spoof", "aligned with",
	}
	reputationWords = []string{
		"reputation", "blocked using", "block list", "blocklist", "black list", "blacklist", "spamhaus", "spamcop", "barracuda", "cloudmark", "dnsbl", "rbl",
		"is listed at", "is listed in", "is listed on", "ts01 ", "ts02 ", "ts03 ", "tss0", "tss1", "ipts0", "s3140 ", "s3150 ", "rp 00", "user complaints",
		"too many spam", "this ip has been", "ip is temporarily", "client host blocked", "adresse ip source bloquee", "service refuse", "hl rep",
		"suspected spam ip", "unusual sending activity", "sending suspended", "sending paused",
	}
	// suspicionWords blame us, too, but only where nothing else is said.
	suspicionWords = []string{"access denied", "your ip", "ip address", "blocked", "client host", "polic", "prohibit", "banned", "abuse"}

	limitWords = []string{"limit", "quota", "exceed", "reached", "too many", "only", "max"}
	dayWords   = []string{"daily", "per day", "a day", "24 h", "24h", "in the last day", "today"}
	rateWords  = []string{
		"rate limit", "ratelimit", "throttl", "message rate", "connection rate", "per hour", "per minute", "this hour",
		"too fast", "too quickly", "too frequent", "too much mail", "too many messages", "too many mails", "too many emails", "too many e mails", "too many connections",
		"too many concurrent", "too many sessions", "too many errors", "maximum number of connections", "trop de connexions",
		"excessive volume", "unexpected volume", "frequency limited", "slow down", "slower", "exceeded permitted limits", "hl ifc", "hl icc", "mi sfq",
	}
)

// refusals is the refusal table. It is read from the top, the first row that holds decides, and the last one always holds.
// What surely is not the reader's fault stands above the rows that cost an address its good name.
var refusals = []refusalRule{
	// A host that makes strangers wait says nothing about them.
	{codes: []string{"4"}, words: []string{"greylist", "graylist", "grey list", "gray list", "not yet authorized to deliver mail", "gl01"}, owner: Theirs},

	// A mailbox that is full or flooded, whatever the code: some hosts write 5.1.1 or 5.2.1 above these words.
	{stages: toReader, words: []string{
		"mailbox full", "mailbox is full", "mailbox for user is full", "inbox is full", "account is full", "out of storage", "over quota", "overquota",
		"over its quota", "mailbox quota", "disk quota", "user quota", "storage allocation", "storage limit", "storage quota",
		"boite du destinataire pleine", "receiving mail too quickly", "receiving mail at a rate", "can receive per", "recipient has exceeded",
	}, owner: RecipientBusy},

	// What the relay lets us send. It is told from a stranger's complaint by being about an allowance.
	{enhanced: []string{"5.1.90", "5.7.232", "5.7.233"}, owner: OurQuota, pace: tomorrow},              // Exchange Online, of a day each
	{words: limitWords, and: dayWords, without: []string{"per hour"}, owner: OurQuota, pace: tomorrow}, // Outlook speaks of limits "per hour and per day"
	{words: []string{"credits exceeded", "tenant has exceeded"}, owner: OurQuota},
	{words: []string{
		"sending rate", "sending limit", "sending quota", "send limit", "message limit", "messages limit", "message quota", "message count quota",
		"submission quota", "unusual rate", "recipient limit exceeded", "smtp relay limit",
	}, owner: OurQuota, pace: slower},

	// A host that checks the sender, and finds nobody there, does not speak of the recipient.
	{words: []string{
		"sender address", "sender verif", "sender domain", "sender rejected", "sender denied", "sender check", "invalid sender", "unknown sender",
		"emetteur invalide", "bad outbound sender", "envelope sender", "envelope from", "envelope rejected", "domain of sender", "domain of the sender",
		"verification failed for", "callout", "callback", "return path", "reverse path", "from header", "from domain", "from address",
	}, owner: OurIdentity},

	// Who we are. Google and others let some through of what they cannot be sure of, so going slower helps there.
	{words: identityWords, and: rateWords, owner: OurIdentity, pace: slower},
	{enhanced: identityCodes, and: rateWords, owner: OurIdentity, pace: slower},
	{codes: []string{"4"}, words: []string{"temporary authentication", "authenticate due to"}, owner: Theirs},
	{enhanced: identityCodes, owner: OurIdentity},
	{words: []string{"certificate", "mta sts", "tlsa", "dnssec"}, owner: Theirs}, // of the next host, as the relay sees it
	{words: identityWords, owner: OurIdentity},
	{codes: []string{"530", "534", "535", "538"}, owner: OurIdentity}, // RFC 4954 section 6
	{words: []string{"sandbox"}, owner: OurIdentity},

	// What is thought of us. A list of bad links is about the message.
	{words: []string{"a url in", "uribl", "surbl"}, owner: OurContent},
	{codes: []string{"4"}, words: reputationWords, owner: OurReputation, pace: slower},
	{words: reputationWords, owner: OurReputation},

	// More than the recipient's host wants from us now.
	{words: rateWords, owner: OurQuota, pace: slower},
	{enhanced: []string{"X.7.28"}, owner: OurQuota, pace: slower}, // "mail flood detected" in IANA's registry
	{codes: []string{"4"}, enhanced: []string{"X.7.X"}, words: []string{"server busy"}, owner: OurQuota, pace: slower},

	// The reader is not there.
	{stages: toReader, codes: []string{"5"}, enhanced: goneCodes, without: []string{"quarantin"}, owner: RecipientGone},
	{stages: toReader, codes: refused, enhanced: vague, words: goneWords, without: []string{"sender", "verif", "spam", "polic", "block"}, owner: RecipientGone},
	{
		stages: toReader, codes: refused, enhanced: vague, words: []string{"does not exist", "doesnt exist"},
		without: []string{"sender", "verif", "spam", "polic", "block", "your ", "domain", "host", "ip ", "dns", "record", "url"}, owner: RecipientGone,
	},

	// The reader is there, but not now.
	{stages: toReader, enhanced: []string{"X.2.2", "5.2.121", "5.2.122"}, owner: RecipientBusy},
	{stages: toReader, codes: []string{"4"}, enhanced: []string{"X.1.X", "X.2.X"}, owner: RecipientBusy},
	{stages: toReader, codes: []string{"4"}, words: append([]string{"mailbox", "recipient temporarily"}, goneWords...), owner: RecipientBusy},

	// What we send.
	{enhanced: []string{"X.6.X", "X.3.4", "X.2.3"}, owner: OurContent}, // media, too big for the system, too big for the mailbox
	{words: []string{
		"spam", "virus", "malware", "phish", "unsolicited", "junk", "content", "attachment", "url", "link", "suspicious", "message header", "duplicate header",
		"rfc 5322", "rfc 2822", "rfc compliant", "message size", "size limit", "databytes", "too large", "too big", "too long", "dt spm",
	}, owner: OurContent},
	{stages: []Stage{StageMail, StageEnd}, codes: []string{"552"}, without: goneWords, owner: OurContent}, // SIZE, RFC 1870 section 6
	{stages: toReader, codes: []string{"552"}, without: goneWords, owner: RecipientBusy},

	// A relay or a host on the way that is not well.
	{enhanced: []string{"X.3.X", "X.4.X"}, owner: Theirs},

	// Where words and code contradict each other, nobody is to blame.
	{stages: toReader, codes: []string{"5"}, words: goneWords, owner: OwnerUnknown},

	// Suspicion. GMX writes it behind the words of RFC 5321 for a service that is not there.
	{codes: []string{"4"}, words: suspicionWords, owner: OurReputation, pace: slower},
	{words: suspicionWords, owner: OurReputation},
	{codes: []string{"4"}, words: []string{
		"temporary system", "temporary server", "temporary lookup", "temporary failure", "temporary error", "temporarily unavailable",
		"local problem", "local error", "internal error", "internal resource", "service unavailable", "service not available", "service currently unavailable",
		"timeout", "timed out",
	}, owner: Theirs},

	// Without telling words, a refusal for reasons of security or policy is about us (RFC 3463 section 3.8), unless it only asks
	// to come again: so do greylisting hosts that do not say what they do.
	{codes: []string{"4"}, enhanced: []string{"X.7.X"}, words: []string{"try again", "try later", "come back"}, owner: Theirs},
	{enhanced: []string{"X.7.X"}, owner: OurReputation},

	// Without any words, the stage and the code have to do (RFC 5321 section 4.2.3).
	{stages: []Stage{StageConnect, StageMail}, codes: []string{"4"}, owner: Theirs},
	{stages: []Stage{StageConnect}, codes: []string{"554"}, owner: OurReputation}, // no service for us
	{stages: []Stage{StageConnect}, codes: []string{"521"}, owner: Theirs},        // no service for anybody, RFC 7504
	{stages: []Stage{StageMail}, codes: []string{"55"}, owner: OurIdentity},
	{codes: []string{"421", "432", "451", "452", "454"}, owner: Theirs},
	{owner: OwnerUnknown},
}

// Owner says whose fault a refusal is, by the refusal table. Only what surely says that the mailbox is not there makes the
// recipient gone, never a 4xx, and what is said before RCPT is never about a recipient.
func (e *ReplyError) Owner() Owner { return e.rule().owner }

// DailyQuota reports whether the allowance of a day is used up: more can be sent when the relay's day ends.
func (e *ReplyError) DailyQuota() bool { return e.rule().pace == tomorrow }

// Throttled reports whether the recipient's host, or the relay, asks us to send slower. Greylisting does not, and neither
// does the end of a day's allowance.
func (e *ReplyError) Throttled() bool { return e.rule().pace == slower }

// SaysGone reports whether a permanent refusal, as a bounce quotes it, surely says that the mailbox is not there. Code is 0,
// and enhanced is empty, where the bounce quotes none.
func SaysGone(code int, enhanced, words string) bool {
	if code == 0 {
		code = 500 // a report of a failure is permanent, whatever the number was
	}
	e := ReplyError{Stage: StageRcpt, Code: code, Enhanced: enhanced, Text: words}
	return e.Owner() == RecipientGone
}

// rule is the row of the refusal table that decides about a reply.
func (e *ReplyError) rule() refusalRule {
	if e.Code < 400 || e.Code > 599 {
		return refusalRule{owner: OwnerUnknown} // it refuses nothing
	}
	code, enhanced, words := strconv.Itoa(e.Code), e.Enhanced, plainWords(e.Text)
	if enhanced == "" {
		enhanced = enhancedInside(e.Text)
	}
	return refusals[slices.IndexFunc(refusals, func(r refusalRule) bool {
		return (r.stages == nil || slices.Contains(r.stages, e.Stage)) &&
			(r.codes == nil || slices.ContainsFunc(r.codes, func(prefix string) bool { return strings.HasPrefix(code, prefix) })) &&
			(r.enhanced == nil || slices.ContainsFunc(r.enhanced, func(pattern string) bool { return matchesCode(pattern, enhanced) })) &&
			(r.words == nil || says(words, r.words)) && (r.and == nil || says(words, r.and)) && !says(words, r.without)
	})]
}

// matchesCode compares an enhanced code with a pattern such as X.7.X, in which an X stands for any number.
func matchesCode(pattern, enhanced string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(enhanced, ".")
	return slices.EqualFunc(want, have, func(want, have string) bool {
		if want != "X" {
			return want == have
		}
		_, err := strconv.ParseUint(have, 10, 16)
		return err == nil
	})
}

// enhancedInside finds the enhanced code that qmail and its kin write into the text, behind a number sign: "(#5.1.1)".
func enhancedInside(text string) string {
	_, rest, _ := strings.Cut(text, "#")
	end := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		rest = rest[:end]
	}
	if rest = strings.TrimRight(rest, "."); matchesCode("X.X.X", rest) {
		return rest
	}
	return ""
}

// says reports whether one of the phrases begins at a word of a text made by plainWords.
func says(words string, phrases []string) bool {
	return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(words, " "+phrase) })
}

// plainWords makes the wordings of many programs comparable: lower case, letters and digits only, one blank in front of
// each word and one at the end. Apostrophes vanish within a word. Addresses and links go: a name in them, such as
// https://help.example/?p=NoSuchUser, says nothing.
func plainWords(text string) string {
	var b strings.Builder
	for field := range strings.FieldsSeq(text) {
		if strings.Contains(field, "@") || strings.Contains(field, "://") || strings.Contains(field, "[address]") {
			continue
		}
		b.WriteByte(' ')
		for _, r := range field {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r):
				b.WriteRune(unicode.ToLower(r))
			case r != '\'' && r != '’':
				b.WriteByte(' ')
			}
		}
	}
	return " " + strings.Join(strings.Fields(b.String()), " ") + " "
}
