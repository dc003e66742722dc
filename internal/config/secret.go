package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Secret is a password or key that no format verb, log handler or encoder prints. The text is
// held by reference, so that not even reflection over a struct that hides a Secret shows it.
type Secret struct{ text *string }

// redacted stands wherever a secret would be printed.
const redacted = "[secret]"

// Reveal is the secret itself, for the one place that hands it to a server; empty when there is none.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String keeps a template or a conversion from printing the secret.
func (Secret) String() string { return redacted }

// GoString keeps a debugger's %#v from printing the secret.
func (Secret) GoString() string { return redacted }

// Format keeps every verb from printing the secret.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText keeps JSON, YAML and slog from printing the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// maxSecret is far more than any password has, in bytes; a larger file is the wrong one.
const maxSecret = 4096

// secret loads the file that a key names, and tells what is wrong with it.
func (c *checker) secret(key, name string) Secret {
	text, mode, err := c.readSecret(name)
	if err != nil {
		c.problem(key, "", "names a file that cannot be read: "+reason(err),
			"name a file beside the config file, by its full path, or in $CREDENTIALS_DIRECTORY")
		return Secret{}
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		c.problem(key, "", "names an empty file", "write the secret into it")
		return Secret{}
	}
	if mode.Perm()&0o004 != 0 {
		c.warn(key, "", "names a file that everyone on this machine can read", "take that right away with chmod o-r")
	}
	secret := string(text)
	return Secret{&secret}
}

var errSecretTooLong = fmt.Errorf("it is longer than %d bytes", maxSecret)

func (c *checker) readSecret(name string) ([]byte, fs.FileMode, error) {
	f, err := c.openSecret(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(text) > maxSecret {
		err = errSecretTooLong
	}
	return text, info.Mode(), err
}

// openSecret looks for a relative name among the credentials that the service manager hands over,
// and after that beside the config file. The root keeps a credential's name inside its directory.
func (c *checker) openSecret(name string) (*os.File, error) {
	if filepath.IsLocal(name) && c.credentials != "" {
		root, err := os.OpenRoot(c.credentials)
		if err != nil {
			return nil, err
		}
		defer root.Close() // the file stays open
		if f, err := root.Open(name); !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return os.Open(c.path(name))
}

// reason is what the system says about a file, without the file's name: where a password stands in
// place of its file, the name is the secret.
func reason(err error) string {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err.Error()
	}
	return err.Error()
}
