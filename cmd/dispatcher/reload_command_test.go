package main

import (
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dispatcher/internal/smtptest"
	"dispatcher/internal/store"
)

// Who asks for a reload while another one is under way, which may have read the file before it was changed, waits for the next.
func TestTheAnswerToAReloadIsThatOfNoOther(t *testing.T) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // which this process is sent as a serve
	defer signal.Stop(hangups)
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), t.TempDir(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		release, err := db.LockMailer("serve")
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		tells := func(r store.Reloads) {
			if err := db.NoteReloads(r); err != nil {
				t.Fatal(err)
			}
		}
		tells(store.Reloads{Begun: 1})
		asked, err := db.Mailer()
		if err != nil {
			t.Fatal(err)
		}
		answer := make(chan error, 1)
		go func() { answer <- haveReloaded(t.Context(), db, asked) }()
		tells(store.Reloads{Begun: 1, Ended: 1})
		time.Sleep(time.Second) // of the fake clock: it has looked
		synctest.Wait()
		if len(answer) > 0 {
			t.Errorf("the answer to the one that was under way is taken: %v", <-answer)
			return
		}
		tells(store.Reloads{Begun: 2, Ended: 2, Refused: "nonsense"})
		if err := <-answer; err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("the answer is %v", err)
		}
	})
}

// The same with a real serve, which says that it begins before it reads.
func TestAReloadIsAskedForWhileAnotherIsUnderWay(t *testing.T) {
	stalls, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	defer release()
	var once sync.Once
	r := newRig(t, setting{readers: 1, relay: smtptest.Config{Script: func(e smtptest.Event) smtptest.Answer {
		if e.Stage == smtptest.EndOfData {
			once.Do(func() { close(stalls) })
			<-goOn
		}
		return smtptest.Answer{}
	}}})
	m := newManager(t)
	serve := r.process([]string{"NOTIFY_SOCKET=" + m.socket}, "serve")
	r.answers(serve)
	r.send()
	<-stalls
	r.write("config.yaml", r.config+"\nlog: {level: debug}\n") // which waits for the relay
	if err := serve.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first reload has begun", func() bool { return strings.Contains(m.last("STATUS="), "Taking over") })
	r.write("config.yaml", r.config+"\nnonsense: true\n")
	r.inStore(func(db *store.Store) error {
		asked, err := db.Mailer()
		if err != nil || asked.Reloads != (store.Reloads{Begun: 1}) {
			t.Fatalf("serve has %+v: %v", asked.Reloads, err)
		}
		answer := make(chan error)
		go func() { answer <- haveReloaded(t.Context(), db, asked) }()
		release()
		if err := <-answer; err == nil || !strings.Contains(err.Error(), "nonsense") {
			t.Errorf("the second is told: %v", err)
		}
		return nil
	})
	if n := len(serve.log.lines(reloaded)); n != 1 {
		t.Errorf("%d reloads took a config over", n)
	}
}
