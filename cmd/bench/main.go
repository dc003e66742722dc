// Command bench measures dispatcher's sending beside Postfix's own load generator, in one run on one machine.
//
// Both send messages of the same size over as many connections to the same sink, a process of its own. dispatcher keeps its
// ledger in a real database on disk while it does so; smtp-source keeps none.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// settings are what one measurement is about.
type settings struct {
	binary      string
	readers     int
	connections int
	size        int // octets of a message
	rounds      int
	dir         string
}

// figures are what one sender did.
type figures struct {
	perSecond float64 // messages
	cpu       time.Duration
	rss       int64 // KiB at most
	made      time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/dispatcher", "the dispatcher to measure")
	flag.IntVar(&s.readers, "readers", 100_000, "how many readers the edition has")
	flag.IntVar(&s.connections, "connections", 20, "how many connections each sender opens")
	flag.IntVar(&s.rounds, "rounds", 3, "how often to measure; medians are printed")
	flag.StringVar(&s.dir, "dir", ".", "where the database lies while it is measured: a real disk")
	sink := flag.Bool("sink", false, "be the sink: take all mail and keep nothing")
	flag.Parse()
	if *sink {
		beSink()
	}
	if err := run(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	for _, program := range []string{"smtp-source"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is needed: install Debian's postfix package", program)
		}
	}
	dir, err := os.MkdirTemp(s.dir, "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	port, stop, err := startSink(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var ours, theirs []figures
	for round := range s.rounds {
		f, size, err := measureDispatcher(ctx, s, filepath.Join(dir, fmt.Sprint(round)), port)
		if err != nil {
			return err
		}
		s.size = size
		ours = append(ours, f)
		g, err := measureSource(ctx, s, port)
		if err != nil {
			return err
		}
		theirs = append(theirs, g)
		fmt.Fprintf(os.Stderr, "round %d: dispatcher %.0f/s, smtp-source %.0f/s\n", round+1, f.perSecond, g.perSecond)
	}
	a, b := median(ours), median(theirs)
	fmt.Printf("%d readers, %d connections, messages of %d octets, medians of %d\n", s.readers, s.connections, s.size, s.rounds)
	fmt.Printf("%-12s %12s %14s %10s %14s\n", "", "messages/s", "CPU/message", "peak RSS", "edition made")
	fmt.Printf("%-12s %12.0f %14s %7.1f MB %14s\n", "dispatcher", a.perSecond, a.cpu, float64(a.rss)/1024, a.made.Round(time.Millisecond))
	fmt.Printf("%-12s %12.0f %14s %7.1f MB\n", "smtp-source", b.perSecond, b.cpu, float64(b.rss)/1024)
	fmt.Printf("%-12s %11.2fx %13.2fx\n", "ratio", a.perSecond/b.perSecond, float64(a.cpu)/float64(b.cpu))
	return nil
}

func median(all []figures) figures {
	slices.SortFunc(all, func(a, b figures) int { return int(a.perSecond - b.perSecond) })
	return all[len(all)/2]
}

// startSink starts this program again as a relay that takes everything and keeps nothing.
func startSink(ctx context.Context) (port int, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, nil, err
	}
	sink := exec.CommandContext(ctx, self, "-sink")
	out, err := sink.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	if err := sink.Start(); err != nil {
		return 0, nil, err
	}
	if _, err := fmt.Fscan(out, &port); err != nil {
		return 0, nil, fmt.Errorf("starting the sink: %w", err)
	}
	return port, func() {
		_ = sink.Process.Kill() // it ends in no other way
		_ = sink.Wait()
	}, nil
}

// beSink is the sink: it prints its port and takes mail until it is killed.
func beSink() {
	relay := smtptest.NewServer(smtptest.Config{DiscardData: true})
	fmt.Println(relay.Port)
	select {}
}

// measureSource lets smtp-source send as many messages of the same size.
func measureSource(ctx context.Context, s settings, port int) (figures, error) {
	cmd := exec.CommandContext(ctx, "smtp-source", "-s", fmt.Sprint(s.connections), "-d", "-m", fmt.Sprint(s.readers), "-l", fmt.Sprint(s.size),
		"-f", "news@example.org", "-t", "reader@example.net", fmt.Sprintf("127.0.0.1:%d", port))
	begun := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return figures{}, fmt.Errorf("smtp-source: %w: %s", err, out)
	}
	return usage(cmd, s.readers, time.Since(begun)), nil
}

