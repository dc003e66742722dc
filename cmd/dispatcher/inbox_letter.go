package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// letter is a message as a mail program reads it: by net/mail and mime/multipart, which had no part in writing it. What
// it holds is anybody's, and none of it is safe to show unescaped.
type letter struct {
	From, To     []*mail.Address // where a field cannot be read, one name that is the whole field
	Subject      string
	List, ListID string // the list's title and label, from List-Id (RFC 2919)
	Fields       []letterField
	HTML, Text   string // the first part of each type; empty where there is none
}

// letterField is one header field, unfolded, in the order of the message.
type letterField struct{ Name, Value string }

// readLetter reads what it can: of a message that is broken, the parts before the break.
func readLetter(data []byte) letter {
	message, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return letter{Subject: "(a message that cannot be read)"}
	}
	l := letter{
		From: people(message.Header.Get("From")), To: people(message.Header.Get("To")),
		Subject: decodeWords(message.Header.Get("Subject")), Fields: fieldsOf(data),
	}
	if title, id, ok := strings.Cut(message.Header.Get("List-Id"), "<"); ok {
		l.List, l.ListID = strings.Trim(decodeWords(title), `" `), strings.TrimSuffix(decodeText([]byte(id), ""), ">")
	}
	l.readPart(textproto.MIMEHeader(message.Header), message.Body, 0)
	return l
}

const maxNesting = 8 // of multiparts

// readPart reads a part and those inside it. The transfer encoding of a part that cannot be read to its end is believed
// as far as it goes.
func (l *letter) readPart(header textproto.MIMEHeader, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind = "text/plain" // RFC 2045 section 5.2
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for depth < maxNesting {
			part, err := parts.NextRawPart()
			if err != nil {
				return
			}
			l.readPart(part.Header, part, depth+1)
		}
		return
	}
	switch strings.ToLower(strings.TrimSpace(header.Get("Content-Transfer-Encoding"))) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, _ := io.ReadAll(body) // what there is
	switch text := decodeText(content, params["charset"]); {
	case kind == "text/html" && l.HTML == "":
		l.HTML = text
	case kind == "text/plain" && l.Text == "":
		l.Text = strings.ReplaceAll(text, "\r\n", "\n")
	}
}

// decodeText makes UTF-8 of text in a charset. Bytes that make no sense become U+FFFD.
func decodeText(content []byte, charset string) string {
	if encoding, err := htmlindex.Get(charset); err == nil {
		if decoded, err := encoding.NewDecoder().Bytes(content); err == nil {
			content = decoded
		}
	}
	return strings.ToValidUTF8(string(content), "\uFFFD")
}

// wordDecoder reads the encoded words of header fields (RFC 2047).
func wordDecoder() *mime.WordDecoder {
	return &mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		encoding, err := htmlindex.Get(charset)
		if err != nil {
			return nil, fmt.Errorf("decoding a header: %w", err)
		}
		return encoding.NewDecoder().Reader(input), nil
	}}
}

func decodeWords(text string) string {
	if decoded, err := wordDecoder().DecodeHeader(text); err == nil {
		text = decoded
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// people reads the addresses of a field.
func people(field string) []*mail.Address {
	parser := mail.AddressParser{WordDecoder: wordDecoder()}
	list, err := parser.ParseList(field)
	if err != nil {
		return []*mail.Address{{Name: decodeWords(field)}}
	}
	for _, who := range list {
		who.Name = strings.ToValidUTF8(who.Name, "\uFFFD") // an encoded word may hold any bytes
	}
	return list
}

// fieldsOf lists the header fields of a message in their order, which net/mail forgets.
func fieldsOf(data []byte) (fields []letterField) {
	for raw := range bytes.Lines(data) {
		line := strings.TrimRight(strings.ToValidUTF8(string(raw), "\uFFFD"), "\r\n")
		name, value, isField := strings.Cut(line, ":")
		switch folded := line != "" && (line[0] == ' ' || line[0] == '\t'); {
		case line == "":
			return fields
		case folded && len(fields) > 0:
			fields[len(fields)-1].Value += " " + strings.TrimSpace(line)
		case isField:
			fields = append(fields, letterField{name, strings.TrimSpace(value)})
		}
	}
	return fields
}
