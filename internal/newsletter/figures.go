package newsletter

import "time"

// Figures are what the database tells of its work, for monitoring. None of them names a reader.
type Figures struct {
	Lists        map[string]ListFigures // by the list's id
	Lanes        map[Lane]LaneFigures   // all lanes
	Items        map[ItemState]int
	Suppressions map[string]int // by reason
	Bounces      map[BounceKind]int
	Feeds        []FeedState // their name, last poll, failures and Gone
	Held         string      // why mail is held back; empty: it is not
	Disk         Disk
}

// ListFigures are one list's.
type ListFigures struct {
	Readers  int // confirmed
	Slots    map[SlotFate]int
	Editions map[EditionState]int
	Counts   Counts        // over all its editions, rehearsals included
	Failed   map[Owner]int // of Counts.Failed, by whose fault it was
}

// LaneFigures are what waits in one lane of the outbox.
type LaneFigures struct {
	Pending int       // readers' copies, those of paused editions included
	Oldest  time.Time // since when the copy is due that has been due for longest, where its edition is being sent; zero: none is
}

// Disk is what the database takes, in bytes, and what its file system has left for it.
type Disk struct {
	Database int64
	WAL      int64 // the write-ahead log beside it
	Free     int64
	Size     int64
}

// MailerFigures are the figures of all mailers of a process. The counters begin with the process and never fall.
type MailerFigures struct {
	Relays    []RelayFigures // by name
	Commit    Histogram      // seconds that the outcomes of a group took to the disk
	Group     Histogram      // outcomes in such a group
	Unwritten int64          // commits that failed; their outcomes are tried to be written again
}

// RelayFigures are one relay's.
type RelayFigures struct {
	Name      string
	Taken     int64 // messages that it took
	Refusals  []Refused
	Unreached int64 // connections that could not be opened

	// Where no mailer sends to it, as of a relay that the config has no more, nothing is known but the counts.
	Used        bool
	Busy, Idle  int     // open connections that carry a message, and that wait for one
	Most        int     // connections that it may have
	CircuitOpen bool    // it takes no mail
	QuotaSpent  bool    // it has had all that it may have for now
	Rate        float64 // messages per second that it gets at most; 0: no limit
	Slowed      int     // classes of recipients that have asked us to slow down, and are not at full speed again
}

// Refused is how many messages a relay refused for one owner's sake.
type Refused struct {
	Owner     Owner
	Permanent bool // a 5xx, and not a 4xx
	Count     int64
}

// Histogram is how large values were.
type Histogram struct {
	Count  uint64
	Sum    float64
	AtMost map[float64]uint64 // how many of them were no larger than this
}

// Readiness says whether dispatcher can do its work now, in words for people, without any address.
type Readiness struct {
	Reasons []string // why it cannot; none: it is ready
	Notes   []string // what is not as it should be and does not keep it from its work
}
