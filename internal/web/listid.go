package web

import "strings"

// plausibleID reports whether text can be the id of a list: a label of a List-Id (RFC 2919) without dots, so
// that no forged link makes a page of ours name another site.
func plausibleID(text string) bool {
	return text != "" && len(text) <= 63 && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
