package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dispatcher/cmd/dispatcher/demo/pictures"
	"dispatcher/internal/newsletter"
	"dispatcher/internal/smtptest"
)

// writeMail leaves the mail in a folder: each variant as .html, .txt and .eml under a name that says what it is, every
// copy in mail/, and the pictures.
func (d *demo) writeMail(ctx context.Context) (err error) {
	if d.out == "" {
		if d.out, err = os.MkdirTemp("", "dispatcher-demo-mail-"); err != nil {
			return fmt.Errorf("making a folder for the mail: %w", err)
		}
	}
	for _, folder := range []string{"mail", "pictures"} {
		if err := os.MkdirAll(filepath.Join(d.out, folder), 0o755); err != nil {
			return fmt.Errorf("making a folder for the mail: %w", err)
		}
	}
	received := d.received()
	variants := map[string]bool{} // by name; the first reader's copy shows what all of hers got
	err = d.office.store.EachSubscriber(ctx, "", func(s newsletter.Subscriber, subscriptions []newsletter.Subscription) error {
		for _, m := range received[s.Address] {
			if err := d.writeCopy(m, s, subscriptions, variants); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.writePictures(); err != nil {
		return err
	}
	d.sayf("\nThe mail is in %s: each copy in mail/, and as .html, .txt and .eml", d.out)
	for _, l := range d.office.lists {
		var names []string
		for name := range variants {
			if strings.HasPrefix(name, string(l.Kind)) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		d.sayf("  %s", strings.Join(names, ", "))
	}
	return nil
}

// received is what each reader's mailbox has.
func (d *demo) received() map[newsletter.Address][]smtptest.Message {
	boxes := map[newsletter.Address][]smtptest.Message{}
	for _, m := range d.relay.Messages() {
		for _, to := range m.To {
			boxes[newsletter.Address(to)] = append(boxes[newsletter.Address(to)], m)
		}
	}
	return boxes
}

// writeCopy writes one reader's copy and, where it is the first of its variant, the variant.
func (d *demo) writeCopy(m smtptest.Message, s newsletter.Subscriber, subscriptions []newsletter.Subscription, variants map[string]bool) error {
	copied := readLetter(m.Data)
	at := slices.IndexFunc(d.office.lists, func(l newsletter.List) bool { return d.office.publisher.ListID(l) == copied.ListID })
	if at < 0 {
		return fmt.Errorf("sorting the mail: no list has the List-Id %q", copied.ListID)
	}
	l := d.office.lists[at]
	if err := d.writeFile(fmt.Sprintf("mail/%s-reader%02d.eml", l.ID, s.ID), m.Data); err != nil {
		return err
	}
	name := d.variantName(l, s, subscriptions)
	if variants[name] {
		return nil
	}
	variants[name] = true
	// The site that has the pictures ends with the demo, so the page shows those that lie beside it.
	page := strings.ReplaceAll(copied.HTML, d.newspaper.url+"/pictures/", "pictures/")
	for ending, content := range map[string]string{".html": page, ".txt": copied.Text, ".eml": string(m.Data)} {
		if err := d.writeFile(name+ending, []byte(content)); err != nil {
			return err
		}
	}
	return nil
}

// variantName says what a reader's copy is: "digest", "alert-fa", "digest-press-freedom".
func (d *demo) variantName(l newsletter.List, s newsletter.Subscriber, subscriptions []newsletter.Subscription) string {
	parts := []string{string(l.Kind)}
	if language := d.office.renderer.Language(s.Language, l.Language); language != l.Language {
		parts = append(parts, language)
	}
	for _, c := range subscriptions {
		if c.List == l.ID {
			parts = append(parts, c.Topics...)
		}
	}
	return strings.Join(parts, "-")
}

func (d *demo) writePictures() error {
	for _, name := range pictures.Names() {
		var b bytes.Buffer
		if err := pictures.WritePNG(&b, name); err != nil {
			return err
		}
		if err := d.writeFile("pictures/"+name+".png", b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) writeFile(name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(d.out, filepath.FromSlash(name)), content, 0o644); err != nil {
		return fmt.Errorf("writing the mail: %w", err)
	}
	return nil
}