func usage(cmd *exec.Cmd, messages int, took time.Duration) figures {
	f := figures{perSecond: float64(messages) / took.Seconds()}
	f.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()) / time.Duration(messages)
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.rss = u.Maxrss
	}
	return f
}

// measureDispatcher makes an edition for all readers, and then lets serve send it. It returns the size of a message too.
func measureDispatcher(ctx context.Context, s settings, dir string, port int) (figures, int, error) {
	config, err := prepare(ctx, s, dir, port)
	if err != nil {
		return figures{}, 0, err
	}
	size, err := messageSize(ctx, s, config, dir)
	if err != nil {
		return figures{}, 0, err
	}
	begun := time.Now()
	if out, err := exec.CommandContext(ctx, s.binary, "--config", config, "send", "weekly", "--yes").CombinedOutput(); err != nil {
		return figures{}, 0, fmt.Errorf("making the edition: %w: %s", err, out)
	}
	made := time.Since(begun)
	serve := exec.CommandContext(ctx, s.binary, "--config", config, "serve")
	log, err := serve.StderrPipe()
	if err != nil {
		return figures{}, 0, err
	}
	begun = time.Now()
	if err := serve.Start(); err != nil {
		return figures{}, 0, err
	}
	ended := time.Time{}
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "edition done") {
			ended = time.Now()
			if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
				return figures{}, 0, err
			}
		}
	}
	if err := serve.Wait(); err != nil || ended.IsZero() {
		return figures{}, 0, fmt.Errorf("serve ended before the edition was done: %w", err)
	}
	f := usage(serve, s.readers, ended.Sub(begun))
	f.made = made
	return f, size, nil
}

// prepare fills a database with readers and one article, and returns the config's path.
func prepare(ctx context.Context, s settings, dir string, port int) (string, error) {
	db, err := store.Open(ctx, filepath.Join(dir, "data"), time.Now())
	if err != nil {
		return "", err
	}
	var entries []newsletter.Found
	for i := range 3 {
		entries = append(entries, newsletter.Found{Item: newsletter.Item{
			Kind: newsletter.Article, State: newsletter.Queued, Feed: "bench", GUID: fmt.Sprint(i), URL: fmt.Sprintf("https://magazine.example/long-read-%d/", i),
			Title: fmt.Sprintf("The long read, part %d", i+1), Published: time.Now(),
			Summary: strings.Repeat("A sentence that is as long as sentences are in a magazine. ", 5),
		}})
	}
	if _, err := db.TakeIn(ctx, nil, entries, time.Now()); err != nil {
		return "", errors.Join(err, db.Close())
	}
	const group = 10_000
	for n := 0; n < s.readers; n += group {
		var batch []store.Enrolment
		for i := n; i < min(n+group, s.readers); i++ {
			batch = append(batch, store.Enrolment{
				Subscriber: newsletter.Subscriber{Address: newsletter.Address(fmt.Sprintf("reader%d@example.net", i)), Name: fmt.Sprintf("Reader Number %d", i), Language: "en"},
				Lists:      []string{"weekly"}, Confirmed: true, Consent: newsletter.Consent{At: time.Now(), Source: "bench"},
			})
		}
		if _, err := db.Enrol(ctx, batch, time.Now()); err != nil {
			return "", errors.Join(err, db.Close())
		}
	}
	if err := db.Close(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "config.yaml")
	return path, os.WriteFile(path, fmt.Appendf(nil, `public_url: https://news.example.org
publisher: {name: Example Magazine, from: news@example.org, postal_address: "1 Example Street, Springfield"}
relays: [{host: 127.0.0.1, port: %d, connections: %d}]
http: {listen: "127.0.0.1:0", admin_listen: "127.0.0.1:0"}
lists: [{id: weekly}]
`, port, s.connections), 0o600)
}

// messageSize is how many octets one reader's message has.
func messageSize(ctx context.Context, s settings, config, dir string) (int, error) {
	if out, err := exec.CommandContext(ctx, s.binary, "--config", config, "preview", "weekly", "--out", dir, "--subscriber", "reader0@example.net").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("looking at a message: %w: %s", err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "weekly.eml"))
	if err != nil {
		return 0, err
	}
	return int(info.Size()), nil
}
