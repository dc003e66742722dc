package newsletter

import (
	"slices"
	"strings"
)

// goneCodes are the enhanced codes that say that the mailbox is not there (RFC 3463 section 3, RFC 7505 for 5.1.10).
var goneCodes = []string{"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}

// goneWords say the same where there is no enhanced code that tells more than failure.
var goneWords = []string{"user unknown", "unknown user", "no such user", "does not exist", "no such recipient", "invalid recipient"}

// SaysGone reports whether a permanent refusal surely says that the mailbox is not there: by its enhanced code, or where that
// is missing or as vague as 5.0.0, by a 550, 551 or 553 with words that say so. Quota, policy, content and routing are not the
// reader's fault, and neither is a host that checks the sender by calling back and finds that we are unknown.
func SaysGone(code int, enhanced, words string) bool {
	if slices.Contains(goneCodes, enhanced) {
		return true
	}
	vague := enhanced == "" || strings.HasSuffix(enhanced, ".0.0")
	if !vague || code != 550 && code != 551 && code != 553 {
		return false
	}
	words = strings.ToLower(words)
	says := func(phrase string) bool { return strings.Contains(words, phrase) }
	return slices.ContainsFunc(goneWords, says) && !says("sender")
}
