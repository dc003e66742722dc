package smtptest_test

import (
	"fmt"
	"net/smtp"

	"dispatcher/internal/smtptest"
)

// A relay that refuses one recipient.
func Example() {
	gone := smtptest.Answer{Code: 550, Enhanced: "5.1.1", Text: "No such user"}
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.To("gone@example.net", smtptest.Rcpt, gone)})
	defer relay.Close()

	for _, to := range []string{"gone@example.net", "reader@example.net"} {
		err := smtp.SendMail(relay.Addr, nil, "news@example.org", []string{to}, []byte("Subject: Hello\r\n\r\nHello\r\n"))
		fmt.Println(err)
	}
	fmt.Println("accepted for", relay.Messages()[0].To)
	// Output:
	// 550 "5.1.1 No such user"
	// <nil>
	// accepted for [reader@example.net]
}

// A relay that takes the first message and loses the line before it can say so.
func ExampleTimes() {
	cut := smtptest.At(smtptest.EndOfData, smtptest.Answer{Fault: smtptest.CutAfter})
	relay := smtptest.NewServer(smtptest.Config{Script: smtptest.Times(1, cut)})
	defer relay.Close()

	for range 2 {
		err := smtp.SendMail(relay.Addr, nil, "news@example.org", []string{"reader@example.net"}, []byte("Subject: Hello\r\n\r\nHello\r\n"))
		fmt.Println(err)
	}
	fmt.Println(relay.Counts().Accepted, "accepted")
	// Output:
	// EOF
	// <nil>
	// 2 accepted
}
