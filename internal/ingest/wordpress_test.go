package ingest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dispatcher/internal/ingest"
	"dispatcher/internal/newsletter"
)

func TestWordPressFeedBecomesCleanItems(t *testing.T) {
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	server := serveText(t, fixture(t, "wordpress.xml"))
	if got, want := fetch(t, i, feedAt(server.URL)), (newsletter.Intake{New: 4, Known: 1}); got != want {
		t.Errorf("the first poll brought %+v, want %+v", got, want)
	}
	common := newsletter.Item{
		Kind: newsletter.Article, Feed: "magazine", Language: "en-GB", FirstSeen: today, Waiting: today, State: newsletter.Queued,
	}
	letter, tides, appeal, boats := common, common, common, common

	letter.GUID, letter.URL = "https://magazine.example/?p=9001", "https://magazine.example/2026/11/20/librarian-letter-island/"
	letter.Title = "‘They Took the Key to the Reading Room’: A Librarian’s Letter From the Island"
	letter.Summary = "On Nov. 3, the librarian Ilse Varn was led out of her own reading room in handcuffs. Dr. Varn, who is 61, had refused to hand over the list of who had borrowed what, and in the weeks that followed nobody was told where she was. “I have kept your secrets,” she wrote on the back of a catalogue card."
	letter.Image = "https://magazine.example/wp-content/uploads/2026/11/reading-room.jpg"
	letter.ImageAlt = "An empty reading room with one lamp"
	letter.Author, letter.Topics = "Ada Quill, Bo Marsh", []string{"Libraries", "Prisons & Courts", "Urgent"}
	letter.Published = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)

	tides.GUID, tides.URL = "https://magazine.example/?p=8990", "https://magazine.example/2026/11/19/tide-tables-qa/"
	tides.Title, tides.Author, tides.Topics = "Tide Tables — Q&A With the Woman Who Draws Them", "Ada Quill", []string{"Sea"}
	tides.Summary = "A short talk about the moon, paper, and being right twice a day."
	tides.Image = "https://cdn.example/tide.webp"
	tides.Published = time.Date(2026, 11, 19, 9, 30, 0, 0, time.UTC)

	appeal.Kind = newsletter.Action
	appeal.GUID, appeal.URL = "https://magazine.example/?p=8980", "https://magazine.example/2026/11/18/take-action-free-ilse-varn/"
	appeal.Title, appeal.Author = "Readers Ask the Harbour Court to Free Ilse Varn", "Harbour Gazette Staff"
	appeal.Summary = "Ilse Varn has been held without charge since Nov. 3. Her readers ask that she be home before the winter ferries stop, and they have until the first of December to say so, which is why they write today. Our background report tells how it began."
	appeal.Topics = []string{"Take Action", "Libraries", "Prisons & Courts", "Urgent"} // two of them from the letter
	appeal.Petition = "http://www.actions.example/petitions/free-ilse-varn/?utm_source=gazette"
	appeal.Deadline, appeal.Urgent = time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), true
	appeal.Published = time.Date(2026, 11, 18, 8, 0, 0, 0, time.UTC)

	boats.GUID, boats.URL = "https://magazine.example/?p=8970", "https://magazine.example/2026/11/17/eleven-boats/"
	boats.Title, boats.Author, boats.Topics = "Eleven Boats", "Bo Marsh", []string{"Sea"}
	boats.Summary = "Eleven boats left at dawn. Ten came back! “We counted twice,” said the harbour master."
	boats.Published = time.Date(2026, 11, 17, 8, 0, 0, 0, time.UTC)

	want := []newsletter.Item{letter, tides, appeal, boats}
	if diff := cmp.Diff(want, q.items, cmpopts.IgnoreFields(newsletter.Item{}, "ID", "Body")); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
}

func TestWordPressBodyIsFitForMail(t *testing.T) {
	items := read(t, "wordpress.xml", fixture(t, "wordpress.xml"))
	want := `<figure><img width="1024" height="683" src="https://magazine.example/wp-content/uploads/2026/11/reading-room.jpg" alt="An empty reading room with one lamp"/><figcaption>The reading room on Friday. (Harbour Gazette)</figcaption></figure>
<p>On Nov. 3, the librarian Ilse Varn was led out of her own reading room in handcuffs. Dr. Varn, who is 61, had refused to hand over the list of who had borrowed what, and in the weeks that followed nobody was told where she was. “I have kept your secrets,” she wrote on the back of a catalogue card. “Keep mine.”</p>
<h2>What the card says</h2>
<p>The card reached us <a href="https://magazine.example/2026/11/20/03/arrest-reading-room/?ref=card">by boat</a>. ⛵</p>
<p><strong>Take action:</strong> <a href="https://actions.example/petitions/free-ilse-varn">Sign this petition</a> asking the harbour court to release Ilse Varn before the winter ferries stop, organised by the island’s readers, some of whom have waited for her outside the court every day.</p>`
	var got []string
	for line := range strings.Lines(items[0].Body) {
		if line = strings.TrimSpace(line); line != "" {
			got = append(got, line)
		}
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestTheSameFeedAgainBringsNothing(t *testing.T) {
	document := fixture(t, "wordpress.xml")
	migrated := strings.NewReplacer("?p=", "?page_id=7", "https://", "http://").Replace(document)
	q := newQueue()
	i := newIngester(q, ingest.Settings{})
	for _, version := range []string{document, document, migrated} {
		fetch(t, i, feedAt(serveText(t, version).URL))
	}
	if len(q.items) != 4 {
		t.Errorf("%d items, want the 4 of the first poll: %+v", len(q.items), q.items)
	}
}
