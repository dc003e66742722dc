package bounce

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
)

// Limits that no honest report comes near.
const (
	maxHeader = 256 << 10 // bytes of one block of fields
	maxText   = 64 << 10  // bytes of the words for people
	maxParts  = 100       // parts of the whole message, and blocks of one delivery status
	maxDepth  = 8         // multiparts within each other
)

// report is a returned message taken apart.
type report struct {
	header     textproto.MIMEHeader   // of the message itself
	nullSender bool                   // its envelope sender was empty, as those of reports are (RFC 5321 section 4.5.5)
	recipients []textproto.MIMEHeader // what a delivery status says of each recipient (RFC 3464 section 2.3)
	feedback   textproto.MIMEHeader   // of a complaint (RFC 5965 section 3); nil: it is none
	senders    []string               // what the parts say about the envelope sender of the copy that came back
	text       string                 // for people
	parts      int
}

// takeApart reads as much of a message as can be understood.
func takeApart(raw []byte) *report {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	header, body := fields(raw)
	r := &report{header: header}
	// Postfix and Exim put an mbox line on top of what they pipe, in which this name stands for the empty sender.
	r.nullSender = header.Get("Return-Path") == "<>" || bytes.HasPrefix(raw, []byte("From MAILER-DAEMON "))
	r.take(header, body, 0)
	if r.text == "" { // the structure is beyond repair, or there is HTML alone
		r.text = string(body[:min(len(body), maxText)])
	}
	return r
}

// take keeps what one part says. It does not go into the copy that came back: what that holds is our own.
func (r *report) take(header textproto.MIMEHeader, body []byte, depth int) {
	r.parts++
	kind, params, _ := mime.ParseMediaType(header.Get("Content-Type")) // unreadable parameters leave the kind, and no boundary
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		for _, block := range bytes.SplitN(decode(header, body), []byte("\n\n"), maxParts) {
			if f, _ := fields(block); f.Get("Action") != "" || f.Get("Status") != "" {
				r.recipients = append(r.recipients, f)
			}
		}
	case "message/feedback-report":
		r.feedback, _ = fields(decode(header, body))
		r.senders = append(r.senders, r.feedback.Values("Original-Mail-From")...)
	case "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers":
		returned, _ := fields(decode(header, body))
		r.senders = append(r.senders, returned.Values("Return-Path")...)
	case "text/plain", "":
		if r.text == "" {
			text := decode(header, body)
			r.text = string(text[:min(len(text), maxText)])
		}
	}
	if !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" || depth == maxDepth {
		return
	}
	for parts := multipart.NewReader(bytes.NewReader(body), params["boundary"]); r.parts < maxParts; {
		part, err := parts.NextRawPart()
		if err != nil { // the end, or broken from here on
			return
		}
		content, _ := io.ReadAll(part) // an error means that the end is missing
		r.take(part.Header, content, depth+1)
	}
}

// decode undoes the transfer encoding of a part, up to the first fault in it.
func decode(header textproto.MIMEHeader, body []byte) []byte {
	var decoded io.Reader = bytes.NewReader(body)
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "base64":
		decoded = base64.NewDecoder(base64.StdEncoding, decoded)
	case "quoted-printable":
		decoded = quotedprintable.NewReader(decoded)
	}
	content, _ := io.ReadAll(decoded)
	return bytes.TrimLeft(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")), "\n")
}

// unfold joins the lines of one field (RFC 5322 section 2.2.3).
var unfold = strings.NewReplacer("\n ", " ", "\n\t", " ")

// fields reads a block of fields and says what follows it. A line that is no field is left out, where net/textproto
// would give up: reports have them, and mbox lines begin with one.
func fields(block []byte) (header textproto.MIMEHeader, rest []byte) {
	head, rest, _ := bytes.Cut(block, []byte("\n\n"))
	header = textproto.MIMEHeader{}
	for line := range strings.Lines(unfold.Replace(string(head[:min(len(head), maxHeader)]))) {
		name, value, _ := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		if value = strings.TrimSpace(value); value != "" && name != "" && !strings.ContainsAny(name, " \t") {
			header.Add(name, value)
		}
	}
	return header, rest
}
