package smtptest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
)

// uncut is where receive cuts a message that is not to be cut.
const uncut int64 = math.MaxInt64

func (s *session) data(arg string) error {
	switch {
	case arg != "":
		return s.reply(reply{501, "5.5.4", "DATA takes no argument"})
	case s.env == nil:
		return s.reply(reply{503, "5.5.1", "Send MAIL first"})
	case len(s.env.to) == 0:
		return s.reply(reply{554, "5.5.1", "No valid recipients"})
	}
	open := false
	a := s.ask(Event{Stage: Data})
	own := reply{code: 354, text: "End with <CRLF>.<CRLF>"}
	if err := s.carryOut(a, own, func() { open = true }); err != nil || !open {
		return err
	}
	cutAt := uncut
	if a.Fault == CutInData {
		cutAt = int64(a.Bytes)
	}
	refusal, err := s.receive(cutAt)
	if err != nil {
		return err
	}
	return s.endOfData(refusal)
}

// endOfData ends the transaction, whatever becomes of the message.
func (s *session) endOfData(refusal reply) error {
	defer func() { s.env = nil }()
	if refusal.code != 0 {
		return s.refuse(refusal)
	}
	own := reply{250, "2.0.0", fmt.Sprintf("Ok: queued as %d-%d", s.number, s.accepted+1)}
	return s.carryOut(s.ask(Event{Stage: EndOfData}), own, s.accept)
}

// receive reads a message into s.body, or returns the reply that refuses it.
//
// Only a dot alone between two CRLFs ends a message. A relay that also takes
// a bare CR or LF for a line's end lets one message smuggle in another, so such
// a message is refused as a whole (RFC 5321 sections 2.3.8 and 4.1.1.4).
func (s *session) receive(cutAt int64) (refusal reply, err error) {
	var (
		body      = s.body[:0]
		size      int64
		lines     int
		lineStart = true
	)
	for size < cutAt {
		part, err := s.r.ReadSlice('\n')
		lineEnd := err == nil
		if !lineEnd && !errors.Is(err, bufio.ErrBufferFull) {
			return reply{}, err
		}
		if lineStart && part[0] == '.' {
			if string(part) == ".\r\n" {
				break
			}
			part = part[1:] // section 4.5.2
		}
		size += int64(len(part))
		body = append(body, part...)
		if lineStart = lineEnd && bytes.HasSuffix(body, crlf); lineStart {
			lines++
		}
		if size > s.server.cfg.MaxSize {
			body = append(body[:0], body[len(body)-1]) // a CR may yet meet its LF
		}
	}
	s.body = body
	switch {
	case cutAt != uncut:
		return reply{}, errCut
	case size > s.server.cfg.MaxSize:
		return reply{552, "5.3.4", "Message is over the size limit"}, nil
	case bytes.Count(body, crlf[:1]) != lines || bytes.Count(body, crlf[1:]) != lines:
		return reply{550, "5.5.2", "Message has a bare CR or LF"}, nil
	}
	return reply{}, nil
}

// accept takes responsibility for the message in s.body.
func (s *session) accept() {
	s.accepted++
	m := Message{
		From:      s.env.from,
		To:        s.env.to,
		Params:    s.env.params,
		MessageID: messageID(s.body),
		Session:   s.number,
		Number:    s.accepted,
		TLS:       s.secure,
		User:      s.user,
		Received:  s.server.cfg.Now(),
	}
	if !s.server.cfg.DiscardData {
		m.Data = bytes.Clone(s.body)
	}
	s.server.record(m)
}
