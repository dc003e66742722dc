package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// postfix is a real Postfix of the test's own, on a loopback port, that delivers into Maildirs.
type postfix struct {
	dir   string
	port  int
	mails string // the folder with a Maildir for each local part
	own   int    // connections that dialogue has made
}

func newPostfix(t *testing.T) *postfix {
	t.Helper()
	require(t, "postfix")
	if os.Getuid() != 0 {
		if os.Getenv("REQUIRE_ALL") != "" {
			t.Fatal("this test must run as root: Postfix changes to its own user")
		}
		t.Skip("Postfix needs root: this test runs as root only")
	}
	// Postfix's own user must be able to come by, which it cannot in t.TempDir's parent under a strict umask.
	dir, err := os.MkdirTemp("", "postfix-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p := &postfix{dir: dir, port: freePort(t), mails: filepath.Join(dir, "mail")}
	for _, sub := range []string{"etc", "queue", "data", "mail", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	shell(t, "chown", "postfix", filepath.Join(dir, "data"))
	shell(t, "chown", "-R", "nobody", p.mails)
	p.configure(t)
	shell(t, "postfix", "-c", filepath.Join(dir, "etc"), "start")
	t.Cleanup(func() {
		shell(t, "postfix", "-c", filepath.Join(dir, "etc"), "stop")
		if t.Failed() {
			log := p.log(t)
			t.Logf("Postfix says\n%s", log[max(0, len(log)-6000):])
		}
	})
	eventually(t, "Postfix answers", func() bool {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port), time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return p
}

func (p *postfix) configure(t *testing.T) {
	t.Helper()
	main := strings.NewReplacer("DIR", p.dir).Replace(`compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
maillog_file = DIR/log/mail.log
maillog_file_prefixes = DIR/log
myhostname = mx.gazette.example
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
default_transport = error:no mail leaves this machine
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_mynetworks, reject
virtual_mailbox_domains = example.net
virtual_mailbox_base = DIR/mail
virtual_mailbox_maps = texthash:DIR/etc/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`)
	master := strings.ReplaceAll(`postlog    unix-dgram n  -       n       -       1       postlogd
PORT inet  n       -       n       -       -       smtpd
cleanup    unix  n       -       n       -       0       cleanup
qmgr       unix  n       -       n       300     1       qmgr
tlsmgr     unix  -       -       n       1000?   1       tlsmgr
rewrite    unix  -       -       n       -       -       trivial-rewrite
bounce     unix  -       -       n       -       0       bounce
defer      unix  -       -       n       -       0       bounce
trace      unix  -       -       n       -       0       bounce
verify     unix  -       -       n       -       1       verify
proxymap   unix  -       -       n       -       -       proxymap
error      unix  -       -       n       -       -       error
retry      unix  -       -       n       -       -       error
discard    unix  -       -       n       -       -       discard
virtual    unix  -       n       n       -       -       virtual
anvil      unix  -       -       n       -       1       anvil
`, "PORT", fmt.Sprintf("127.0.0.1:%d", p.port))
	var mailboxes strings.Builder
	for i := range 100 {
		for _, word := range []string{"reader", "late", "spam"} {
			fmt.Fprintf(&mailboxes, "%[1]s%[2]d@example.net %[1]s%[2]d/\n", word, i+1)
		}
	}
	for name, text := range map[string]string{
		"main.cf": main, "master.cf": master, "mailboxes": mailboxes.String(),
	} {
		if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// set changes settings of main.cf and has the connections that come now go by them. DIR in a value is Postfix's folder.
func (p *postfix) set(t *testing.T, settings ...string) {
	t.Helper()
	etc := filepath.Join(p.dir, "etc")
	args := []string{"-c", etc, "-e"}
	for _, s := range settings {
		args = append(args, strings.ReplaceAll(s, "DIR", p.dir))
	}
	shell(t, "postconf", args...)
	const reloaded = ": reload -- version"
	before := strings.Count(p.log(t), reloaded)
	shell(t, "postfix", "-c", etc, "reload")
	eventually(t, "Postfix reads its config again", func() bool { return strings.Count(p.log(t), reloaded) > before })
}

// table writes a lookup table that settings may name as DIR/etc/NAME.
func (p *postfix) table(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p *postfix) log(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(p.dir, "log", "mail.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// aCommand is how smtpd counts the commands of a connection that is over: "rcpt=45/60" says that it took 45 of 60.
var aCommand = regexp.MustCompile(`(mail|rcpt|data|quit)=(\d+)(?:/(\d+))?`)

// dialogue adds up what the log says of all connections so far: how many there were, which commands Postfix took over them, and
// which it did not. The log is written by another process: it has caught up when it tells of a connection of our own, the only kind
// that says NOOP, and of the end of all others.
func (p *postfix) dialogue(t *testing.T) map[string]int {
	t.Helper()
	own, err := smtp.Dial(fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(own.Noop(), own.Close()); err != nil {
		t.Fatal(err)
	}
	p.own++
	var log string
	count := func(what string) int { return strings.Count(log, "]: "+what+" from localhost[127.0.0.1]") }
	eventually(t, "Postfix has seen every connection closed", func() bool {
		log = p.log(t)
		return strings.Count(log, " noop=1 ") == p.own && count("connect") == count("disconnect")
	})
	sums := map[string]int{"connections": count("connect") - p.own}
	for line := range strings.Lines(log) {
		_, commands, _ := strings.Cut(line, "]: disconnect from localhost[127.0.0.1] ")
		for _, m := range aCommand.FindAllStringSubmatch(commands, -1) {
			taken, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			sums[m[1]] += taken
			if all, err := strconv.Atoi(m[3]); err == nil {
				sums[m[1]+" refused"] += all - taken
			}
		}
	}
	return sums
}

// mailbox reads the messages that a local part has got.
func (p *postfix) mailbox(t *testing.T, local string) (messages [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.mails, local, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, data)
	}
	return messages
}

func shell(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// Through a real Postfix into real mailboxes: every reader has the digest and the alert, once, and no parser finds a defect.
func TestPostfixDeliversEveryCopyOnce(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPostfix(t)
	s := newSite(t, p.port)
	s.ok("fetch")
	articles, actions := sampleItems(t, s)
	s.ok("subscribers", "import", s.readers(50), "--confirmed", "form at the harbour fair")
	s.ok("subscribers", "add", "nobody@example.net", "--list", "weekly", "--confirmed", "form")
	for _, list := range []string{"weekly", "urgent"} {
		s.ok("send", list, "--wait", "--yes")
	}
	for i := range 50 {
		local := fmt.Sprintf("reader%d", i+1)
		eventually(t, "Postfix delivers to "+local, func() bool { return len(p.mailbox(t, local)) >= 2 })
		var digests, alerts int
		for _, m := range p.mailbox(t, local) {
			text := checkMessage(t, []byte(strings.ReplaceAll(string(m), "\n", "\r\n")))
			flat := strings.Join(strings.Fields(text), " ")
			if strings.Contains(text, actions[0].Petition) && !strings.Contains(flat, articles[0].Title) {
				alerts++
			} else if strings.Contains(flat, articles[0].Title) && strings.Contains(flat, articles[1].Title) {
				digests++
			}
			if !strings.Contains(text, "Reader "+local[len("reader"):]) {
				t.Errorf("%s is not greeted by name", local)
			}
		}
		if digests != 1 || alerts != 1 {
			t.Errorf("%s has %d digests and %d alerts", local, digests, alerts)
		}
	}
	var e editionDetail
	s.okJSON(&e, "editions", "show", "1")
	if e.Audience != 51 || e.Sent != 50 || e.Failed != 1 || len(e.Reasons) != 1 || e.Reasons[0].Enhanced != "5.1.1" {
		t.Errorf("the digest's ledger: %+v", e)
	}
	var gone struct{ Suppressed string }
	s.okJSON(&gone, "subscribers", "show", "nobody@example.net")
	if !strings.Contains(gone.Suppressed, "recipient gone") {
		t.Errorf("an address that Postfix does not know is not suppressed: %+v", gone)
	}
}
