package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dispatcher/internal/newsletter"
)

// Audience groups the readers who may be mailed by what the question asks, with how many there are of each group.
func (s *Store) Audience(ctx context.Context, q newsletter.AudienceQuestion) ([]newsletter.Audience, error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT c.topics, r.language, `+zoneOf(q)+`, `+historyOf(q)+`, COUNT(*)
		FROM subscriptions c JOIN subscribers r ON r.id = c.subscriber
		WHERE `+mayBeMailed(q, 1)+`
		GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4`, q.List)
	groups, err := collect(rows, err, func(r *sql.Rows) (a newsletter.Audience, err error) {
		var topics, history string
		if err := r.Scan(&topics, &a.Language, &a.Zone, &history, &a.Readers); err != nil {
			return a, err
		}
		if err := parseHistory(history, &a); err != nil {
			return a, err
		}
		a.Topics, err = parseWords(topics)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("counting the readers of %s: %w", q.List, err)
	}
	return groups, nil
}

// Zones are the zones of those readers of a list who may be mailed, the empty one for those whose zone is not known.
func (s *Store) Zones(ctx context.Context, list string) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT r.zone FROM subscriptions c JOIN subscribers r ON r.id = c.subscriber
		WHERE `+mayBeMailed(newsletter.AudienceQuestion{}, 1), list)
	zones, err := collect(rows, err, func(r *sql.Rows) (zone string, err error) { return zone, r.Scan(&zone) })
	if err != nil {
		return nil, fmt.Errorf("listing the zones of the readers of %s: %w", list, err)
	}
	return zones, nil
}

// mayBeMailed says of a subscription c with its subscriber r whether a question asks for it. The list is the statement's n-th argument.
func mayBeMailed(q newsletter.AudienceQuestion, n int) string {
	condition := `c.list = $` + strconv.Itoa(n) + ` AND c.state = 'confirmed' AND NOT EXISTS (SELECT 1 FROM suppressions x WHERE x.address_hash = r.address_hash)`
	if q.Follows != 0 {
		has := `'sent', 'unknown'`
		if q.Waiting {
			has += `, 'pending', 'claimed'`
		}
		condition += fmt.Sprintf(` AND EXISTS (SELECT 1 FROM deliveries f WHERE f.edition = %d AND f.subscriber = c.subscriber AND f.state IN (%s))`, q.Follows, has)
	}
	return condition
}

func zoneOf(q newsletter.AudienceQuestion) string {
	if q.Zones {
		return `r.zone`
	}
	return `''`
}

// historyOf is what a reader has had and done, as far as a question asks for it: words such as g12.3 for variant 3 of edition 12 that she
// got, b12.3 for one that she was barred from, d7 for action 7 that she has taken, and lweekly:["iran"] for her subscription to the list
// weekly with its topics. Neither the ids of lists nor the slugs of topics have spaces.
func historyOf(q newsletter.AudienceQuestion) string {
	var sources []string
	if len(q.Alerts) > 0 {
		sources = append(sources, `SELECT CASE WHEN h.owner = 'barred' THEN 'b' ELSE 'g' END || CAST(h.edition AS TEXT) || '.' || CAST(h.variant AS TEXT) AS word FROM deliveries h
			WHERE h.edition IN `+among(q.Alerts)+` AND h.subscriber = c.subscriber
				AND (h.owner = 'barred' OR h.state IN ('pending', 'claimed', 'sent', 'unknown'))`)
	}
	if len(q.Done) > 0 {
		sources = append(sources, `SELECT 'd' || CAST(h.item AS TEXT) AS word FROM item_done h WHERE h.item IN `+among(q.Done)+` AND h.subscriber = c.subscriber`)
	}
	if len(q.Lists) > 0 {
		sources = append(sources, `SELECT 'l' || h.list || ':' || h.topics AS word FROM subscriptions h
			WHERE h.list IN `+quoted(q.Lists)+` AND h.state = 'confirmed' AND h.subscriber = c.subscriber`)
	}
	if len(sources) == 0 {
		return `''`
	}
	return `COALESCE((SELECT string_agg(word, ' ' ORDER BY word) FROM (` + strings.Join(sources, ` UNION ALL `) + `) w), '')`
}

// quoted writes words as the right side of an IN.
func quoted(words []string) string {
	var literals []string
	for _, w := range words {
		literals = append(literals, `'`+strings.ReplaceAll(w, `'`, `''`)+`'`)
	}
	return `(` + strings.Join(literals, `,`) + `)`
}

func parseHistory(history string, a *newsletter.Audience) error {
	for word := range strings.FieldsSeq(history) {
		var err error
		switch rest := word[1:]; word[0] {
		case 'g':
			a.Got, err = appendCopy(a.Got, rest)
		case 'b':
			a.Barred, err = appendCopy(a.Barred, rest)
		case 'd':
			var id int64
			id, err = strconv.ParseInt(rest, 10, 64)
			a.Done = append(a.Done, newsletter.ItemID(id))
		case 'l':
			if a.Lists == nil {
				a.Lists = map[string][]string{}
			}
			list, topics, _ := strings.Cut(rest, ":")
			a.Lists[list], err = parseWords(topics)
		}
		if err != nil {
			return fmt.Errorf("reading what readers have had: %w", err)
		}
	}
	return nil
}

func appendCopy(copies []newsletter.Copy, word string) ([]newsletter.Copy, error) {
	edition, variant, _ := strings.Cut(word, ".")
	e, err := strconv.ParseInt(edition, 10, 64)
	if err != nil {
		return nil, err
	}
	v, err := strconv.Atoi(variant)
	return append(copies, newsletter.Copy{Edition: newsletter.EditionID(e), Variant: newsletter.VariantID(v)}), err
}

// formatHistory is the opposite of parseHistory: what historyOf says of the group's readers.
func formatHistory(a newsletter.Audience) string {
	var words []string
	for _, c := range a.Got {
		words = append(words, fmt.Sprintf("g%d.%d", c.Edition, c.Variant))
	}
	for _, c := range a.Barred {
		words = append(words, fmt.Sprintf("b%d.%d", c.Edition, c.Variant))
	}
	for _, id := range a.Done {
		words = append(words, fmt.Sprintf("d%d", id))
	}
	for list, topics := range a.Lists {
		words = append(words, "l"+list+":"+formatWords(topics))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
