package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dispatcher/internal/newsletter"
)

func newPreviewCommand(p process) *cobra.Command {
	var out, address, language string
	preview := addJSONFlag(&cobra.Command{
		Use:   "preview LIST",
		Short: "Write the next edition of a list to files, and store nothing",
		Long: `Write the next edition of a list, as it stands now, to LIST.html, LIST.txt and LIST.eml, and store nothing.
The files hold the same bytes that a reader would get; with --subscriber it is that reader's own copy, with the
topics and the language that she has chosen. Its links are real: they would end her subscription.`,
		Args: cobra.ExactArgs(1),
	})
	preview.Flags().StringVar(&out, "out", ".", "the `folder` to write to; it is made where it is missing")
	preview.Flags().StringVar(&address, "subscriber", "", "the `address` of the subscriber whose copy to show")
	preview.Flags().StringVar(&language, "language", "", "the `language` to show, such as en or fa")
	preview.RunE = inOffice(p, func(cmd *cobra.Command, o *office, args []string) error {
		l, err := o.liveList(args[0])
		if err != nil {
			return err
		}
		reader, choice, err := o.previewReader(cmd, l, address)
		if err != nil {
			return err
		}
		if language != "" {
			choice.Language = language
		}
		variant, err := o.desk().Proof(cmd.Context(), l, choice)
		var none *newsletter.NoEdition
		if errors.As(err, &none) {
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "nothing new for %s: there would be no edition\n", l.ID)
			return err
		}
		if err != nil {
			return err
		}
		return o.writePreview(cmd, l, variant, reader, out)
	})
	return preview
}

// previewReader is the reader whose copy is shown: the one named, or nobody in particular.
func (o *office) previewReader(cmd *cobra.Command, l newsletter.List, given string) (newsletter.Delivery, newsletter.Audience, error) {
	d := newsletter.Delivery{List: l.ID, Address: "reader@example.net", FirstDue: o.now(), KeyID: o.store.Key().ID}
	var choice newsletter.Audience
	if given == "" {
		return d, choice, nil
	}
	address, err := newsletter.ParseAddress(given)
	if err != nil {
		return d, choice, usagef("--subscriber cannot be used: %s", err)
	}
	sub, err := o.store.Subscriber(cmd.Context(), address)
	if errors.Is(err, newsletter.ErrNotFound) {
		return d, choice, errors.New("nobody with this address is a subscriber")
	}
	if err != nil {
		return d, choice, err
	}
	subscriptions, err := o.store.Subscriptions(cmd.Context(), sub.ID)
	if err != nil {
		return d, choice, err
	}
	d.Subscriber, d.Address, d.Name, choice.Language = sub.ID, sub.Address, sub.Name, sub.Language
	for _, c := range subscriptions {
		if c.List == l.ID {
			choice.Topics = c.Topics
			if c.State != newsletter.Confirmed {
				fmt.Fprintf(cmd.ErrOrStderr(), "her subscription to %s is %s: she would not get this\n", l.ID, c.State)
			}
			return d, choice, nil
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "she is not subscribed to %s: she would not get this\n", l.ID)
	return d, choice, nil
}

func (o *office) writePreview(cmd *cobra.Command, l newsletter.List, v newsletter.Variant, d newsletter.Delivery, out string) error {
	html, text, message, err := o.renderer.Fill(v, o.composer().Personal(d))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("writing the preview: %w", err)
	}
	files := struct {
		Subject string `json:"subject"`
		HTML    string `json:"html"`
		Text    string `json:"text"`
		Message string `json:"message"`
	}{v.Subject, filepath.Join(out, l.ID+".html"), filepath.Join(out, l.ID+".txt"), filepath.Join(out, l.ID+".eml")}
	for name, content := range map[string]string{files.HTML: html, files.Text: text, files.Message: string(message)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing the preview: %w", err)
		}
	}
	return show(cmd, files, field{"subject", v.Subject}, field{"html", files.HTML}, field{"text", files.Text}, field{"message", files.Message})
}
