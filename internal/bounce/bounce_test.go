package bounce_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"dispatcher/internal/bounce"
	"dispatcher/internal/newsletter"
)

var (
	now     = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	key     = newsletter.Key{ID: 3, Secret: []byte("0123456789abcdef0123456789abcdef")}
	keys    = newsletter.Keys{key.ID: key}
	copyKey = newsletter.DeliveryKey{Edition: 482, Subscriber: 1207}
	token   = key.BounceToken(copyKey)
	another = newsletter.Key{ID: key.ID, Secret: []byte("another database, another secret")}
)

// sample is one file of testdata, with a token in its place.
func sample(t testing.TB, name, token string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".eml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "TOKEN", token)
}

func read(message, recipient string) (newsletter.Bounce, error) {
	return bounce.Read(strings.NewReader(message), recipient, keys, now)
}

func TestReadTellsWhatCameBack(t *testing.T) {
	const hard, soft, complaint = newsletter.HardBounce, newsletter.SoftBounce, newsletter.Complaint
	tests := map[string]struct {
		kind          newsletter.BounceKind // empty: no bounce
		status, words string
	}{
		"postfix-unknown":   {hard, "5.1.1", "550 5.1.1 <[address]>: Recipient address rejected: User unknown in virtual mailbox table"},
		"postfix-expired":   {soft, "4.4.1", "connect to mx.mail.example[192.0.2.7]:25: Connection timed out"},
		"postfix-delayed":   {},
		"exim-report":       {hard, "5.1.1", "550 5.1.1 <[address]> No mailbox of that name"},
		"exim-sender-check": {soft, "5.0.0", "550-Verification failed for <[address]> 550-No Such User Here 550 Sender verify failed"},
		"exim-letter":       {hard, "", "[address] SMTP error from remote mail server after RCPT TO:<[address]>: host mx.mail.example [192.0.2.7]: 550 Unknown user in this domain"},
		"exim-warning":      {},
		"qmail":             {hard, "5.1.1", "<[address]>: Nobody has a mailbox by that name here. (#5.1.1)"},
		"qmail-remote":      {soft, "", "<[address]>: 192.0.2.7 does not like the recipient. Remote host said: 552 the mailbox is full Giving up on 192.0.2.7."},
		"exchange":          {hard, "5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient [address] not found by SMTP address lookup"},
		"exchange-letter":   {hard, "5.1.1", "[address] on 22.11.2026 10:00 There is no such account at this organization. <mx.mail.example #5.1.1>"},
		"outlook-quota":     {soft, "5.2.2", "552 5.2.2 The mailbox of [address] is over its quota"},
		"outlook-policy":    {soft, "5.7.515", "550 5.7.515 Access denied, the sending domain news.example.org does not meet the required level of authentication"},
		"gmail":             {hard, "5.1.1", "550-5.1.1 There is no account at this address. Look for 550-5.1.1 typing errors or blanks in it. More at 550 5.1.1 https://help.gmail.example/?p=NoSuchUser abc123 - gsmtp"},
		"yahoo":             {hard, "5.0.0", "550 relaying to mailbox [address] refused, the account does not exist"},
		"yahoo-content":     {soft, "", "554 Message not allowed for its content [TS100]"},
		"alias":             {soft, "5.1.1", "550 5.1.1 user unknown"},
		"alias-gone":        {hard, "5.1.1", "550 5.1.1 user unknown"},
		"relayed":           {},
		"vacation":          {},
		"vacation-old":      {},
		"challenge":         {},
		"receipt":           {},
		"letter":            {},
		"arf":               {complaint, "", "ProviderLoop/1.0"},
		"arf-redacted":      {complaint, "", "ProviderLoop/1.0"},
		"arf-not-spam":      {},
		"broken":            {hard, "5.1.1", "<[address]>: host mx.mail.example[192.0.2.7] said: 550 5.1.1 <[address]>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)"},
		"cut-off":           {hard, "5.1.1", "550-5.1.1 There is no account at this address. Look for 550-5.1.1"},
	}
	files, _ := filepath.Glob("testdata/*.eml")
	if len(files) != len(tests) {
		t.Errorf("%d samples, %d claims", len(files), len(tests))
	}
	for name, tt := range tests {
		want := newsletter.Bounce{DeliveryKey: copyKey, Kind: tt.kind, Status: tt.status, Words: tt.words, At: now}
		for ending, message := range map[string]string{
			"LF": sample(t, name, token), "CRLF": strings.ReplaceAll(sample(t, name, token), "\n", "\r\n"),
		} {
			t.Run(name+"/"+ending, func(t *testing.T) {
				got, err := read(message, "")
				if tt.kind == "" {
					if !errors.Is(err, bounce.ErrNoBounce) || got != (newsletter.Bounce{}) {
						t.Errorf("Read = %+v, %v, want %v", got, err, bounce.ErrNoBounce)
					}
					return
				}
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("Read gives %v (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

func TestOnlyATokenThatOpensNamesACopy(t *testing.T) {
	const report = "Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n"
	at := func(token string) string { return "bounces+" + token + "@news.example.org" }
	stranger := another.BounceToken(copyKey)
	tests := map[string]struct {
		recipient, header, body string
		ours                    bool
	}{
		"envelope":                {recipient: at(token), ours: true},
		"envelope in brackets":    {recipient: "<" + at(token) + ">", ours: true},
		"upper-cased":             {recipient: strings.ToUpper(at(token)), ours: true},
		"rewritten by SRS":        {recipient: "SRS0=ab1c=de=news.example.org=bounces+" + token + "@forwarder.example", ours: true},
		"tagged by BATV":          {recipient: "prvs=0123abcdef=" + at(token), ours: true},
		"Delivered-To":            {header: "Delivered-To: " + at(token), ours: true},
		"X-Original-To":           {header: "x-original-to: " + at(token), ours: true},
		"Envelope-To":             {header: "Envelope-to: " + at(token), ours: true},
		"To, folded":              {header: "To: Bounces\n <" + at(token) + ">", ours: true},
		"second Delivered-To":     {header: "Delivered-To: all@example.org\nDelivered-To: " + at(token), ours: true},
		"behind one of others":    {recipient: at(stranger), header: "To: " + at(token), ours: true},
		"Original-Mail-From":      {body: "Original-Mail-From: <" + at(token) + ">\n", ours: true},
		"none":                    {recipient: "bounces@news.example.org", header: "To: bounces@news.example.org"},
		"forged":                  {recipient: at(token[:len(token)-4] + "aaaa")},
		"truncated":               {recipient: at(token[:len(token)-2])},
		"another database's":      {recipient: at(stranger)},
		"unsubscribe token":       {recipient: at(key.Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 1207, List: "weekly"}))},
		"in the sender's address": {header: "From: " + at(token)},
		"in the subject":          {header: "Subject: " + at(token)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := tt.header
			if header != "" {
				header += "\n"
			}
			got, err := read(header+report+tt.body, tt.recipient)
			if tt.ours && (err != nil || got.DeliveryKey != copyKey) {
				t.Errorf("Read = %+v, %v, want %+v", got, err, copyKey)
			}
			if !tt.ours && (!errors.Is(err, bounce.ErrNotOurs) || got != (newsletter.Bounce{})) {
				t.Errorf("Read = %+v, %v, want %v", got, err, bounce.ErrNotOurs)
			}
		})
	}
}

// What a report says of addresses names nobody, and a token of another database opens none of its samples.
func TestNobodyIsSilencedByAForgedReport(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".eml")
		for _, forged := range []string{another.BounceToken(copyKey), "", token[:20], strings.Repeat("a", len(token))} {
			if got, err := read(sample(t, name, forged), ""); !errors.Is(err, bounce.ErrNotOurs) {
				t.Errorf("%s with token %q: %+v, %v, want %v", name, forged, got, err, bounce.ErrNotOurs)
			}
		}
	}
}

func TestFailuresAreHardOnlyWhenTheReaderIsSurelyGone(t *testing.T) {
	tests := map[string]struct {
		fields string
		want   newsletter.BounceKind // empty: no bounce
	}{
		"no such mailbox":          {"Action: failed\nStatus: 5.1.1", newsletter.HardBounce},
		"no such domain":           {"Action: failed\nStatus: 5.1.2", newsletter.HardBounce},
		"bad syntax":               {"Action: failed\nStatus: 5.1.3", newsletter.HardBounce},
		"moved":                    {"Action: failed\nStatus: 5.1.6", newsletter.HardBounce},
		"null MX":                  {"Action: failed\nStatus: 5.1.10", newsletter.HardBounce},
		"disabled":                 {"Action: failed\nStatus: 5.2.1 (mailbox disabled)", newsletter.HardBounce},
		"upper case, with comment": {"ACTION: FAILED (for good)\nSTATUS: 5.1.1", newsletter.HardBounce},
		"550 unknown":              {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 No such user", newsletter.HardBounce},
		"551 unknown, no status":   {"Action: failed\nDiagnostic-Code: smtp; 551 user does not exist", newsletter.HardBounce},
		"553 unknown":              {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 553 unknown user", newsletter.HardBounce},
		"code in the diagnostic":   {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 5.1.1 bad mailbox", newsletter.HardBounce},
		"no action":                {"Status: 5.1.1", newsletter.HardBounce},
		"550 without a reason":     {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 mailbox unavailable", newsletter.SoftBounce},
		"554 unknown":              {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 554 user unknown", newsletter.SoftBounce},
		"words against the code":   {"Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.7.1 domain does not exist", newsletter.SoftBounce},
		"status against its words": {"Action: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown", newsletter.SoftBounce},
		"sender unknown":           {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 sender domain does not exist", newsletter.SoftBounce},
		"mailbox full":             {"Action: failed\nStatus: 5.2.2", newsletter.SoftBounce},
		"routing":                  {"Action: failed\nStatus: 5.4.4", newsletter.SoftBounce},
		"content":                  {"Action: failed\nStatus: 5.6.0", newsletter.SoftBounce},
		"policy":                   {"Action: failed\nStatus: 5.7.26", newsletter.SoftBounce},
		"gave up":                  {"Action: failed\nStatus: 4.1.1", newsletter.SoftBounce},
		"nothing but failed":       {"Action: failed", newsletter.SoftBounce},
		"an address, not a code":   {"Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 host 5.1.1.9 refused", newsletter.SoftBounce},
		"one of two is full":       {"Action: failed\nStatus: 5.1.1\n\nAction: failed\nStatus: 5.2.2", newsletter.SoftBounce},
		"the first of two is full": {"Action: failed\nStatus: 5.2.2\n\nAction: failed\nStatus: 5.1.1", newsletter.SoftBounce},
		"delayed":                  {"Action: delayed\nStatus: 4.4.1", ""},
		"delivered":                {"Action: delivered\nStatus: 2.0.0", ""},
		"relayed":                  {"Action: relayed\nStatus: 2.0.0", ""},
		"expanded":                 {"Action: expanded\nStatus: 2.0.0", ""},
		"no action, passing":       {"Status: 4.4.1", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read("Content-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\n\n"+tt.fields+"\n", "bounces+"+token+"@news.example.org")
			if got.Kind != tt.want || (tt.want == "") != errors.Is(err, bounce.ErrNoBounce) {
				t.Errorf("Read = %q, %v, want %q", got.Kind, err, tt.want)
			}
		})
	}
}

func TestALetterIsABounceOnlyFromAMailSystem(t *testing.T) {
	const refusal = "\n\nThe other side said:\n550 5.1.1 user unknown\n"
	tests := map[string]struct {
		letter, words string
		want          newsletter.BounceKind // empty: no bounce
	}{
		"a daemon's":              {"From: MAILER-DAEMON@relay.example" + refusal, "The other side said: 550 5.1.1 user unknown", newsletter.HardBounce},
		"without a sender":        {"Return-Path: <>\nFrom: mail@relay.example" + refusal, "The other side said: 550 5.1.1 user unknown", newsletter.HardBounce},
		"without one, by mbox":    {"From MAILER-DAEMON Sun Nov 22 10:00:00 2026\nFrom: mail@relay.example" + refusal, "The other side said: 550 5.1.1 user unknown", newsletter.HardBounce},
		"quoted-printable":        {"From: Postmaster <p@relay.example>\nContent-Transfer-Encoding: Quoted-Printable\n\n550 5.1.=\n1 user =\nunknown", "550 5.1.1 user unknown", newsletter.HardBounce},
		"without a reply":         {"From: postmaster@relay.example\nSubject: =?utf-8?q?To_reader=40mail=2Eexample?= was not possible\n\nSorry.", "To [address] was not possible", newsletter.SoftBounce},
		"unknown charset":         {"From: postmaster@relay.example\nSubject: =?x-none?q?a?=\n\nSorry.", "=?x-none?q?a?=", newsletter.SoftBounce},
		"refusal within the copy": {"From: postmaster@relay.example\nSubject: sorry\n\n--- Below this line is a copy of the message." + refusal, "sorry", newsletter.SoftBounce},
		"without sender or reply": {"Return-Path: <>\nFrom: reader@mail.example\n\nPlease answer this question first.", "", ""},
		"a reader's":              {"Return-Path: <reader@mail.example>\nFrom: reader@mail.example" + refusal, "", ""},
		"of nobody":               {"\n" + refusal, "", ""},
		"empty":                   {"", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(tt.letter, "bounces+"+token+"@news.example.org")
			if got.Kind != tt.want || got.Words != tt.words || (tt.want == "") != errors.Is(err, bounce.ErrNoBounce) {
				t.Errorf("Read = %+v, %v, want %q: %s", got, err, tt.want, tt.words)
			}
		})
	}
}

// However a report is cut off, the copy it names stays the same, and what is missing makes nobody's address bad.
func TestACutReportIsStillRead(t *testing.T) {
	for _, name := range []string{"postfix-unknown", "outlook-quota", "gmail", "qmail-remote", "arf"} {
		whole := sample(t, name, token)
		want, err := read(whole, "bounces+"+token+"@news.example.org")
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			got, err := read(whole[:n], "bounces+"+token+"@news.example.org")
			if err != nil && !errors.Is(err, bounce.ErrNoBounce) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			if err == nil && (got.DeliveryKey != copyKey || got.Kind != want.Kind && got.Kind != newsletter.SoftBounce) {
				t.Fatalf("%s cut at %d: %+v", name, n, got)
			}
		}
	}
}

func TestReadKeepsItsLimits(t *testing.T) {
	head := "Delivered-To: bounces+" + token + "@news.example.org\nFrom: MAILER-DAEMON@relay.example\n"
	nested := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=x%d\n\n--x%[1]d\n", i)
		}
		return b.String()
	}
	tests := map[string]string{
		"a million header lines":   head + strings.Repeat("A: b\n", 1<<20) + "\nwords",
		"one line folded for ever": head + "A: b" + strings.Repeat("\n ", 2<<20) + "\n\nwords",
		"nested for ever":          head + nested(10_000),
		"a million parts":          head + "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n", 1<<20),
		"a million recipients":     head + "Content-Type: message/delivery-status\n\n" + strings.Repeat("Action: failed\n\n", 1<<18),
		"long words":               head + "\n550 " + strings.Repeat("reader@mail.example zwölf ", 1<<17),
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(message, "")
			if err != nil || got.Kind != newsletter.SoftBounce || utf8.RuneCountInString(got.Words) > 300 {
				t.Errorf("Read = %+v, %v, want a soft bounce of at most 300 characters", got, err)
			}
		})
	}
	const failure = "Content-Type: message/delivery-status\n\nAction: failed\nStatus: 5.1.1\n"
	for name, message := range map[string]string{
		"too many parts": head + "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 200) + "--x\n" + failure,
		"too deep":       head + nested(9) + failure,
	} {
		if got, err := read(message, ""); err != nil || got.Kind != newsletter.SoftBounce {
			t.Errorf("%s: %+v, %v, want a soft bounce, for the failure is out of reach", name, got, err)
		}
	}
	if got, err := read(strings.Repeat("A: b\n", 1<<16)+head+"\n550 full", ""); !errors.Is(err, bounce.ErrNotOurs) {
		t.Errorf("a token behind 256 KiB of header: %+v, %v, want %v", got, err, bounce.ErrNotOurs)
	}
	endless := &counter{}
	if _, err := bounce.Read(endless, "", keys, now); !errors.Is(err, bounce.ErrNotOurs) || endless.n > 6<<20 {
		t.Errorf("of an endless message %d bytes were read: %v", endless.n, err)
	}
}

