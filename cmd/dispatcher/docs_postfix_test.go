package main

import (
	"bytes"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dispatcher/internal/smtptest"
)

// Postfix takes its settings on each page: it knows all of them, and has them as they are written.
func TestThePostfixSettingsOfThePages(t *testing.T) {
	require(t, "postconf")
	for _, name := range adminPages {
		settings := strings.Join(codeBlocks(t, page(name), "maincf"), "")
		if settings == "" {
			continue
		}
		etc := postfixFolder(t, settings, strings.Join(codeBlocks(t, page(name), "mastercf"), ""))
		has := printed(t, "postconf", "-c", etc, "-n")
		for _, m := range regexp.MustCompile(`(?m)^(\w+) = ?(.*)$`).FindAllStringSubmatch(settings, -1) {
			if line := strings.TrimSpace(m[1] + " = " + m[2]); !slices.Contains(strings.Split(strings.ReplaceAll(has, " \n", "\n"), "\n"), line) {
				t.Errorf("%s: Postfix does not have %q", name, line)
			}
		}
		if services := printed(t, "postconf", "-c", etc, "-M"); name == "bounces" && !strings.Contains(services, "{/usr/bin/dispatcher bounce --recipient") {
			t.Errorf("Postfix has no service that calls dispatcher:\n%s", services)
		}
	}
}

// postfixFolder is a folder of Postfix's configuration with some settings and services beside what Postfix needs.
func postfixFolder(t *testing.T, settings, services string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"main.cf":   "compatibility_level = 3.6\nmyhostname = mx.example.org\n" + settings,
		"master.cf": "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n" + services,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, dir)
	return dir
}

// settle has Postfix's programs read a folder at once: they wait for two seconds where a file has just been written.
func settle(t *testing.T, etc string) {
	t.Helper()
	if err := os.Chtimes(filepath.Join(etc, "main.cf"), time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
}

// printed is what a program prints. It must succeed and have nothing to complain of.
func printed(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("%s %q: %v\n%s", name, args, err, errs.String())
	}
	return out.String()
}

// The rule by which a Postfix tells alerts fits the mail that dispatcher makes: an alert takes the other way, a digest does not.
func TestPostfixTellsAlerts(t *testing.T) {
	require(t, "postmap")
	s := newspage(t)
	rules := s.write("alert_checks", codeBlocks(t, page("relays"), "headerchecks")[0])
	etc := postfixFolder(t, "", "")
	for list, want := range map[string]string{"urgent": "FILTER smtp:[127.0.0.1]:10026\n", "weekly": ""} {
		s.ok("preview", list)
		field := regexp.MustCompile(`(?m)^Feedback-ID: \S+`).FindString(text(t, list+".eml"))
		out, err := exec.Command("postmap", "-c", etc, "-q", field, "regexp:"+rules).Output()
		if string(out) != want || field == "" || (err == nil) != (want != "") {
			t.Errorf("of %q Postfix makes %q (%v), want %q", field, out, err, want)
		}
	}
}

// The commands that set the second instance of Postfix up leave it with its own port and short lifetimes, and nothing that it does not know.
func TestTheSecondPostfix(t *testing.T) {
	require(t, "postconf")
	etc := postfixFolder(t, "master_service_disable = inet\n", "")
	var commands strings.Builder
	for _, block := range codeBlocks(t, page("relays"), "sh") {
		for _, m := range regexp.MustCompile(`(?m)^postconf (?:.*\\\n)*.*\n`).FindAllString(block, -1) {
			commands.WriteString(strings.ReplaceAll(m, "/etc/postfix-alerts", etc))
		}
	}
	if out, err := exec.Command("bash", "-euc", commands.String()).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	settle(t, etc)
	if got := printed(t, "postconf", "-c", etc, "-n"); !strings.Contains(got, "maximal_queue_lifetime = 4h\n") || strings.Contains(got, "master_service_disable = inet") {
		t.Errorf("its settings are\n%s", got)
	}
	if got := printed(t, "postconf", "-c", etc, "-M"); !strings.Contains(got, "127.0.0.1:10026") || regexp.MustCompile(`(?m)^smtp +inet`).MatchString(got) {
		t.Errorf("its services are\n%s", got)
	}
}

// A report that comes to a Postfix set up as the page about bounces says finds its way into the database.
func TestPostfixHandsBouncesOver(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPostfix(t)
	relay := newRelay(t, smtptest.Config{})
	s := newSite(t, relay.Port, "bounce_address: bounces@bounces.example.org\n")
	s.write("items.jsonl", `{"title":"A letter from the north wing","url":"https://magazine.example/letter","summary":"A letter."}`)
	s.ok("import", s.dir+"/items.jsonl")
	s.ok("subscribers", "add", "reader@example.net", "--list", "weekly", "--confirmed", "form")
	s.ok("send", "weekly", "--wait", "--yes")

	// The service runs as another user here, and calls the program of this test.
	service := codeBlocks(t, page("bounces"), "mastercf")[0]
	for from, to := range map[string]string{"user=dispatcher": "user=nobody", "/usr/bin/dispatcher": p.program(t, s)} {
		if !strings.Contains(service, from) {
			t.Fatalf("the page's service has no %q", from)
		}
		service = strings.ReplaceAll(service, from, to)
	}
	master := filepath.Join(p.dir, "etc", "master.cf")
	if err := os.WriteFile(master, []byte(text(t, master)+service), 0o644); err != nil {
		t.Fatal(err)
	}
	var settings []string
	for line := range strings.Lines(codeBlocks(t, page("bounces"), "maincf")[0]) {
		settings = append(settings, strings.TrimSpace(line))
	}
	p.set(t, settings...)

	report := "From: MAILER-DAEMON@mx.example.net\r\nTo: bounces@bounces.example.org\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=part\r\n\r\n--part\r\nContent-Type: message/delivery-status\r\n\r\n" +
		"Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; reader@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n" +
		"Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\n\r\n--part--\r\n"
	sender := relay.Messages()[0].From
	if !strings.HasPrefix(sender, "bounces+") {
		t.Fatalf("the copy's sender is %q", sender)
	}
	if err := smtp.SendMail(fmt.Sprintf("127.0.0.1:%d", p.port), nil, "", []string{sender}, []byte(report)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bounce is written down", func() bool {
		return strings.Contains(s.ok("subscribers", "show", "reader@example.net"), "came back: hard")
	})
}

// program is a dispatcher that Postfix can call as nobody, for a site that it then owns.
func (p *postfix) program(t *testing.T, s *site) string {
	t.Helper()
	binary, path := filepath.Join(p.dir, "binary"), filepath.Join(p.dir, "dispatcher")
	shell(t, "cp", os.Args[0], binary)
	shell(t, "chmod", "755", binary)
	shell(t, "chmod", "755", filepath.Dir(s.dir), s.dir)
	shell(t, "chown", "-R", "nobody", s.dir)
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %s --config %s/config.yaml \"$@\"\n", runAsMain, binary, s.dir)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
