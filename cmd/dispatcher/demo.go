package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"dispatcher/internal/config"
	"dispatcher/internal/scheduler"
	"dispatcher/internal/smtptest"
	"dispatcher/internal/web"
)

func newDemoCommand(p process) *cobra.Command {
	d := &demo{process: p}
	cmd := addJSONFlag(&cobra.Command{
		Use:   "demo",
		Short: "Run the whole loop on this machine, with no set-up and no network",
		Long: `Run the whole loop on this machine: the code of serve, a sample feed, 25 sample readers, a relay that keeps what it gets, and an
inbox at a local address that shows it. Nothing leaves the machine, your own config is not read, and all of it lies in a
temporary folder. Its clock begins seconds before the slot of the sample digest; the sample alert goes out just before that.

On a terminal it stays until Ctrl-C. Without one, or with --once, it ends when all mail is out, leaves the mail in a folder
that it names, and prints the table of editions.`,
		Args: cobra.NoArgs,
	})
	cmd.Flags().BoolVar(&d.once, "once", false, "write the mail to files and end, rather than stay until Ctrl-C")
	cmd.Flags().BoolVar(&d.keep, "keep", false, "keep the config and the database when it ends")
	cmd.Flags().StringVar(&d.listen, "listen", loopback, "`host:port` of the inbox; port 0 is any free one")
	cmd.Flags().StringVar(&d.out, "out", "", "the `folder` to write the mail to; it is made where it is missing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d.cmd, d.once = cmd, d.once || !p.terminal
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP) // who closes the terminal ends the demo, too
		defer stop()
		err := d.run(ctx)
		switch {
		case !errors.Is(err, context.Canceled):
			return err
		case d.once:
			return errors.New("interrupted before all mail was out")
		}
		return nil // Ctrl-C is how a demo on a terminal ends
	}
	return cmd
}

const (
	loopback  = "127.0.0.1:0"   // any free port of this machine
	demoStart = 3 * time.Second // how long before the digest's slot the clock begins
)

// demo is one run of the demo.
type demo struct {
	process
	cmd         *cobra.Command
	once, keep  bool
	listen, out string

	folder    string // of the config and the database
	clock     demoClock
	relay     *smtptest.Server
	newspaper *newspaper
	office    *office
	inbox     string // where it is, as host:port
}

// run sets everything up, lets it play, and takes everything down again.
func (d *demo) run(ctx context.Context) (err error) {
	if d.folder, err = os.MkdirTemp("", "dispatcher-demo-"); err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, d.leaveFolder()) }()
	newsroom, err := listenHere(ctx, loopback)
	if err != nil {
		return err
	}
	defer newsroom.Close() // web.Serve closes it too: this is for what fails before
	door, err := listenHere(ctx, d.listen)
	if err != nil {
		return fmt.Errorf("%w; give --listen another address", err)
	}
	defer door.Close()
	line, err := listenHere(ctx, loopback)
	if err != nil {
		return err
	}
	d.inbox, d.relay = door.Addr().String(), smtptest.NewServer(smtptest.Config{Listener: line, Now: d.clock.now})
	defer d.relay.Close()
	if err := d.openOffice(ctx, "http://"+newsroom.Addr().String()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.office.store.Close()) }()
	return d.serve(ctx, newsroom, door)
}

// serve runs the newspaper's site and the inbox and, once there is something to send, the daemon beside them.
func (d *demo) serve(ctx context.Context, newsroom, door net.Listener) error {
	inbox, err := newInbox(d.relay.Messages, d.zone())
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return web.Serve(ctx, newsroom, d.newspaper.site(), d.office.log) })
	g.Go(func() error { return web.Serve(ctx, door, inbox, d.office.log) })
	g.Go(func() error {
		defer end()
		if err := d.prepare(ctx); err != nil {
			return err
		}
		d.clock.start()
		g.Go(func() error { return d.office.serve(ctx, d.configFile(), nil) })
		return d.play(ctx)
	})
	return g.Wait()
}

// openOffice writes the sample config, sets the clock by it, and opens the office like any command.
func (d *demo) openOffice(ctx context.Context, site string) error {
	pages, err := unusedAddress(ctx)
	if err != nil {
		return err
	}
	if err := d.writeConfig(demoPlaces{Newspaper: site, Pages: pages, RelayPort: d.relay.Port}); err != nil {
		return err
	}
	// No environment: a DISPATCHER_DATA_DIR that is meant for the real daemon must not lead the demo to its database.
	cfg, err := config.Load(d.configFile(), nil)
	if err != nil {
		return err
	}
	schedule, err := scheduler.Parse(cfg.Lists[0].Schedule, cfg.Lists[0].Zone)
	if err != nil {
		return err
	}
	d.clock.outside, d.clock.begin = d.now, schedule.Next(d.now()).Add(-demoStart)
	if d.newspaper, err = newNewspaper(site, d.clock.begin); err != nil {
		return err
	}
	p := d.process
	p.now = d.clock.now
	d.office, err = openOffice(ctx, p, cfg)
	return err
}

// demoPlaces are what the sample config must be told.
type demoPlaces struct {
	Newspaper string // URL
	Pages     string // host:port
	RelayPort int
}

func (d *demo) configFile() string { return filepath.Join(d.folder, "config.yaml") }

func (d *demo) writeConfig(places demoPlaces) (err error) {
	sample, err := template.ParseFS(demoFiles, "demo/config.yaml")
	if err != nil {
		return fmt.Errorf("reading the sample config: %w", err)
	}
	file, err := os.OpenFile(d.configFile(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the sample config: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return sample.Execute(file, places)
}

// leaveFolder removes the folder, or says where it is.
func (d *demo) leaveFolder() error {
	if d.keep {
		d.sayf("The config and the database stay in %s", d.folder)
		return nil
	}
	if err := os.RemoveAll(d.folder); err != nil {
		return fmt.Errorf("removing the demo's folder: %w", err)
	}
	return nil
}

// zone is the digest's: the demo tells its times in it.
func (d *demo) zone() *time.Location { return d.office.lists[0].Zone }

// sayf prints a line for people; where stdout is for JSON, to stderr.
func (d *demo) sayf(format string, args ...any) {
	var out io.Writer = d.stdout
	if wantsJSON(d.cmd) {
		out = d.stderr
	}
	fmt.Fprintf(out, format+"\n", args...)
}

// demoClock stands still at its beginning until it is started, so that no machine is too slow for the slot.
type demoClock struct {
	outside func() time.Time
	begin   time.Time
	ahead   atomic.Pointer[time.Duration] // of the clock outside; nil: not started
}

func (c *demoClock) now() time.Time {
	if ahead := c.ahead.Load(); ahead != nil {
		return c.outside().Add(*ahead)
	}
	return c.begin
}

func (c *demoClock) start() {
	ahead := c.begin.Sub(c.outside())
	c.ahead.Store(&ahead)
}

// listenHere listens on an address of this machine.
func listenHere(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("setting the demo up: %w", err)
	}
	return l, nil
}

// unusedAddress is one that nobody listens on: the links in the mail name it before serve listens there.
func unusedAddress(ctx context.Context) (string, error) {
	l, err := listenHere(ctx, loopback)
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