// counter is an endless message.
type counter struct{ n int }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	c.n += len(p)
	return len(p), nil
}

func TestAReaderThatFailsIsNoReport(t *testing.T) {
	broken := io.MultiReader(strings.NewReader(sample(t, "gmail", token)), iotest.ErrReader(io.ErrUnexpectedEOF))
	if got, err := bounce.Read(broken, "", keys, now); !errors.Is(err, io.ErrUnexpectedEOF) || got != (newsletter.Bounce{}) {
		t.Errorf("Read = %+v, %v, want %v", got, err, io.ErrUnexpectedEOF)
	}
}

// FuzzRead claims that whatever comes back, Read names the copy of a genuine token or none, gives a reason where it
// reports nothing, and lets no address through.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.eml")
	for _, file := range files {
		message := sample(f, strings.TrimSuffix(filepath.Base(file), ".eml"), token)
		f.Add([]byte(message), "bounces+"+token+"@news.example.org")
		f.Add([]byte(message[:len(message)/2]), "")
	}
	f.Add([]byte("\n\n\nContent-Type: multipart/report; boundary=\"\"\n\n--\n--"), "+@")
	f.Add([]byte("Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n\xff\xfe=="), strings.ToUpper(token))
	f.Fuzz(func(t *testing.T, message []byte, recipient string) {
		got, err := bounce.Read(strings.NewReader(string(message)), recipient, keys, now)
		if err != nil {
			if !errors.Is(err, bounce.ErrNotOurs) && !errors.Is(err, bounce.ErrNoBounce) || got != (newsletter.Bounce{}) {
				t.Errorf("Read = %+v, %v", got, err)
			}
			return
		}
		if got.DeliveryKey != copyKey || got.At != now {
			t.Errorf("a copy that no token names: %+v", got)
		}
		if got.Kind != newsletter.HardBounce && got.Kind != newsletter.SoftBounce && got.Kind != newsletter.Complaint {
			t.Errorf("kind %q", got.Kind)
		}
		if clean := newsletter.OneLine(newsletter.Redact(got.Words), 300); got.Words != clean {
			t.Errorf("words %q, want %q", got.Words, clean)
		}
	})
}
