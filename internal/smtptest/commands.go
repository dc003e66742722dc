package smtptest

import (
	"fmt"
	"strconv"
	"strings"
)

// unknownVerb is what commands that are not in handlers count as.
const unknownVerb = "?"

// Limits of RFC 5321 section 4.5.3.1, in octets with the line's end.
const (
	maxCommand    = 512
	maxMail       = maxCommand + 26 + 17 + 10 + 500 // room for SIZE, BODY, SMTPUTF8 and AUTH
	maxRecipients = 100
)

// handlers are the commands by verb. Each gets what follows the verb and returns
// an error when the session is over.
var handlers = map[string]func(s *session, arg string) error{
	"HELO":     (*session).helo,
	"EHLO":     (*session).ehlo,
	"STARTTLS": (*session).startTLS,
	"AUTH":     (*session).auth,
	"MAIL":     (*session).mail,
	"RCPT":     (*session).rcpt,
	"DATA":     (*session).data,
	"RSET":     (*session).rset,
	"NOOP":     (*session).noop,
	"VRFY":     (*session).vrfy,
	"EXPN":     (*session).expn,
	"HELP":     (*session).help,
	"QUIT":     (*session).quit,
}

// command does what one line says.
func (s *session) command(line string) error {
	verb, arg, _ := strings.Cut(strings.TrimRight(line, " \t"), " ")
	verb = strings.ToUpper(verb)
	handler, known := handlers[verb]
	if !known {
		verb = unknownVerb
	}
	s.server.commands[verb].Add(1)
	limit := maxCommand
	switch verb {
	case "MAIL":
		limit = maxMail
	case "AUTH":
		limit = maxLine
	}
	switch {
	case len(line)+len(crlf) > limit:
		return s.reply(reply{500, "5.5.2", "Line too long"})
	case strings.ContainsAny(line, "\r\n\x00"):
		return s.reply(reply{500, "5.5.2", "Control character in command"})
	case s.r.Buffered() > 0 && !s.server.offers("PIPELINING"):
		return s.reply(reply{421, "4.7.0", "Pipelining is not offered"})
	case s.barred && verb != "QUIT":
		return s.reply(reply{503, "5.5.1", "No service here, send QUIT"})
	case !known:
		return s.reply(reply{500, "5.5.1", "Unknown command"})
	}
	return handler(s, arg)
}

func (s *session) helo(arg string) error {
	return s.hello(arg, Event{Stage: HELO}, nil)
}

func (s *session) ehlo(arg string) error {
	return s.hello(arg, Event{Stage: EHLO}, s.extensions())
}

// hello begins the session anew, as RSET would (RFC 5321 section 4.1.4).
func (s *session) hello(arg string, e Event, extensions []string) error {
	if arg == "" || strings.Contains(arg, " ") {
		return s.reply(reply{501, "5.5.4", "Say who you are: a host name or an address literal"})
	}
	text := strings.Join(append([]string{s.server.cfg.Name}, extensions...), "\n")
	return s.carryOut(s.ask(e), reply{code: 250, text: text}, func() {
		s.greeted, s.extended, s.env = true, e.Stage == EHLO, nil
	})
}

// extensions are the lines of the reply to EHLO.
func (s *session) extensions() []string {
	var lines []string
	for _, keyword := range []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"} {
		if s.server.offers(keyword) {
			lines = append(lines, keyword)
		}
	}
	if s.server.offers("SIZE") {
		lines = append(lines, fmt.Sprintf("SIZE %d", s.server.cfg.MaxSize))
	}
	if s.offersTLS() {
		lines = append(lines, "STARTTLS")
	}
	if s.offersAuth() {
		lines = append(lines, "AUTH PLAIN LOGIN")
	}
	return lines
}

func (s *session) mail(arg string) error {
	switch {
	case !s.greeted:
		return s.reply(reply{503, "5.5.1", "Send EHLO first"})
	case s.env != nil:
		return s.reply(reply{503, "5.5.1", "Nested MAIL, send RSET first"})
	case s.server.cfg.Username != "" && s.user == "":
		return s.refuse(reply{530, "5.7.0", "Authentication required"})
	}
	from, params, ok := parsePath(arg, "FROM:")
	if !ok {
		return s.refuse(reply{501, "5.5.4", "Syntax is MAIL FROM:<address>"})
	}
	env := &envelope{from: from, params: params}
	if r := s.readParams(env); r.code != 0 {
		return s.refuse(r)
	}
	switch {
	case !env.utf8 && !ascii(from):
		return s.refuse(reply{553, "5.6.7", "Address needs SMTPUTF8"})
	case from != "" && !validMailbox(from):
		return s.refuse(reply{501, "5.1.7", "Bad sender address"})
	}
	return s.carryOut(s.ask(Event{Stage: Mail, From: from}), reply{250, "2.1.0", "Sender ok"}, func() { s.env = env })
}

