package newsletter_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dispatcher/internal/newsletter"
)

func TestParseAddressTakesWhatMailReaches(t *testing.T) {
	tests := map[string]struct {
		in   string
		want newsletter.Address // empty: refused
	}{
		"plain":              {"reader@example.net", "reader@example.net"},
		"blanks around":      {"  reader@example.net ", "reader@example.net"},
		"case of the domain": {"Reader@Example.NET", "Reader@example.net"},
		"plus":               {"a+b@example.net", "a+b@example.net"},
		"IDN domain":         {"reader@bücher.example", "reader@xn--bcher-kva.example"},
		"display name":       {"Reader <reader@example.net>", ""},
		"angle brackets":     {"<reader@example.net>", ""},
		"quoted local part":  {`"a b"@example.net`, ""},
		"comment":            {"reader@example.net (me)", ""},
		"no domain":          {"reader@", ""},
		"no at":              {"reader", ""},
		"one label":          {"reader@localhost", ""},
		"IP literal":         {"reader@[127.0.0.1]", ""},
		"IP":                 {"reader@1.2.3.4", ""},
		"empty label":        {"reader@ex..ample.org", ""},
		"hyphen first":       {"reader@-b.example", ""},
		"underscore":         {"reader@b_c.example", ""},
		"two addresses":      {"a@example.net, b@example.net", ""},
		"line end":           {"a@example.net\r\nBcc: b@example.net", ""},
		"local of 64":        {strings.Repeat("a", 64) + "@example.net", newsletter.Address(strings.Repeat("a", 64) + "@example.net")},
		"local of 65":        {strings.Repeat("a", 65) + "@example.net", ""},
		"empty":              {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := newsletter.ParseAddress(tt.in)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("ParseAddress(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
			}
			if err != nil && tt.in != "" && strings.Contains(err.Error(), tt.in) {
				t.Errorf("the error repeats the address: %v", err)
			}
		})
	}
}

func TestCanonicalURLFoldsTheSamePage(t *testing.T) {
	same := []string{
		"https://magazine.example/2026/05/a-post/",
		"http://magazine.example/2026/05/a-post",
		"https://www.magazine.example/2026/05/a-post/?utm_source=feed&utm_medium=rss",
		"HTTPS://Magazine.Example:443/2026/05/a-post/#comments",
		"https://magazine.example/2026/05/./a-post//?fbclid=abc",
	}
	for _, u := range same {
		if got := newsletter.CanonicalURL(u); got != "magazine.example/2026/05/a-post" {
			t.Errorf("CanonicalURL(%q) = %q", u, got)
		}
	}
	different := []string{
		"https://magazine.example/", "https://magazine.example/?p=1", "https://magazine.example/?p=2", "https://magazine.example/#!/a",
		"https://magazine.example:8080/", "https://other.example/", "https://magazine.example/A-post",
	}
	seen := map[string]string{}
	for _, u := range different {
		got := newsletter.CanonicalURL(u)
		if other, ok := seen[got]; ok || got == "" {
			t.Errorf("CanonicalURL(%q) = %q, the same as for %q", u, got, other)
		}
		seen[got] = u
	}
	for _, u := range []string{"", "mailto:a@example.org", "javascript:alert(1)", "//magazine.example/", "http://", "http://%zz/"} {
		if got := newsletter.CanonicalURL(u); got != "" {
			t.Errorf("CanonicalURL(%q) = %q, want none", u, got)
		}
	}
}

// A site migration changes guids and scheme: the item is known by one of its other names all the same.
func TestIdentitiesSurviveAMigration(t *testing.T) {
	day := time.Date(2026, 5, 5, 14, 0, 0, 0, time.UTC)
	before := newsletter.Item{Kind: newsletter.Article, Feed: "magazine", GUID: "https://magazine.example/?p=12", URL: "http://magazine.example/a-post/", Title: "A letter from the north wing", Published: day}
	guidAndScheme, addressToo := before, before
	guidAndScheme.GUID, guidAndScheme.URL = "tag:new,2026:12", "https://magazine.example/a-post/"
	addressToo.GUID, addressToo.URL = "tag:new,2026:12", "https://magazine.example/posts/a-post.html"
	other := newsletter.Item{Kind: newsletter.Article, Feed: "magazine", GUID: "13", URL: "https://magazine.example/b-post/", Title: "A letter from the south wing", Published: day}
	shares := func(a, b newsletter.Item) bool {
		return slices.ContainsFunc(a.Identities(), func(id string) bool { return slices.Contains(b.Identities(), id) })
	}
	if !shares(before, guidAndScheme) || !shares(before, addressToo) {
		t.Errorf("a migrated article is a new one: %q, %q, %q", before.Identities(), guidAndScheme.Identities(), addressToo.Identities())
	}
	if shares(before, other) {
		t.Errorf("two articles are one: %q, %q", before.Identities(), other.Identities())
	}
	editorial := newsletter.Item{Kind: newsletter.Article, Feed: "magazine", GUID: "14", URL: "https://magazine.example/c/", Title: "Editorial", Published: day}
	second := editorial
	second.GUID, second.URL = "15", "https://magazine.example/d/"
	if shares(editorial, second) {
		t.Errorf("a short title names an article: %q", editorial.Identities())
	}
}

