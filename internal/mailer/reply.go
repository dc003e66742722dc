package mailer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dispatcher/internal/newsletter"
)

// reply is one reply of the relay (RFC 5321 section 4.2). Text is empty where it is a plain success: nobody reads that.
type reply struct {
	code int
	text string
}

func (r reply) ok() bool { return r.code/100 == 2 }

// errNoReply says that what the relay sent is no reply.
var errNoReply = errors.New("the relay sent something that is no reply")

// maxReplyLines bounds a reply with many lines: no relay needs more to say no.
const maxReplyLines = 100

// readReply reads one reply, all its lines.
func readReply(r *bufio.Reader) (reply, error) {
	var got reply
	var text []string
	for range maxReplyLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errNoReply
			}
			return reply{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		code, last, ok := replyLine(line)
		if !ok || got.code != 0 && code != got.code {
			return reply{}, errNoReply
		}
		got.code = code
		if code >= 400 && len(line) > 4 {
			text = append(text, string(line[4:]))
		}
		if last {
			got.text = strings.Join(text, "\n")
			return got, nil
		}
	}
	return reply{}, errNoReply
}

// replyLine reads the code of a line, and whether it is the last of its reply: "250-more", "250 last", "250".
func replyLine(line []byte) (code int, last, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9' {
		return 0, false, false
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, true, true
	}
	return code, line[3] == ' ', line[3] == ' ' || line[3] == '-'
}

// refusal is a reply as an error: what the relay said at a stage. A reply that is neither a success nor a refusal makes no sense there.
func refusal(stage newsletter.Stage, r reply) error {
	if r.code < 400 {
		return &cutError{doing: "at " + string(stage), afterEnd: stage == newsletter.StageEnd, err: fmt.Errorf("unexpected reply %d", r.code)}
	}
	return replyError(stage, r.code, r.text)
}

// replyError takes a reply apart (RFC 2034: the enhanced code stands before the text) and cleans its words.
func replyError(stage newsletter.Stage, code int, text string) *newsletter.ReplyError {
	e := &newsletter.ReplyError{Stage: stage, Code: code}
	var words []string
	for line := range strings.SplitSeq(text, "\n") {
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if isEnhancedCode(first, code) {
			e.Enhanced, line = first, rest
		}
		words = append(words, line)
	}
	e.Text = newsletter.OneLine(newsletter.Redact(strings.Join(words, " ")), 300)
	return e
}

// isEnhancedCode reports whether a word is an enhanced status code that goes with a reply (RFC 3463 section 2).
func isEnhancedCode(word string, code int) bool {
	parts := strings.Split(word, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, p := range parts {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || n > 999 {
			return false
		}
	}
	return true
}