// readParams checks the parameters of MAIL. A reply with a code refuses them.
func (s *session) readParams(env *envelope) reply {
	for param := range strings.FieldsSeq(env.params) {
		key, value, _ := strings.Cut(param, "=")
		key = strings.ToUpper(key)
		if !s.takesParam(key) {
			return reply{555, "5.5.4", "Parameter is not offered"}
		}
		bad := false
		switch key {
		case "SIZE":
			size, err := strconv.ParseInt(value, 10, 64)
			if size > s.server.cfg.MaxSize { // or out of range
				return reply{552, "5.3.4", "Message is over the size limit"}
			}
			bad = err != nil || size < 0
		case "BODY":
			bad = !strings.EqualFold(value, "7BIT") && !strings.EqualFold(value, "8BITMIME")
		case "SMTPUTF8":
			bad = value != ""
			env.utf8 = true
		case "AUTH": // who submitted it (RFC 4954 section 5), which changes nothing here
			bad = value == ""
		}
		if bad {
			return reply{501, "5.5.4", "Bad value of " + key}
		}
	}
	return reply{}
}

// takesParam reports whether MAIL may have a parameter.
func (s *session) takesParam(key string) bool {
	if !s.extended {
		return false
	}
	switch key {
	case "SIZE", "SMTPUTF8":
		return s.server.offers(key)
	case "BODY":
		return s.server.offers("8BITMIME")
	case "AUTH":
		return s.server.cfg.Username != "" && s.server.offers("AUTH")
	}
	return false
}

func (s *session) rcpt(arg string) error {
	if s.env == nil {
		return s.reply(reply{503, "5.5.1", "Send MAIL first"})
	}
	to, params, ok := parsePath(arg, "TO:")
	switch {
	case !ok || to == "":
		return s.refuse(reply{501, "5.5.4", "Syntax is RCPT TO:<address>"})
	case params != "":
		return s.refuse(reply{555, "5.5.4", "Unknown parameter"})
	case !s.env.utf8 && !ascii(to):
		return s.refuse(reply{553, "5.6.7", "Address needs SMTPUTF8"})
	case !validMailbox(to) && !strings.EqualFold(to, "postmaster"): // section 4.5.1
		return s.refuse(reply{501, "5.1.3", "Bad recipient address"})
	case len(s.env.to) >= maxRecipients:
		return s.refuse(reply{452, "4.5.3", "Too many recipients"})
	}
	return s.carryOut(s.ask(Event{Stage: Rcpt, To: to}), reply{250, "2.1.5", "Recipient ok"}, func() {
		s.env.to = append(s.env.to, to)
	})
}

func (s *session) rset(arg string) error {
	if arg != "" {
		return s.reply(reply{501, "5.5.4", "RSET takes no argument"})
	}
	return s.carryOut(s.ask(Event{Stage: Rset}), reply{250, "2.0.0", "Ok"}, func() { s.env = nil })
}

func (s *session) noop(string) error {
	return s.carryOut(s.ask(Event{Stage: Noop}), reply{250, "2.0.0", "Ok"}, nil)
}

func (s *session) vrfy(arg string) error {
	if arg == "" {
		return s.reply(reply{501, "5.5.4", "VRFY whom?"})
	}
	return s.reply(reply{252, "2.0.0", "Cannot verify, but will try"}) // section 7.3
}

func (s *session) expn(string) error {
	return s.reply(reply{502, "5.5.1", "Not implemented"})
}

func (s *session) help(string) error {
	return s.reply(reply{214, "2.0.0", "See RFC 5321"})
}

func (s *session) quit(arg string) error {
	if arg != "" {
		return s.reply(reply{501, "5.5.4", "QUIT takes no argument"})
	}
	quitting := false
	err := s.carryOut(s.ask(Event{Stage: Quit}), reply{221, "2.0.0", "Bye"}, func() { quitting = true })
	if err == nil && quitting {
		return errGoodbye
	}
	return err
}