func TestTwoPostsWithOnePetitionAreOneAction(t *testing.T) {
	post := newsletter.Item{Kind: newsletter.Action, Feed: "magazine", GUID: "1", URL: "https://magazine.example/sign/", Petition: "https://actions.example/free-them/?utm_source=mag"}
	inside := newsletter.Item{Kind: newsletter.Action, Feed: "magazine", URL: "https://magazine.example/a-letter/", Petition: "http://actions.example/free-them"}
	if post.Identities()[0] != inside.Identities()[0] {
		t.Errorf("first names %q and %q differ", post.Identities()[0], inside.Identities()[0])
	}
	if n := len(inside.Identities()); n != 1 {
		t.Errorf("an action found inside an article has %d names and would be taken for the article: %q", n, inside.Identities())
	}
}

func TestTopicsMatchByWhatPublishersCallThem(t *testing.T) {
	topics := newsletter.Topics{{ID: "iran", Title: "Iran", Categories: []string{"Iranian Women", "Mahsa Amini"}}}
	tests := []struct {
		categories, wanted []string
		want               bool
	}{
		{[]string{"Mahsa Amini"}, []string{"iran"}, true},
		{[]string{"iranian  women"}, []string{"Iran"}, true},
		{[]string{"Press Freedom"}, []string{"press-freedom"}, true},
		{[]string{"Press"}, []string{"iran", "press-freedom"}, false},
		{nil, []string{"iran"}, false},
		{nil, nil, true},
		{[]string{"زندان اوین"}, []string{"زندان-اوین"}, true},
	}
	for _, tt := range tests {
		if got := topics.Match(tt.categories, tt.wanted); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.categories, tt.wanted, got)
		}
	}
	if got := newsletter.AddTopics([]string{"Iran", "iran "}, "IRAN", "Press Freedom", ""); !slices.Equal(got, []string{"Iran", "Press Freedom"}) {
		t.Errorf("AddTopics keeps %q", got)
	}
}

func TestOneLineIsHarmlessEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "text") + rapid.SampledFrom([]string{"", "\r\nBcc: x", "\u202eevil", "a\u2028b", "\xff\xfe", "می\u200cخواهم"}).Draw(t, "tail")
		limit := rapid.IntRange(0, 50).Draw(t, "limit")
		got := newsletter.OneLine(in, limit)
		if strings.ContainsAny(got, "\r\n\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x00") {
			t.Fatalf("OneLine(%q) = %q", in, got)
		}
		if limit > 0 && len([]rune(got)) > limit {
			t.Fatalf("OneLine(%q, %d) has %d runes", in, limit, len([]rune(got)))
		}
		if again := newsletter.OneLine(got, limit); again != got {
			t.Fatalf("OneLine is not stable: %q, %q", got, again)
		}
	})
	if got := newsletter.OneLine("می\u200cخواهم", 0); got != "می\u200cخواهم" {
		t.Errorf("the joiner that Persian needs is gone: %q", got)
	}
}

func TestRedactLeavesNoAddress(t *testing.T) {
	for _, in := range []string{
		"550 5.1.1 <reader@example.net>: Recipient address rejected", "no such user reader@example.net", "rcpt to:reader@example.net failed",
		`"reader@example.net" is full; see reader+x@sub.example.net.`,
	} {
		if got := newsletter.Redact(in); strings.Contains(got, "reader") || strings.Contains(got, "@") {
			t.Errorf("Redact(%q) = %q", in, got)
		}
	}
}

