package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far long work is: a bar on a terminal; elsewhere a line each second, and none for work that is over sooner.
// One goroutine may use it at a time.
type progress struct {
	out        io.Writer
	now        func() time.Time
	what, unit string
	total      int64 // 0: nobody knows
	done       int64
	told       int64 // what the last line said; -1: there was none
	saidAt     time.Time
	bar        *progressbar.ProgressBar // nil where out is no terminal
	always     bool                     // there is a last line in any case, however short the work was
}

// octets is the unit of work that is measured in them.
const octets = "octet"

// progress begins to show work such as "importing rows" of a total, or of 0 where that is not known. The unit is the word for one
// of what is counted, or octets. Call end when it is over, also when it failed.
func (p process) progress(out io.Writer, what, unit string, total int64) *progress {
	w := &progress{out: out, now: p.now, what: what, unit: unit, total: total, told: -1, saidAt: p.now()}
	if p.errColumns > 0 {
		most := total
		if total <= 0 {
			most = -1 // it turns instead of growing
		}
		w.bar = progressbar.NewOptions64(most,
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what+" "), progressbar.OptionSetWidth(min(max(5, p.errColumns-60), 30)),
			progressbar.OptionShowCount(), progressbar.OptionShowBytes(unit == octets), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(total > 0), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish())
	}
	return w
}

// at says how much is done.
func (w *progress) at(done int64) {
	w.done = done
	if w.bar != nil {
		if w.total > 0 {
			done = min(done, w.total)
		}
		_ = w.bar.Set64(done) // it fails where the terminal is gone: the work goes on
		return
	}
	if w.now().Sub(w.saidAt) >= time.Second {
		w.say()
	}
}

// end takes the bar away. What was done is the command's to tell.
func (w *progress) end() {
	switch {
	case w.bar != nil:
		_ = w.bar.Clear()
		_ = w.bar.Exit()
		w.bar = nil
	case w.told >= 0 || w.always:
		w.say()
	}
}

// say writes a line where there is something new to say.
func (w *progress) say() {
	if w.done == w.told {
		return
	}
	w.told, w.saidAt = w.done, w.now()
	fmt.Fprintf(w.out, "%s: %s\n", w.what, w.words())
}

func (w *progress) words() string {
	switch {
	case w.unit == octets && w.total > 0:
		return fmt.Sprintf("%s of %s", size(w.done), size(w.total))
	case w.unit == octets:
		return size(w.done)
	case w.total > 0:
		return fmt.Sprintf("%d of %s", w.done, counted(int(w.total), w.unit))
	}
	return counted(int(w.done), w.unit)
}

// size is a number of octets for people.
func size(n int64) string {
	for _, unit := range []struct {
		octets int64
		name   string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= unit.octets {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.octets), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// reading is a file whose reading is the work.
func (w *progress) reading(file io.Reader) io.Reader { return &readingReader{file, w} }

type readingReader struct {
	file io.Reader
	work *progress
}

func (r *readingReader) Read(b []byte) (int, error) {
	n, err := r.file.Read(b)
	r.work.at(r.work.done + int64(n))
	return n, err
}

// sizeOf is how large some files are together; 0 where one of them is none that has a size.
func sizeOf(names ...string) (total int64) {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		total += info.Size()
	}
	return total
}
