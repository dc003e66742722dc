package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"dispatcher/internal/config"
)

// printed is a value in every form in which it might get into a log or a crash dump.
func printed(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	fmt.Fprintln(&b, struct{ hidden any }{v})
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(asJSON)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(handler).Info("loaded", "value", v)
	}
	return b.String()
}

// leaks reports whether a text has a secret in it, in plain, quoted or hexadecimal form.
func leaks(text, secret string) bool {
	return strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", secret))
}

func TestConfigNeverPrintsItsSecrets(t *testing.T) {
	cfg := mustLoad(t, smallest)
	secret := cfg.Relays[0].Password
	if secret.Reveal() != password {
		t.Fatalf("the secret is %q", secret.Reveal())
	}
	asYAML, err := yaml.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	type wrapped struct{ inner config.Secret } // an unexported field, whose methods fmt cannot call
	texts := map[string]string{
		"the config":             printed(t, cfg),
		"a pointer to it":        printed(t, &cfg),
		"the secret":             printed(t, secret),
		"a relay":                printed(t, cfg.Relays[0]),
		"an unexported field":    fmt.Sprintf("%v %+v %#v", wrapped{secret}, wrapped{secret}, &wrapped{secret}),
		"String and GoString":    secret.String() + secret.GoString(),
		"YAML":                   string(asYAML),
		"the warnings":           printed(t, cfg.Warnings()),
		"a problem with the key": printed(t, cfg.Problem("relays[0].password_file", password, "is refused", "")),
	}
	for name, text := range texts {
		if leaks(text, password) {
			t.Errorf("%s shows the secret", name)
		}
	}
	if got := fmt.Sprint(secret); got != "[secret]" {
		t.Errorf("a secret prints as %q", got)
	}
}

func TestNoProblemShowsWhatMayBeASecret(t *testing.T) {
	const hunter = "hunter2"
	login := func(keys string) string { return edited(t, "password_file: relay.password", keys) }
	tests := map[string]struct{ text, want string }{
		"password":                 {login("password: hunter2"), "use password_file"},
		"passwd":                   {login("passwd: hunter2"), "use password_file"},
		"no space":                 {login("password:hunter2"), "use password_file"},
		"unknown key":              {login("geheim: hunter2"), "unknown key"},
		"a section":                {login("password_file: {hunter2: hunter2}"), "is a section"},
		"a list":                   {login("password_file: [hunter2]"), "is a list"},
		"tagged":                   {login("password_file: !!binary hunter2"), "put it in quotes"},
		"in place of the file":     {login("password_file: hunter2"), "cannot be read"},
		"in place, as a path":      {login("password_file: /hunter2/x"), "cannot be read"},
		"alias":                    {login("password_file: *hunter2"), "begins with *"},
		"alias as an element":      {smallest + "proof_to:\n  - *hunter2\n", "config.yaml:11: has a value that begins with *"},
		"alias in brackets":        {smallest + "proof_to: [*hunter2]\n", "config.yaml:10: is not valid YAML; look at"},
		"broken line":              {edited(t, "  from:", "  password:hunter2\n  from:"), "is not valid YAML"},
		"host":                     {edited(t, "smtp.example.org", "news:hunter2@smtp.example.org"), "is not the name of a server"},
		"relay as text":            {smallest + "log: hunter2\n", "log: is one value"},
		"feed with a login":        {edited(t, "//magazine", "//me:hunter2@magazine"), "has a user name or password"},
		"bad feed with a login":    {edited(t, "//magazine", "//me:hunter2@maga zine"), "is not a web address"},
		"public_url with a login":  {edited(t, "//news", "//hunter2@news"), "has a user name or password"},
		"proof addresses":          {smallest + "proof_to: [hunter2@example, {a: hunter2}]\n", "proof_to[0]"},
		"unknown, in another list": {edited(t, "{url:", "{token: hunter2, url:"), "unknown key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(folder(t, tt.text), []string{"DISPATCHER_PASSWORD=hunter2", "DISPATCHER_RELAYS=hunter2"})
			if err == nil {
				t.Fatal("Load took it")
			}
			if leaks(printed(t, err), hunter) {
				t.Errorf("the problem shows it:\n%v", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the problem is\n%v\nwithout %q", err, tt.want)
			}
		})
	}
}

func TestWhereSecretsAreFound(t *testing.T) {
	path := folder(t, smallest)
	dir := filepath.Dir(path)
	credentials := filepath.Join(t.TempDir(), "credentials")
	if err := os.Mkdir(credentials, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(credentials, "../stray"), "not for us", 0o400)
	write(t, filepath.Join(credentials, "relay.credential"), "from systemd\r\n", 0o400)
	write(t, filepath.Join(credentials, "both"), "from systemd", 0o400)
	write(t, filepath.Join(dir, "both"), "beside the config file", 0o400)
	write(t, filepath.Join(dir, "lines"), "first\n\n", 0o400)
	write(t, filepath.Join(dir, "empty"), "\n", 0o400)
	write(t, filepath.Join(dir, "long"), strings.Repeat("x", 5000), 0o400)
	if err := os.Symlink(filepath.Join(dir, "relay.password"), filepath.Join(credentials, "outside")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ file, want, problem string }{
		"beside the config file":            {"relay.password", password, ""},
		"by its full path":                  {filepath.Join(dir, "relay.password"), password, ""},
		"by a path from the config file":    {"../" + filepath.Base(dir) + "/relay.password", password, ""},
		"among the credentials":             {"relay.credential", "from systemd", ""},
		"the credential comes first":        {"both", "from systemd", ""},
		"one line end is taken off":         {"lines", "first\n", ""},
		"empty":                             {"empty", "", "names an empty file; write the secret into it"},
		"a folder":                          {".", "", "names a file that cannot be read: is a directory; "},
		"absent":                            {"absent", "", "names a file that cannot be read: no such file or directory; "},
		"too long":                          {"long", "", "names a file that cannot be read: it is longer than 4096 bytes; "},
		"a credential that points outside":  {"outside", "", "names a file that cannot be read: path escapes from parent; "},
		"out of the credentials by its way": {"../stray", "", "names a file that cannot be read: no such file or directory; "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			write(t, path, edited(t, "relay.password", tt.file), 0o640)
			cfg, err := config.Load(path, []string{"CREDENTIALS_DIRECTORY=" + credentials})
			switch {
			case tt.problem == "" && err != nil:
				t.Fatal(err)
			case tt.problem == "" && cfg.Relays[0].Password.Reveal() != tt.want:
				t.Errorf("the secret is %q, want %q", cfg.Relays[0].Password.Reveal(), tt.want)
			case tt.problem != "" && (err == nil || !strings.Contains(err.Error(), "config.yaml:6: relays[0].password_file: "+tt.problem)):
				t.Errorf("Load gave %v, want %q", err, tt.problem)
			}
		})
	}
}
