package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Load reads the config file at path and the environment, given as os.Environ does, and checks both
// completely. When the config cannot be used the error is of type Problems and lists all that is
// wrong. Load changes nothing, on disk or in the process, so a reload may try it beside a running
// daemon.
func Load(path string, environ []string) (Config, error) {
	r := newReport(path)
	overrides := environment(r, environ)
	values := readFile(r, path)
	cfg, err := layer(values, overrides)
	if err != nil {
		return Config{}, fmt.Errorf("reading %s: %w", path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("finding the folder of %s: %w", path, err)
	}
	c := checker{
		report:         r,
		cfg:            &cfg,
		dir:            dir,
		credentials:    lookup(environ, "CREDENTIALS_DIRECTORY"),
		stateDirectory: lookup(environ, "STATE_DIRECTORY"),
	}
	c.check()
	if len(r.problems) > 0 {
		return Config{}, sorted(r.problems)
	}
	cfg.source, cfg.warnings = r.source, sorted(r.warnings)
	return cfg, nil
}

// readFile is the first, strict pass: the file alone.
func readFile(r *report, path string) map[string]any {
	text, err := os.ReadFile(path)
	if err != nil {
		cure := "name the config file with --config or " + configVariable
		if errors.Is(err, fs.ErrPermission) {
			cure = "run it as the user of the service, with `runuser -u dispatcher --` before it"
		}
		r.whole(0, "cannot be read: "+reason(err), cure)
		return nil
	}
	document := readDocument(r, text)
	if document == nil {
		return nil
	}
	values, _ := walk{r}.value(document, reflect.TypeFor[Config](), "")
	settings, _ := values.(map[string]any)
	return settings
}

// layer is the second pass: the environment over the file over the defaults. The instance is new each
// time and sees checked values of the right types only; viper never reads the file, whose keys it
// would fold, or the process's environment.
func layer(file, overrides map[string]any) (Config, error) {
	v := viper.New()
	for key, value := range settings(Default()) {
		v.SetDefault(key, value)
	}
	if err := v.MergeConfigMap(file); err != nil {
		return Config{}, err
	}
	for key, value := range overrides {
		v.Set(key, value)
	}
	var cfg Config
	err := v.UnmarshalExact(&cfg, func(dc *mapstructure.DecoderConfig) {
		dc.TagName = "yaml"
		dc.WeaklyTypedInput = false
		dc.DecodeHook = elementDefaults
	})
	return cfg, err
}

// elementDefaults lays what the file says of an element of a list over the defaults of its type:
// viper's own defaults end where a list begins.
func elementDefaults(_, to reflect.Type, data any) (any, error) {
	given, ok := data.(map[string]any)
	if !ok {
		return data, nil
	}
	switch to {
	case reflect.TypeFor[Relay]():
		return overlay(settings(defaultRelay()), given), nil
	case reflect.TypeFor[Feed]():
		return overlay(settings(defaultFeed()), given), nil
	case reflect.TypeFor[List]():
		return overlay(settings(defaultList()), given), nil
	}
	return data, nil
}

// overlay lays values over a base, section by section, and gives the base back.
func overlay(base, over map[string]any) map[string]any {
	for key, value := range over {
		section, isSection := value.(map[string]any)
		below, both := base[key].(map[string]any)
		if isSection && both {
			value = overlay(below, section)
		}
		base[key] = value
	}
	return base
}

// settings is a struct as the map that its YAML would make.
func settings(of any) map[string]any {
	return settingsOf(reflect.ValueOf(of))
}

func settingsOf(v reflect.Value) map[string]any {
	values := map[string]any{}
	for _, name := range names(v.Type()) {
		field, _ := fieldNamed(v.Type(), name)
		value := v.FieldByIndex(field.Index)
		if isSection(value.Type()) {
			values[name] = settingsOf(value)
			continue
		}
		values[name] = value.Interface()
	}
	return values
}

// lookup is a variable's value in an environment; empty when it is not set. The last one counts, as
// it does for os/exec.
func lookup(environ []string, name string) string {
	var found string
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			found = value
		}
	}
	return found
}
