package smtptest

import (
	"encoding/base64"
	"errors"
	"strings"
)

// errBadResponse is a client's line in an AUTH exchange that cannot be read.
var errBadResponse = errors.New("unreadable AUTH response")

// errCancelled is a client ending an AUTH exchange.
var errCancelled = errors.New("AUTH cancelled")

// offersAuth reports whether AUTH would be accepted now: where the relay has
// STARTTLS, passwords travel under it only (RFC 4954 section 4).
func (s *session) offersAuth() bool {
	return s.server.cfg.Username != "" && s.server.offers("AUTH") && s.user == "" && !s.offersTLS()
}

func (s *session) auth(arg string) error {
	switch {
	case s.server.cfg.Username == "" || !s.server.offers("AUTH"):
		return s.reply(reply{502, "5.5.1", "AUTH is not offered"})
	case !s.extended || s.env != nil:
		return s.reply(reply{503, "5.5.1", "AUTH comes after EHLO and before MAIL"})
	case s.user != "":
		return s.reply(reply{503, "5.5.1", "Authenticated already"})
	case !s.offersAuth():
		return s.reply(reply{538, "5.7.11", "Encryption required, send STARTTLS first"})
	}
	user, password, err := s.credentials(arg)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return s.reply(reply{504, "5.5.4", "Mechanism is not offered"})
	case errors.Is(err, errLineTooLong):
		return s.reply(reply{500, "5.5.6", "Line too long"})
	case errors.Is(err, errBadResponse):
		return s.reply(reply{501, "5.5.2", "Response cannot be decoded"})
	case errors.Is(err, errCancelled):
		return s.reply(reply{501, "5.7.0", "Authentication cancelled"})
	case err != nil:
		return err
	case user != s.server.cfg.Username || password != s.server.cfg.Password:
		return s.reply(reply{535, "5.7.8", "Authentication credentials invalid"})
	}
	return s.carryOut(s.ask(Event{Stage: Auth}), reply{235, "2.7.0", "Authentication succeeded"}, func() { s.user = user })
}

// credentials holds the exchange of one mechanism.
func (s *session) credentials(arg string) (user, password string, err error) {
	mechanism, initial, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(mechanism) {
	case "PLAIN": // RFC 4616
		response, err := s.response(initial, "")
		if err != nil {
			return "", "", err
		}
		parts := strings.Split(response, "\x00")
		if len(parts) != 3 {
			return "", "", errBadResponse
		}
		return parts[1], parts[2], nil
	case "LOGIN":
		if user, err = s.response(initial, "Username:"); err != nil {
			return "", "", err
		}
		password, err = s.response("", "Password:")
		return user, password, err
	}
	return "", "", errors.ErrUnsupported
}

// response decodes the initial response, or prompts for one where there is none.
func (s *session) response(initial, prompt string) (string, error) {
	if initial == "=" { // one of no length
		return "", nil
	}
	line := initial
	if line == "" {
		if err := s.reply(reply{code: 334, text: base64.StdEncoding.EncodeToString([]byte(prompt))}); err != nil {
			return "", err
		}
		var err error
		if line, err = s.readLine(); err != nil {
			return "", err
		}
	}
	if line == "*" {
		return "", errCancelled
	}
	response, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return "", errBadResponse
	}
	return string(response), nil
}
