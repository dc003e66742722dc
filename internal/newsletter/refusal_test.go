package newsletter_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
)

// What a refusal asks of our speed.
const (
	slower   = "slower"
	tomorrow = "tomorrow"
)

// refusal is a reply as it comes over the line, and what it means.
type refusal struct {
	stage    newsletter.Stage
	code     int
	enhanced string
	text     string
	owner    newsletter.Owner
	asks     string // of our speed: nothing, slower, tomorrow
}

func (r refusal) reply() *newsletter.ReplyError {
	return &newsletter.ReplyError{Stage: r.stage, Code: r.code, Enhanced: r.enhanced, Text: r.text}
}

const (
	connect, mailFrom, rcpt, end = newsletter.StageConnect, newsletter.StageMail, newsletter.StageRcpt, newsletter.StageEnd

	gone, busy           = newsletter.RecipientGone, newsletter.RecipientBusy
	identity, reputation = newsletter.OurIdentity, newsletter.OurReputation
	content, quota       = newsletter.OurContent, newsletter.OurQuota
	theirs, unknown      = newsletter.Theirs, newsletter.OwnerUnknown
)

// refusals are replies as relays and hosts word them.
var refusals = map[string]refusal{
	"gmail: no such user":        {rcpt, 550, "5.1.1", "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. For more information, go to https://support.google.com/mail/?p=NoSuchUser s77-20020a05600c1d - gsmtp", gone, ""},
	"gmail: recipient flooded":   {rcpt, 450, "4.2.1", "The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time. If the user is able to receive mail at that time, your message will be delivered.", busy, ""},
	"gmail: flooded for good":    {rcpt, 550, "5.2.1", "The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered. https://support.google.com/mail/?p=ReceivingRatePerm", busy, ""},
	"gmail: full":                {rcpt, 552, "5.2.2", "The email account that you tried to reach is over quota. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm", busy, ""},
	"gmail: unusual rate":        {end, 421, "4.7.28", "Gmail has detected an unusual rate of mail originating from your SPF domain example.org. To protect our users from spam, mail has been temporarily rate limited.", quota, slower},
	"gmail: rate of the IP":      {end, 421, "4.7.0", "Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been temporarily blocked.", quota, slower},
	"gmail: rate, for good":      {end, 550, "5.7.28", "There is an unusual rate of unsolicited mail originating from your IP address. To protect our users from spam, mail sent from your IP address has been blocked.", quota, slower},
	"gmail: low reputation":      {end, 421, "4.7.0", "This message is suspicious due to the very low reputation of the sending IP address/domain. To protect our users from spam, mail sent from your IP address has been temporarily rate limited.", reputation, slower},
	"gmail: no SPF, no DKIM":     {end, 550, "5.7.26", "This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", identity, ""},
	"gmail: not quite DKIM":      {end, 421, "4.7.30", "Your email has been rate limited because DKIM authentication didn't pass for this message.", identity, slower},
	"gmail: system problem":      {connect, 421, "4.7.0", "Temporary System Problem. Try again later.", theirs, ""},
	"gmail: closing":             {connect, 421, "4.7.0", "Try again later, closing connection.", theirs, ""},
	"gmail relay: day's end":     {end, 550, "5.4.5", "Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852", quota, tomorrow},
	"gmail relay: cannot log in": {connect, 454, "4.7.0", "Cannot authenticate due to a temporary system problem. Try again later.", theirs, ""},

	"yahoo: complaints":      {mailFrom, 421, "4.7.0", "[TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", reputation, slower},
	"yahoo: for good":        {mailFrom, 553, "5.7.2", "[TSS09] All messages from 192.0.2.25 will be permanently deferred; Retrying will NOT succeed.", reputation, ""},
	"yahoo: no such user":    {rcpt, 550, "", "relaying to mailbox reader@example.net refused, the account does not exist", gone, ""},
	"yahoo: by another code": {end, 554, "", "delivery error: dd This user doesn't have a yahoo.com account (reader@example.net) [-5]", unknown, ""},
	"yahoo: after all data":  {end, 552, "", "1 Requested mail action aborted, mailbox not found", unknown, ""},
	"yahoo: first contact":   {end, 421, "4.7.0", "[GL01] Message from (192.0.2.25) temporarily deferred - 4.16.50.", theirs, ""},
	"yahoo: end of the line": {mailFrom, 421, "", "Max message per connection reached, closing transmission channel", theirs, ""},

	"outlook: no such user":        {rcpt, 550, "5.5.0", "Requested action not taken: mailbox unavailable (S2017062302).", unknown, ""},
	"outlook: rate by reputation":  {mailFrom, 451, "4.7.650", "The mail server [192.0.2.5] has been temporarily rate limited due to IP reputation. For e-mail delivery information, see https://postmaster.live.com (S775)", reputation, slower},
	"outlook: RP-001":              {connect, 421, "", "RP-001 Unfortunately, some messages from 192.0.2.5 weren't sent. Please try again. We have limits for how many messages can be sent per hour and per day.", reputation, slower},
	"outlook: server busy":         {rcpt, 451, "4.7.500", "Server busy. Please try again later from [192.0.2.5]. (AS761)", quota, slower},
	"outlook: block list":          {mailFrom, 550, "5.7.1", "Unfortunately, messages from [192.0.2.5] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140).", reputation, ""},
	"outlook: later":               {rcpt, 451, "4.7.550", "Access denied, please try again later.", reputation, slower},
	"outlook: authentication":      {end, 550, "5.7.515", "Access denied, sending domain example.org doesn't meet the required authentication level.", identity, ""},
	"exchange: not found":          {rcpt, 550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", gone, ""},
	"exchange: edge":               {rcpt, 550, "5.4.1", "Recipient address rejected: Access denied. [EX1.example.net 2026-11-22T10:00:00.000Z]", theirs, ""},
	"exchange: quarantine":         {end, 550, "5.2.1", "Content Filter agent quarantined this message", content, ""},
	"office 365: day's recipients": {end, 550, "5.1.90", "Your message can't be sent because you've reached your daily limit for message recipients", quota, tomorrow},
	"office 365: rolling day":      {end, 550, "5.2.2", "Submission rejected: the mailbox has exceeded its recipient rate limit per 24h", quota, tomorrow},
	"office 365: tenant's day":     {end, 550, "5.7.233", "Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients (tenant external recipient rate limit).", quota, tomorrow},
	"office 365: tenant":           {mailFrom, 550, "5.7.705", "Access denied, tenant has exceeded threshold", quota, ""},

	"icloud: no such user":      {rcpt, 550, "5.1.1", "<reader@example.net>: inactive email address", gone, ""},
	"icloud: volume":            {rcpt, 421, "4.7.1", "Messages to reader@example.net deferred due to excessive volume. Try again later - https://support.apple.com/en-us/HT204137", quota, slower},
	"proofpoint: marked":        {rcpt, 550, "5.7.1", "<reader@example.net>: Recipient address rejected: User email address is marked as invalid", reputation, ""},
	"barracuda: nothing said":   {rcpt, 550, "", "permanent failure for one or more recipients (reader@example.net:blocked)", unknown, ""},
	"mimecast: invalid":         {rcpt, 550, "", "Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550", gone, ""},
	"mimecast: resources":       {rcpt, 451, "", "Internal resources are temporarily unavailable - https://community.mimecast.com/docs/DOC-1369#451", theirs, ""},
	"gmx: no such user":         {rcpt, 550, "", "Requested action not taken: mailbox unavailable", unknown, ""},
	"gmx: block listed":         {connect, 554, "", "gmx.net (mxgmx104) Nemesis ESMTP Service not available No SMTP service IP address is block listed. For explanation visit https://postmaster.gmx.net/en/case?c=r0201", reputation, ""},
	"gmx: policy":               {end, 554, "", "Transaction failed Reject due to policy restrictions.", reputation, ""},
	"gmx: policy, for now":      {connect, 421, "", "gmx.net (mxgmx016) Nemesis ESMTP Service not available Reject due to policy violations", reputation, slower},
	"web.de: SPF":               {rcpt, 550, "", "<news@example.org>: Reject due to SPF policy. The originating IP of the message is not permitted by the domain owner", identity, ""},
	"mail.ru: no such user":     {rcpt, 550, "", "Message was not accepted -- invalid mailbox. Local mailbox reader@example.net is unavailable: user not found", gone, ""},
	"yandex: words, not code":   {rcpt, 550, "5.7.1", "No such user!", unknown, ""},
	"orange: no such user":      {rcpt, 550, "5.1.1", "Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]", gone, ""},
	"orange: full under 5.1.1":  {rcpt, 552, "5.1.1", "Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", busy, ""},
	"orange: refused":           {end, 421, "4.2.1", "Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_505 [505]", reputation, slower},
	"free.fr: spams":            {connect, 421, "", "Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", reputation, slower},
	"qq: unavailable or denied": {rcpt, 550, "", "Mailbox unavailable or access denied [MxUB1j] IP: 192.0.2.1. https://service.mail.qq.com/detail/122/166", reputation, ""},
	"163: spam":                 {end, 554, "", "DT:SPM 163 smtp11,D8CowACXj5-example http://mail.163.com/help/help_spam_16.htm", content, ""},

	"ses: sandbox":            {end, 554, "", "Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: reader@example.net", identity, ""},
	"ses: rate":               {end, 454, "", "Throttling failure: Maximum sending rate exceeded.", quota, slower},
	"ses: day":                {end, 454, "", "Throttling failure: Daily message quota exceeded.", quota, tomorrow},
	"ses: suspended":          {end, 554, "", "Message rejected: Sending suspended for this account. For more information, please check the inbox of the email address associated with your AWS account.", reputation, ""},
	"mailgun: sandbox":        {end, 421, "", "Domain sandbox1.mailgun.example is not allowed to send: Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.", identity, ""},
	"mailgun: recipients":     {end, 421, "", "Domain example.org is not allowed to send: recipient limit exceeded, try again after Sun, 05 Oct 2025 19:22:44 UTC", quota, slower},
	"postmark: signature":     {end, 550, "5.7.1", "The 'From' address you supplied is not a Sender Signature on your account. Please add and confirm this address.", identity, ""},
	"sendgrid: identity":      {end, 550, "", "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", identity, ""},
	"sendgrid: credits":       {connect, 451, "", "Authentication failed: Maximum credits exceeded", quota, ""},
	"brevo: address of ours":  {connect, 525, "5.7.1", "Unauthorized IP address", identity, ""},
	"ionos: limit":            {mailFrom, 450, "", "Requested mail action not taken: mailbox unavailable Mail send limit exceeded.", quota, slower},
	"zoho: activity":          {end, 550, "5.4.6", "Unusual sending activity detected. Please try after sometime", reputation, ""},
	"cpanel: day":             {rcpt, 550, "", "Daily limit has been exceeded for news@example.org", quota, tomorrow},
	"cpanel: hour":            {rcpt, 550, "", "Domain example.org has exceeded the max emails per hour (200/200 (100%)) allowed. Message discarded.", quota, slower},
	"hoster: day, by policyd": {end, 550, "5.7.1", "<DATA>: Data command rejected: only 10 messages per day", quota, tomorrow},

	"postfix: no such user":      {rcpt, 550, "5.1.1", "<reader@example.net>: Recipient address rejected: User unknown in virtual mailbox table", gone, ""},
	"postfix: verification":      {rcpt, 450, "4.1.1", "<reader@example.net>: Recipient address rejected: unverified address: Address verification in progress", busy, ""},
	"postfix: sender unknown":    {rcpt, 550, "5.1.0", "<news@example.org>: Sender address rejected: User unknown in virtual mailbox table", identity, ""},
	"postfix: sender, 5.1.1":     {rcpt, 550, "5.1.1", "<news@example.org>: Sender address rejected: undeliverable address: user unknown", identity, ""},
	"postfix: relaying":          {rcpt, 554, "5.7.1", "<reader@example.net>: Relay access denied", identity, ""},
	"postfix: list":              {rcpt, 554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", reputation, ""},
	"postfix: SPF":               {rcpt, 550, "5.7.23", "<reader@example.net>: Recipient address rejected: Message rejected due to: SPF fail - not authorized.", identity, ""},
	"postfix: null MX":           {rcpt, 556, "5.1.10", "<reader@example.net>: Recipient address rejected: Domain example.net does not accept mail (nullMX)", gone, ""},
	"exim: unknown":              {rcpt, 550, "", "Unknown user in this domain", gone, ""},
	"exim: sender verify":        {rcpt, 550, "", "Verification failed for <news@example.org> No Such User Here Sender verify failed", identity, ""},
	"exim: callout":              {rcpt, 550, "", "Callback setup failed while verifying <news@example.org> Called: 192.0.2.9 Sent: RCPT TO:<news@example.org> Response: 550 5.1.1 User unknown", identity, ""},
	"sendmail: domain of sender": {mailFrom, 553, "5.1.8", "<news@example.org>... Domain of sender address news@example.org does not exist", identity, ""},
	"qmail: unknown":             {rcpt, 550, "", "sorry, no mailbox here by that name. (#5.1.1)", gone, ""},
	"qmail: rcpthosts":           {rcpt, 553, "", "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", identity, ""},
	"domino: unknown":            {rcpt, 551, "", "User reader (reader@example.net) not listed in Domino Directory", gone, ""},
	"cisco: rejected":            {rcpt, 550, "", "#5.1.0 Address rejected.", unknown, ""},
	"greylist: postgrey":         {rcpt, 450, "4.2.0", "<reader@example.net>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.net.html", theirs, ""},
	"greylist: sqlgrey":          {rcpt, 450, "4.7.1", "<reader@example.net>: Recipient address rejected: Greylisted for 5 minutes", theirs, ""},
	"greylist: milter":           {rcpt, 451, "4.7.1", "Greylisting in action, please come back in 00:05:00", theirs, ""},
	"greylist: exim":             {rcpt, 451, "", "192.0.2.1 is not yet authorized to deliver mail from <news@example.org> to <reader@example.net>. Please try later.", theirs, ""},
	"greylist: plesk, unnamed":   {end, 451, "4.7.1", "Service unavailable - try again later", theirs, ""},
	"greylist: rspamd, unnamed":  {end, 451, "4.7.1", "Try again later", theirs, ""},
	"RFC 5321: 450":              {rcpt, 450, "", "Requested mail action not taken: mailbox unavailable", busy, ""},
	"a link that misleads":       {end, 550, "5.7.1", "Message refused. See https://help.example.net/?p=user-unknown", reputation, ""},
	"words against the code":     {rcpt, 550, "5.7.1", "domain does not exist", reputation, ""},
	"the sender's domain":        {rcpt, 550, "", "Sender domain does not exist", identity, ""},
	"a domain, whose ever":       {rcpt, 550, "", "Domain does not exist", unknown, ""},
	"an address alone":           {rcpt, 550, "5.0.0", "reader@example.net does not exist", gone, ""},
	"the relay's own trouble":    {end, 451, "", "relay temporarily unavailable", theirs, ""},
	"gone, but said at MAIL":     {mailFrom, 550, "5.1.1", "User unknown", identity, ""},
}

func TestARefusalHasAnOwner(t *testing.T) {
	for name, tt := range refusals {
		t.Run(name, func(t *testing.T) {
			e := tt.reply()
			if got := e.Owner(); got != tt.owner {
				t.Errorf("%v: owner %q, want %q", e, got, tt.owner)
			}
			if got := e.DailyQuota(); got != (tt.asks == tomorrow) {
				t.Errorf("%v: DailyQuota = %v", e, got)
			}
			if got := e.Throttled(); got != (tt.asks == slower) {
				t.Errorf("%v: Throttled = %v", e, got)
			}
		})
	}
}

// The mailer cleans a relay's words before it keeps them, relays fold and shout as they like, and add addresses and links.
func TestWhatDoesNotMatterDoesNotChangeTheOwner(t *testing.T) {
	for name, tt := range refusals {
		for how, text := range map[string]string{
			"cleaned":  newsletter.OneLine(newsletter.Redact(tt.text), 300),
			"folded":   strings.ReplaceAll(tt.text, " ", "\r\n "),
			"shouted":  strings.ToUpper(tt.text),
			"extended": "<no.such.user@spamhaus.example>: " + tt.text + " https://example.net/?p=user%20unknown&why=spam-virus-greylisted-daily-quota",
		} {
			changed := tt
			changed.text = text
			if got := changed.reply(); got.Owner() != tt.owner || got.DailyQuota() != (tt.asks == tomorrow) || got.Throttled() != (tt.asks == slower) {
				t.Errorf("%s, %s: %v: owner %q, want %q", name, how, got, got.Owner(), tt.owner)
			}
		}
	}
}

// Each of these says enough by itself, where the code says nothing.
func TestTellingWords(t *testing.T) {
	tests := []struct {
		refusal
		texts string // parted by semicolons
	}{
		{refusal{rcpt, 450, "", "", theirs, ""}, "greylisting in action; graylisted; grey-listed; Gray listed, come back; not yet authorized to deliver mail; [GL01] deferred"},
		{refusal{end, 554, "", "", busy, ""}, "mailbox full; mailbox is full; quota (mailbox for user is full); inbox is full; account is full; out of storage space; over quota; " +
			"overquota; over its quota; mailbox quota exceeded; disk quota exceeded; user quota exceeded; exceeded storage allocation; storage limit; storage quota; " +
			"boite du destinataire pleine; receiving mail too quickly; receiving mail at a rate; more than they can receive per hour; recipient has exceeded a limit"},
		{refusal{rcpt, 554, "", "", quota, tomorrow}, "daily limit; daily quota; 100 per day exceeded; only 100 a day; too many per 24 hours; max. 9 in 24 hours; 9 in 24h reached; " +
			"maximum in the last day; limit for today"},
		{refusal{rcpt, 554, "", "", quota, ""}, "maximum credits exceeded; tenant has exceeded threshold"},
		{refusal{rcpt, 450, "", "", quota, slower}, "sending rate; sending limit; sending quota; mail send limit; message limit; messages limit; message quota; message count quota; " +
			"submission quota; unusual rate; recipient limit exceeded; SMTP relay limit; rate limited; ratelimit; throttled; message rate; connection rate; emails per hour; " +
			"connections per minute; this hour; too fast; too quickly; too frequent; too much mail; too many messages; too many mails; too many e-mails; too many emails; " +
			"too many connections; too many concurrent; too many sessions; too many errors; maximum number of connections; trop de connexions; excessive volume; " +
			"unexpected volume; frequency limited; slow down; please try again slower; exceeded permitted limits; HL:IFC; HL:ICC; MI:SFQ"},
		{refusal{rcpt, 554, "", "", identity, ""}, "sender address rejected; sender verify failed; sender verification; sender domain; sender rejected; sender denied; sender check; " +
			"invalid sender; unknown sender; emetteur invalide; bad outbound sender; envelope sender; envelope from; envelope rejected; domain of sender; " +
			"domain of the sender; verification failed for; callout; callback; return-path; reverse-path; MAIL FROM domain; From address; From: header; " +
			"SPF fail; DKIM; DMARC; sender policy framework; sender identity; sender signature; authentication required; unauthenticated; not verified; " +
			"not authorized to send; not authorised to send; not allowed to send; not permitted to send; sending for this account; not owned by user; " +
			"relay access denied; relay denied; relaying denied; relaying prohibited; relay not permitted; relay prohibited; unable to relay; open relay; " +
			"allowed rcpthosts; PTR record; reverse DNS; reverse hostname; rDNS; cannot find your hostname; HELO; EHLO; STARTTLS; TLS required; password; credentials; " +
			"unauthorized IP; spoofing; aligned with; sandbox"},
		{refusal{rcpt, 554, "", "", reputation, ""}, "poor reputation; blocked using a list of spam; block list; blocklist; black list; blacklisted; Spamhaus; SpamCop; Barracuda; Cloudmark; DNSBL; RBL; " +
			"is listed at; is listed in; is listed on; [TS01]; [TS02]; [TS03]; [TSS04]; [TSS11]; [IPTS04]; (S3140); (S3150); RP-001; user complaints; too many spams; " +
			"this IP has been; IP is temporarily; client host blocked for spam; adresse IP source bloquee; service refuse; DT:RBL; HL:REP; suspected spam IP; " +
			"unusual sending activity; sending suspended; sending paused; access denied; your IP; IP address; blocked; client host; policy; prohibited; banned; abuse"},
		{refusal{rcpt, 554, "", "", content, ""}, "a URL in it is listed on something; URIBL; SURBL; spam; virus; malware; phishing; unsolicited; junk; content; attachment; URLs; link; suspicious; " +
			"message header; duplicate header; RFC 5322; RFC 2822; RFC compliant; message size; size limit; databytes; too large; too big; too long; DT:SPM"},
		{refusal{rcpt, 554, "", "", theirs, ""}, "certificate-expired; MTA-STS; TLSA; DNSSEC"},
		{refusal{rcpt, 450, "", "", theirs, ""}, "temporary system problem; temporary local problem; temporary server error; temporary lookup failure; temporary failure; " +
			"temporary error; temporarily unavailable; local problem; local error; internal error; internal resources; service unavailable; service not available; " +
			"service currently unavailable; timeout; timed out; temporary authentication failure; cannot authenticate due to a problem"},
		{refusal{rcpt, 450, "4.7.1", "", theirs, ""}, "try again later; please try later; come back later"},
		{refusal{rcpt, 450, "", "", busy, ""}, "mailbox busy; recipient temporarily unavailable; user unknown"},
	}
	for _, tt := range tests {
		for text := range strings.SplitSeq(tt.texts, "; ") {
			r := tt.refusal
			r.text = text
			if e := r.reply(); e.Owner() != r.owner || e.DailyQuota() != (r.asks == tomorrow) || e.Throttled() != (r.asks == slower) {
				t.Errorf("%v: owner %q, want %q; day's end %v, slower %v", e, e.Owner(), r.owner, e.DailyQuota(), e.Throttled())
			}
		}
	}
}

func TestTellingCodes(t *testing.T) {
	for owner, codes := range map[newsletter.Owner]string{
		gone:       "5.1.1 5.1.2 5.1.3 5.1.6 5.1.10 5.2.1",
		busy:       "5.2.2 5.2.121 5.2.122",
		identity:   "5.1.7 5.1.8 5.7.8 5.7.20 5.7.21 5.7.22 5.7.23 5.7.24 5.7.25 5.7.26 5.7.27 5.7.29 5.7.30 5.7.32 5.7.40 5.7.57 5.7.509 5.7.515",
		quota:      "5.1.90 5.7.28 5.7.232 5.7.233",
		content:    "5.2.3 5.3.4 5.6.0 5.6.11",
		theirs:     "5.3.0 5.3.2 5.4.1 5.4.4 5.4.14",
		reputation: "5.7.0 5.7.1 5.7.2 5.7.511 5.7.606",
		unknown:    "5.0.0 5.1.0 5.1.4 5.2.0 5.5.0 5.5.2 5.7 5.7.x 5.1.1.1",
	} {
		for code := range strings.FieldsSeq(codes) {
			if got := (refusal{rcpt, 550, code, "", "", ""}).reply().Owner(); got != owner {
				t.Errorf("550 %s: owner %q, want %q", code, got, owner)
			}
		}
	}
	for code := range strings.FieldsSeq("4.1.1 4.1.2 4.2.0 4.2.1 4.2.2 5.1.1") {
		if got := (refusal{rcpt, 450, code, "", "", ""}).reply().Owner(); got != busy {
			t.Errorf("450 %s: owner %q, want %q", code, got, busy)
		}
	}
}

func TestSilentRefusals(t *testing.T) {
	tests := []struct {
		stage newsletter.Stage
		owner newsletter.Owner
		codes []int
	}{
		{connect, theirs, []int{421, 450, 451, 454, 521}},
		{connect, identity, []int{530, 534, 535, 538}},
		{connect, reputation, []int{554}},
		{connect, unknown, []int{500, 502, 550, 552}},
		{mailFrom, theirs, []int{421, 450, 451, 452, 455}},
		{mailFrom, identity, []int{530, 550, 551, 553, 554}},
		{mailFrom, content, []int{552}},
		{rcpt, theirs, []int{421, 432, 451, 452, 454}},
		{rcpt, busy, []int{552}},
		{rcpt, unknown, []int{450, 501, 521, 550, 551, 553, 554, 556}},
		{end, content, []int{552}},
		{end, unknown, []int{450, 550, 554, 0, 250, 354, 600, -550}},
	}
	for _, tt := range tests {
		for _, code := range tt.codes {
			if got := (refusal{tt.stage, code, "", "", "", ""}).reply().Owner(); got != tt.owner {
				t.Errorf("%d at %s: owner %q, want %q", code, tt.stage, got, tt.owner)
			}
		}
	}
}

func TestPlainRefusalsSurelySayThatTheReaderIsGone(t *testing.T) {
	for _, text := range []string{
		"user unknown", "Unknown user", "User reader@example.net unknown", "recipient unknown", "unknown recipient", "mailbox unknown", "Unknown mailbox",
		"unknown local part in reader@example.net", "no such user here", "No such recipient", "no such mailbox", "no such address here", "no such account",
		"No such person at this address", "invalid recipient", "user not found", "Recipient not found", "mailbox not found", "Mailbox does not exist on this host",
		"user does not exist in this domain", "User doesn't exist in this domain", "User doesn’t exist: reader@example.net", "the recipient does not exist", "the recipient doesn't exist",
		"The email account that you tried to reach does not exist", "unknown or illegal alias", "no mailbox here by that name", "no mail-box here by that name",
		"not our customer", "not listed in Domino Directory", "not listed in public Name & Address Book", "This user doesn't have an example.net account",
		"Utilisateur inconnu", "destinataire inconnu", "Adresse d au moins un destinataire invalide",
	} {
		for _, code := range []int{550, 551, 553} {
			if !newsletter.SaysGone(code, "", text) || !newsletter.SaysGone(code, "5.0.0", text) {
				t.Errorf("%d %s does not say gone", code, text)
			}
		}
		for _, tt := range []refusal{{rcpt, 550, "5.7.1", text, "", ""}, {rcpt, 554, "", text, "", ""}, {end, 450, "", text, "", ""}, {mailFrom, 550, "", text, "", ""}} {
			if tt.reply().Owner() == gone {
				t.Errorf("%v says gone", tt.reply())
			}
		}
		for _, denial := range []string{"sender: ", "Sender verify failed: ", "verification: ", "blocked: ", "spam: ", "policy: "} {
			if newsletter.SaysGone(550, "", denial+text) {
				t.Errorf("550 %s%s says gone", denial, text)
			}
		}
	}
	for _, text := range []string{
		"sender does not exist", "Your account does not exist", "the domain does not exist", "host does not exist", "IP does not exist", "DNS name does not exist",
		"MX record does not exist", "URL does not exist", "IP address not found", "not listed in our allow list", "mailbox unavailable", "address rejected",
	} {
		if newsletter.SaysGone(550, "", text) {
			t.Errorf("550 %s says gone", text)
		}
	}
}

func TestSaysGoneJudgesWhatABounceQuotes(t *testing.T) {
	tests := map[string]struct {
		code     int
		enhanced string
		words    string
		want     bool
	}{
		"code alone":               {0, "5.1.1", "", true},
		"null MX":                  {0, "5.1.10", "", true},
		"soft code":                {0, "4.1.1", "user unknown", false},
		"refusal alone":            {550, "", "", false},
		"words without a refusal":  {0, "", "user unknown", false},
		"qmail":                    {0, "", "Sorry, no mailbox here by that name. (#5.1.1)", true},
		"qmail, soft":              {0, "", "Sorry, no mailbox here by that name. (#4.1.1)", false},
		"full, whatever the code":  {552, "5.1.1", "mailbox full", false},
		"the sender, not the code": {550, "5.1.1", "Sender address rejected: user unknown", false},
		"a code of more parts":     {550, "5.1.1.9", "host 5.1.1.9 refused", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newsletter.SaysGone(tt.code, tt.enhanced, tt.words); got != tt.want {
				t.Errorf("SaysGone(%d, %q, %q) = %v", tt.code, tt.enhanced, tt.words, got)
			}
		})
	}
}

// checkRefusal claims what holds for every refusal, whatever its words.
func checkRefusal(t interface{ Fatalf(string, ...any) }, e *newsletter.ReplyError) {
	owner := e.Owner()
	if !slices.Contains([]newsletter.Owner{gone, busy, identity, reputation, content, quota, theirs, unknown}, owner) {
		t.Fatalf("%v: owner %q", e, owner)
	}
	if owner == gone && !e.Permanent() {
		t.Fatalf("%v: a refusal for now makes the reader gone", e)
	}
	if (e.Stage == connect || e.Stage == mailFrom) && (owner == gone || owner == busy) {
		t.Fatalf("%v: a refusal before RCPT is about a reader: %q", e, owner)
	}
	if e.DailyQuota() && (owner != quota || e.Throttled()) {
		t.Fatalf("%v: the end of a day's allowance has owner %q, or asks to go slower", e, owner)
	}
	if e.Throttled() && !owner.Ours() {
		t.Fatalf("%v: asked to go slower, yet the owner is %q", e, owner)
	}
}

func TestNoWordsMakeAReaderGoneForNowOrBeforeRCPT(t *testing.T) {
	var texts []string
	for _, tt := range refusals {
		texts = append(texts, tt.text)
	}
	slices.Sort(texts)
	codes := []string{"", "5.0.0", "5.1.1", "5.1.10", "5.2.1", "5.2.2", "4.2.2", "4.7.1", "5.7.1", "4.7.28", "5.3.4"}
	rapid.Check(t, func(t *rapid.T) {
		checkRefusal(t, &newsletter.ReplyError{
			Stage:    rapid.SampledFrom([]newsletter.Stage{connect, mailFrom, rcpt, newsletter.StageData, end}).Draw(t, "stage"),
			Code:     rapid.SampledFrom([]int{421, 450, 451, 452, 454, 521, 530, 535, 550, 551, 552, 553, 554, 556}).Draw(t, "code"),
			Enhanced: rapid.SampledFrom(codes).Draw(t, "enhanced"),
			Text:     rapid.SampledFrom(texts).Draw(t, "text") + " " + rapid.SampledFrom(texts).Draw(t, "more"),
		})
	})
}

func FuzzOwner(f *testing.F) {
	for _, tt := range refusals {
		f.Add(string(tt.stage), tt.code, tt.enhanced, tt.text)
	}
	f.Add("", 0, "..", "#")
	f.Add("rcpt", -550, "5.1", "#5.1.1.")
	f.Add("rcpt", 5500, "X.1.1", "\xff#99999999.9.9 [address]")
	f.Fuzz(func(t *testing.T, stage string, code int, enhanced, text string) {
		checkRefusal(t, &newsletter.ReplyError{Stage: newsletter.Stage(stage), Code: code, Enhanced: enhanced, Text: text})
		newsletter.SaysGone(code, enhanced, text)
	})
}
