package ingest

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

// maxSummary is how many characters of whole sentences make a summary.
const maxSummary = 300

// summarise makes the summary of an entry from its excerpt or, where there is none or it breaks off in the middle of
// the text, from the text's beginning.
func summarise(excerpt, text string) string {
	excerpt, cut := cutEnding(excerpt)
	if text, textCut := cutEnding(text); excerpt == "" || cut && strings.HasPrefix(text, firstRunes(excerpt, 40)) {
		excerpt, cut = text, textCut
	}
	return wholeSentences(excerpt, cut)
}

// wholeSentences is as many sentences of a text as fit into a summary. Text that was cut ends in a sentence that is
// not whole. Where not even the first fits, it is cut at a word and ends in an ellipsis.
func wholeSentences(text string, cut bool) string {
	text = newsletter.OneLine(text, 0)
	if !cut && utf8.RuneCountInString(text) <= maxSummary {
		return text
	}
	end := 0
	for _, e := range sentenceEnds(text) {
		if utf8.RuneCountInString(text[:e]) > maxSummary {
			break
		}
		end = e
	}
	switch {
	case end > 0:
		return text[:end]
	case text == "":
		return ""
	case utf8.RuneCountInString(text) < maxSummary:
		return strings.TrimRight(text, " ,;:-–—") + "…"
	}
	return newsletter.OneLine(text, maxSummary)
}

const (
	fullStops  = ".!?…؟۔。！？"
	closers    = "\"'”’»)]›」』"
	noBlankToo = "。！？" // end a sentence with no blank behind
)

// sentenceEnds lists the places right behind each sentence of a text.
func sentenceEnds(text string) []int {
	var ends []int
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		stop := at
		at += size
		if !strings.ContainsRune(fullStops, r) {
			continue
		}
		behind := len(text) - len(strings.TrimLeft(text[at:], fullStops+closers))
		rest := text[behind:]
		if rest != "" && rest[0] != ' ' && !strings.ContainsRune(noBlankToo, r) {
			continue
		}
		next, _ := utf8.DecodeRuneInString(strings.TrimLeft(rest, " "+closers+"“‘«([„"))
		at = behind
		if unicode.IsLower(next) || r == '.' && behind == stop+1 && isAbbreviation(text[:stop], next) {
			continue
		}
		ends = append(ends, behind)
	}
	return ends
}

// Words whose full stop does not end a sentence: in front of a name, and in front of a number.
const (
	titles  = " mr mrs ms mx dr prof st sr rev gen sen rep gov hon sgt capt lt col fr vs "
	counted = " no nos vol p pp fig ca art sec jan feb mar apr jun jul aug sep sept oct nov dec "
)

// isAbbreviation reports whether the full stop behind a text, with another word to come, belongs to the last word:
// "Dr.", "Dec. 13", "U.S.", an initial.
func isAbbreviation(text string, next rune) bool {
	words := strings.FieldsFunc(text[max(len(text)-20, 0):], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("(“‘\"«", r) })
	if len(words) == 0 {
		return false
	}
	word := strings.ToLower(words[len(words)-1])
	switch {
	case utf8.RuneCountInString(word) == 1, strings.Contains(word, "."), strings.Contains(titles, " "+word+" "):
		return true
	}
	return unicode.IsDigit(next) && strings.Contains(counted, " "+word+" ")
}

// firstRunes is the beginning of a text, n runes at most.
func firstRunes(s string, n int) string {
	for at := range s {
		if n--; n < 0 {
			return s[:at]
		}
	}
	return s
}
