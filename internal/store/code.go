package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"

	"dispatcher/internal/newsletter"
)

// codeLength is how many letters and digits of base32 a code has: 65 random bits, so that nobody finds by trying an action that no
// mail has borne yet.
const codeLength = 13

// codeOf is the code that names an action's stable link. One that has none gets it now; it then stays for good, since mail bears it.
func codeOf(i newsletter.Item) sql.NullString {
	if i.Code == "" && i.Kind == newsletter.Action {
		i.Code = strings.ToLower(rand.Text())[:codeLength]
	}
	return sql.NullString{String: i.Code, Valid: i.Code != ""}
}

// ActionByCode is the action whose stable link has a code. Errors do not repeat the code: who follows a link is nobody's business,
// and errors are logged.
func (s *Store) ActionByCode(ctx context.Context, code string) (newsletter.Item, error) {
	item, err := scanItem(s.read.QueryRowContext(ctx, `SELECT `+itemColumns+` FROM items WHERE code = $1 AND kind = 'action'`, code))
	if err != nil {
		return item, fmt.Errorf("looking an action up by its code: %w", found(err))
	}
	return item, nil
}
