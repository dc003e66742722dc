package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"dispatcher/internal/newsletter"
)

// metric is a name of ours with its labels. Labels are bounded by the config and the glossary: no reader is one.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("dispatcher_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("dispatcher_"+name, help, labels, nil), prometheus.CounterValue}
}

func histogram(name, help string) metric {
	return metric{prometheus.NewDesc("dispatcher_"+name, help, nil, nil), prometheus.UntypedValue}
}

func (m metric) tell(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func (m metric) tellHistogram(to chan<- prometheus.Metric, h newsletter.Histogram) {
	to <- prometheus.MustNewConstHistogram(m.desc, h.Count, h.Sum, h.AtMost)
}

// What /metrics shows. docs/monitoring.md has the same table.
var (
	buildInfo       = gauge("build_info", "1, with the version that runs.", "version")
	readyNow        = gauge("ready", "1 where /readyz would say ready, else 0.")
	figuresRead     = gauge("figures_read", "1 where the figures of the database could be read for this scrape, else 0, and they are missing.")
	schedulerLooked = gauge("scheduler_last_look_timestamp_seconds", "When the scheduler last gave a sign.")
	held            = gauge("mail_held", "1 while all mail is held back, for a restored database or a wrong clock.")

	slots      = counter("slots_total", "Slots of the schedules, by what became of them.", "list", "fate")
	editions   = gauge("editions", "Editions by state.", "list", "state")
	deliveries = gauge("deliveries", "Readers' copies of all editions by state, as `editions show` counts them.", "list", "state")
	failures   = gauge("deliveries_failed", "Readers' copies that failed, by whose fault it was.", "list", "owner")
	readers    = gauge("readers", "Confirmed subscriptions.", "list")

	pending   = gauge("outbox_pending", "Readers' copies that wait to be sent, those of paused editions included.", "lane")
	oldestDue = gauge("outbox_oldest_due_seconds", "How long the copy has been due that has been due for longest, of editions that are being sent.", "lane")

	items        = gauge("items", "Items by state.", "state")
	suppressions = gauge("suppressions", "Addresses that are never mailed, by reason.", "reason")
	bounces      = counter("bounces_total", "Reports about copies that came back by mail.", "kind")
	feedPolled   = gauge("feed_last_poll_timestamp_seconds", "When a feed was last asked, with whatever success.", "feed")
	feedFailures = gauge("feed_failures", "Polls of a feed in a row that failed.", "feed")
	feedGone     = gauge("feed_gone", "1 where a feed has answered 410 and is polled no more.", "feed")

	databaseSize = gauge("database_size_bytes", "Size of the database file.")
	walSize      = gauge("database_wal_size_bytes", "Size of the database's write-ahead log.")
	diskFree     = gauge("disk_free_bytes", "Room that the database's file system has for us.")
	diskSize     = gauge("disk_size_bytes", "Size of the database's file system.")

	commit    = histogram("commit_duration_seconds", "How long the outcomes of a group of messages took to the disk.")
	group     = histogram("commit_outcomes", "Outcomes in such a group.")
	unwritten = counter("commit_failures_total", "Groups of outcomes that could not be written; each try counts.")

	relayTaken       = counter("relay_messages_taken_total", "Messages that a relay took.", "relay")
	relayRefused     = counter("relay_refusals_total", "Messages that a relay refused, by whose fault it was and the class of its reply.", "relay", "owner", "reply")
	relayUnreached   = counter("relay_connection_failures_total", "Connections to a relay that could not be opened.", "relay")
	relayConnections = gauge("relay_connections", "Open connections to a relay.", "relay", "state")
	relayMost        = gauge("relay_connections_limit", "Connections that a relay gets at most.", "relay")
	relayCircuit     = gauge("relay_circuit_open", "1 while a relay takes no mail: it is out of reach or refuses us.", "relay")
	relayQuota       = gauge("relay_quota_spent", "1 while a relay has had all mail that it may have for now.", "relay")
	relaySlowed      = gauge("relay_classes_slowed", "Classes of recipients that have asked us to slow down and are not at full speed again.", "relay")
	relayRate        = gauge("relay_rate_limit", "Messages in a second that a relay gets at most; missing where there is no limit.", "relay")

	ours = []metric{
		buildInfo, readyNow, figuresRead, schedulerLooked, held, slots, editions, deliveries, failures, readers, pending, oldestDue,
		items, suppressions, bounces, feedPolled, feedFailures, feedGone, databaseSize, walSize, diskFree, diskSize, commit, group, unwritten,
		relayTaken, relayRefused, relayUnreached, relayConnections, relayMost, relayCircuit, relayQuota, relaySlowed, relayRate,
	}
)
