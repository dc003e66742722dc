package scheduler_test

import (
	"encoding/binary"
	"testing"
	"time"

	"dispatcher/internal/scheduler"
)

// Whatever line is accepted: its slots go on for ever, each later than the one before, and each is found from any instant
// since; it is its own slot at home, and elsewhere a slot of the same line there.
func FuzzLines(f *testing.F) {
	for i, line := range append([]string{
		"", "@every 1h", "@reboot", "CRON_TZ=", "CRON_TZ=UTC", "TZ= * * * * *", "CRON_TZ=UTC 0 9 * * *", "0 0 9 * * MON", ",,, * * * *", "*/0 * * * *", "*/90 * * * *",
		"0 0 30 2 *", "0 9 * * 7", "0 9 L * *", "0 9 * * 1#2", "0\u00a09 * * *", "\xff * * * *", "-1 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "? ? ? ? ?",
	}, sparse...) {
		f.Add(line, uint8(i), int64(i)*1_000_000_000)
	}
	for i, line := range dense {
		f.Add(line, uint8(i), int64(1_330_000_000+i))
	}
	f.Fuzz(func(t *testing.T, line string, zone uint8, after int64) {
		here, there := load(t, zones[int(zone)%len(zones)]), load(t, zones[int(zone/2)%len(zones)])
		s, err := scheduler.Parse(line, here)
		if err != nil {
			return
		}
		last := time.Unix(after%(1<<33), 0) // from 1697 to 2242
		for range 20 {
			slot := s.Next(last)
			if !slot.After(last) {
				t.Fatalf("%s %q: %v comes after %v", here, line, slot, last)
			}
			if between := last.Add(slot.Sub(last) / 2); !s.Next(between).Equal(slot) || !s.Next(slot.Add(-1)).Equal(slot) {
				t.Fatalf("%s %q: after %v comes %v, and after %v comes %v", here, line, last, slot, between, s.Next(between))
			}
			if home := s.Elsewhere(slot, here); !home.Equal(slot) {
				t.Fatalf("%s %q: the slot at %v is at %v where it is", here, line, slot, home)
			}
			if other := s.Elsewhere(slot, there); !s.In(there).Next(other.Add(-1)).Equal(other) {
				t.Fatalf("%q: the slot at %v in %s has none at %v in %s", line, slot, here, other, there)
			}
			last = slot
		}
	})
}

// Whatever a clock does, twice within an hour or a day, the slots are as the dial has them.
func FuzzClocks(f *testing.F) {
	f.Add(int16(-300), int16(-240), int16(-300), uint16(60))
	f.Add(int16(60), int16(0), int16(60), uint16(20))
	f.Add(int16(-600), int16(840), int16(-600), uint16(1))
	f.Add(int16(720), int16(-720), int16(720), uint16(90))
	f.Add(int16(720), int16(300), int16(-300), uint16(30))
	f.Add(int16(-300), int16(300), int16(720), uint16(30))
	f.Add(int16(0), int16(0), int16(0), uint16(1440))
	f.Fuzz(func(t *testing.T, before, between, behind int16, apart uint16) {
		const far = 840 // minutes: a clock goes back by 28 hours at most
		first := int(instant(t, "2026-06-10T00:00:00Z").Unix() / 60)
		second := first + 1 + int(apart%2000)
		zone := fickle(t, [3]int{int(before % far), int(between % far), int(behind % far)}, [2]int{first, second})
		from, until := first-day, second+3*day
		compare(t, readDial(t, zone, from, until), readSchedules(t, []string{"* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0 9 * * THU", "45 23 10-12 * *"}), from, until)
	})
}

// fickle is a zone with three offsets, in minutes, and two changes, in minutes since 1970 (RFC 9636 section 3.1, version 1).
func fickle(t *testing.T, offsets [3]int, changes [2]int) *time.Location {
	file := append([]byte("TZif"), make([]byte, 16)...)
	for _, count := range []int{0, 0, 0, len(changes), len(offsets), len("X\x00")} {
		file = binary.BigEndian.AppendUint32(file, uint32(count))
	}
	for _, change := range changes {
		file = binary.BigEndian.AppendUint32(file, uint32(change*60))
	}
	file = append(file, 1, 2)
	for _, offset := range offsets {
		file = append(binary.BigEndian.AppendUint32(file, uint32(offset*60)), 0, 0)
	}
	zone, err := time.LoadLocationFromTZData("fickle", append(file, "X\x00"...))
	if err != nil {
		t.Fatal(err)
	}
	return zone
}