func TestTokensOpenOnlyForWhatTheyWereMadeFor(t *testing.T) {
	one := newsletter.Key{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}
	two := newsletter.Key{ID: 2, Secret: []byte("fedcba9876543210fedcba9876543210")}
	keys := newsletter.Keys{1: one, 2: two}
	rapid.Check(t, func(t *rapid.T) {
		link := newsletter.Link{
			Purpose:    newsletter.PurposeUnsubscribe,
			Subscriber: newsletter.SubscriberID(rapid.Int64().Draw(t, "subscriber")),
			List:       rapid.StringMatching(`[a-z0-9-]{1,30}`).Draw(t, "list"),
		}
		token := rapid.SampledFrom([]newsletter.Key{one, two}).Draw(t, "key").Token(link)
		if got, err := keys.Open(strings.ToUpper(token), link.Purpose); err != nil || got != link {
			t.Fatalf("Open(Token(%v)) = %v, %v", link, got, err)
		}
		if _, err := keys.Open(token, newsletter.PurposeBounce); !errors.Is(err, newsletter.ErrBadToken) {
			t.Fatalf("a token opens for another purpose: %v", err)
		}
		i := rapid.IntRange(0, len(token)-1).Draw(t, "place")
		forged := token[:i] + string('a'+(token[i]-'a'+1)%26) + token[i+1:]
		if got, err := keys.Open(forged, link.Purpose); err == nil && (got != link || forged != token) && !sameBytes(forged, token) {
			t.Fatalf("forged token %q opens as %v", forged, got)
		}
		if _, err := keys.Open(token[:i], link.Purpose); err == nil {
			t.Fatalf("a token cut to %d letters opens", i)
		}
	})
}

// sameBytes reports whether two tokens differ only in the bits of the last letter that stand for nothing.
func sameBytes(a, b string) bool { return a[:len(a)-1] == b[:len(b)-1] }

func TestBounceTokensNameTheirCopyAndFitALocalPart(t *testing.T) {
	one := newsletter.Key{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}
	keys := newsletter.Keys{1: one}
	rapid.Check(t, func(t *rapid.T) {
		d := newsletter.DeliveryKey{Edition: newsletter.EditionID(rapid.Int64Range(1, 1e9).Draw(t, "edition")), Subscriber: newsletter.SubscriberID(rapid.Int64Range(-9, 1e9).Draw(t, "subscriber"))}
		token := one.BounceToken(d)
		if got, err := keys.OpenBounce(strings.ToUpper(token)); err != nil || got != d || len("bounces+")+len(token) > 64 {
			t.Fatalf("OpenBounce(BounceToken(%v)) = %v, %v; %d letters", d, got, err, len(token))
		}
		if _, err := keys.Open(token, newsletter.PurposeUnsubscribe); err == nil {
			t.Fatal("a bounce token unsubscribes")
		}
		if _, err := (newsletter.Keys{1: {ID: 1, Secret: []byte("another secret of another house!")}}).OpenBounce(token); err == nil {
			t.Fatal("a token of another database opens")
		}
	})
}

func FuzzOpen(f *testing.F) {
	keys := newsletter.Keys{1: {ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}}
	f.Add(keys[1].Token(newsletter.Link{Purpose: newsletter.PurposeUnsubscribe, Subscriber: 7, List: "weekly"})[1:])
	f.Fuzz(func(t *testing.T, token string) {
		if l, err := keys.Open(token, newsletter.PurposeUnsubscribe); err == nil {
			t.Errorf("token %q opens as %v", token, l)
		}
	})
}

func TestMessageIDIsTheSameOnEveryTryAndTellsNothing(t *testing.T) {
	key := newsletter.Key{ID: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}
	seen := map[string]bool{}
	for edition := range 20 {
		for subscriber := range 50 {
			d := newsletter.DeliveryKey{Edition: newsletter.EditionID(edition), Subscriber: newsletter.SubscriberID(subscriber)}
			id := key.MessageID(d, "example.org")
			if id != key.MessageID(d, "example.org") || seen[id] {
				t.Fatalf("Message-ID of %v is not the same twice, or another's", d)
			}
			seen[id] = true
		}
	}
}

func TestActionsCloseAtTheirDeadline(t *testing.T) {
	deadline := time.Date(2026, 12, 1, 23, 59, 59, 0, time.UTC)
	action := newsletter.Item{Kind: newsletter.Action, Deadline: deadline, Expires: deadline.Add(-time.Hour)}
	if !action.Open(deadline.Add(-time.Second)) || action.Open(deadline) {
		t.Error("the deadline does not decide")
	}
	action.Deadline = time.Time{}
	if action.Open(action.Expires) {
		t.Error("without a deadline an action lives for ever")
	}
	if article := (newsletter.Item{Kind: newsletter.Article, Expires: deadline}); !article.Open(deadline.AddDate(10, 0, 0)) {
		t.Error("an article closes")
	}
}
