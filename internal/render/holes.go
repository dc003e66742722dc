package render

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"dispatcher/internal/newsletter"
)

// What goes into a hole is told by one letter. The part of the message decides how it is escaped, so the
// text and the HTML have letters of their own.
const (
	holeTo              = 't'
	holeDate            = 'd'
	holeMessageID       = 'm'
	holeListUnsubscribe = 'l'
	holeFollows         = 'r' // stands alone in a field of the header, and takes the field along where there is nothing to fill it with
	holeTextName        = 'n'
	holeTextLink        = 'u'
	holeHTMLName        = 'N'
	holeHTMLLink        = 'U'
	markNamed           = 'i' // what follows is for readers whose name is known
	markNameless        = 'e' // what follows is for the others
	markEveryone        = 'f' // what follows is for everybody again
)

const (
	markerPrefix = "hole"
	softBreak    = "=\r\n"  // RFC 2045 section 6.7 (5)
	headerHoles  = "dlmt"   // sorted
	threadHoles  = "dlmrrt" // the same of a message that answers another one
)

// errHoles says that a variant's holes are not where they were put.
var errHoles = errors.New("the message does not have the holes that its HTML and text have; render the edition again")

// marks makes the markers of one variant: letters and digits only, so that html/template leaves them alone in
// text, attributes and URLs, around a nonce that was drawn after the feed had its say.
type marks struct{ nonce string }

// drawMarks takes 64 random bits.
func drawMarks(random io.Reader) (marks, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return marks{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	return marks{fmt.Sprintf("%016x", binary.BigEndian.Uint64(b[:]))}, nil
}

func (m marks) hole(letter byte) string { return markerPrefix + m.nonce + string(letter) }

// piece is a stretch of fixed text, or one hole.
type piece struct {
	fixed []byte // of a holeFollows: the name of its field
	wire  []byte // fixed, dot-stuffed; set by Compile
	hole  byte   // 0: fixed text
	when  byte   // markNamed, markNameless or markEveryone
}

// cut takes a text apart at its markers and returns their letters too, in order. In quoted-printable text a
// soft line break may stand anywhere in a marker.
func cut(text []byte, nonce string, quoted bool) (pieces []piece, letters []byte, err error) {
	marker := []byte(markerPrefix + nonce)
	when, last := byte(markEveryone), 0
	keep := func(until int) {
		if until > last {
			pieces = append(pieces, piece{fixed: text[last:until], when: when})
		}
	}
	for at := 0; at < len(text); {
		letter, length := matchMarker(text[at:], marker, quoted)
		if length == 0 {
			at++
			continue
		}
		keep(at)
		at += length
		last = at
		letters = append(letters, letter)
		switch letter {
		case markNamed, markNameless, markEveryone:
			if !follows(when, letter) {
				return nil, nil, fmt.Errorf("%w: parts for named and nameless readers are mixed up", errHoles)
			}
			when = letter
		default:
			pieces = append(pieces, piece{hole: letter, when: when})
		}
	}
	keep(len(text))
	if when != markEveryone {
		return nil, nil, fmt.Errorf("%w: a part for some readers does not end", errHoles)
	}
	return pieces, letters, nil
}

// follows reports whether one condition may follow another: named, then perhaps nameless, then everyone.
func follows(before, after byte) bool {
	switch after {
	case markNamed:
		return before == markEveryone
	case markNameless:
		return before == markNamed
	default:
		return before != markEveryone
	}
}

// matchMarker returns the letter of the marker that text begins with, and its length; 0 when there is none.
func matchMarker(text, marker []byte, quoted bool) (letter byte, length int) {
	if len(text) == 0 || text[0] != marker[0] {
		return 0, 0
	}
	for i := 0; i <= len(marker); i++ {
		if quoted && bytes.HasPrefix(text[length:], []byte(softBreak)) {
			length += len(softBreak)
		}
		if length == len(text) || (i < len(marker) && text[length] != marker[i]) {
			return 0, 0
		}
		length++
	}
	return text[length-1], length
}

// Message is a variant's message, cut at its holes: what is left to do for one reader is copying. It may be
// used by several goroutines at once.
type Message struct {
	pieces []piece
}

// Compile cuts a variant's message at its holes. It needs nothing but the variant, so the variant may come
// from a database, and it refuses one whose message does not have exactly the holes of its text and HTML.
func Compile(v newsletter.Variant) (*Message, error) {
	end := bytes.Index(v.Message, []byte("\r\n\r\n"))
	if end < 0 || v.Nonce == "" {
		return nil, fmt.Errorf("compiling variant %d: %w", v.ID, errHoles)
	}
	end += len("\r\n") // the line end of the last field
	header, headerLetters, err := cut(v.Message[:end], v.Nonce, false)
	if err == nil {
		err = takeFields(header)
	}
	if err != nil {
		return nil, fmt.Errorf("compiling variant %d: %w", v.ID, err)
	}
	body, bodyLetters, err := cut(v.Message[end:], v.Nonce, true)
	if err != nil {
		return nil, fmt.Errorf("compiling variant %d: %w", v.ID, err)
	}
	_, text, textErr := cut([]byte(v.Text), v.Nonce, false)
	_, html, htmlErr := cut([]byte(v.HTML), v.Nonce, false)
	slices.Sort(headerLetters)
	whole := string(headerLetters) == headerHoles || string(headerLetters) == threadHoles
	if textErr != nil || htmlErr != nil || !whole || !bytes.Equal(bodyLetters, slices.Concat(text, html)) {
		return nil, fmt.Errorf("compiling variant %d: %w", v.ID, errHoles)
	}
	for i := range body {
		if body[i].hole == 0 {
			body[i].fixed = selfContained(body[i].fixed)
		}
	}
	pieces := append(header, body...)
	for i := range pieces {
		pieces[i].wire = newsletter.DotStuff(pieces[i].fixed) // each begins a line, or in the middle of a header's
	}
	return &Message{pieces}, nil
}

// takeFields moves the field around each holeFollows into the hole, from its name to the end of its line, so that a message
// which answers none does without the field: an empty one would not be lawful (RFC 5322 section 3.6.4).
func takeFields(header []piece) error {
	for i := range header {
		if header[i].hole != holeFollows {
			continue
		}
		if i == 0 || i == len(header)-1 || !bytes.HasPrefix(header[i+1].fixed, []byte("\r\n")) {
			return fmt.Errorf("%w: a field of the thread has no line of its own", errHoles)
		}
		before, after := &header[i-1], &header[i+1]
		line := bytes.LastIndexByte(before.fixed, '\n') + 1
		before.fixed, header[i].fixed, after.fixed = before.fixed[:line], before.fixed[line:], after.fixed[len("\r\n"):]
	}
	return nil
}

// selfContained makes a stretch of quoted-printable text begin and end in column 0, so that what stands before and
// after it cannot make a line too long. The marker stood in the line that is broken here, so there is room.
func selfContained(fixed []byte) []byte {
	fixed = bytes.TrimPrefix(fixed, []byte(softBreak))
	if len(fixed) == 0 || bytes.HasSuffix(fixed, []byte("\r\n")) {
		return fixed
	}
	return append(slices.Clip(fixed), softBreak...)
}
