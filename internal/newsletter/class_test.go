package newsletter_test

import (
	"slices"
	"strings"
	"testing"

	"dispatcher/internal/newsletter"
)

func TestAProvidersDomainsAreOneClass(t *testing.T) {
	tests := map[string][]string{
		"gmail":           {"gmail.com", "googlemail.com"},
		"microsoft":       {"outlook.com", "hotmail.com", "hotmail.fr", "hotmail.co.uk", "live.com", "live.nl", "msn.com", "passport.com", "outlook.de"},
		"yahoo":           {"yahoo.com", "yahoo.co.uk", "yahoo.fr", "ymail.com", "rocketmail.com", "aol.com", "verizon.net", "att.net"},
		"icloud":          {"icloud.com", "me.com", "mac.com"},
		"gmx":             {"gmx.net", "gmx.de", "gmx.com", "web.de", "mail.com"},
		"mail.ru":         {"mail.ru", "bk.ru", "inbox.ru", "list.ru"},
		"yandex":          {"yandex.ru", "yandex.com", "ya.ru"},
		"proton":          {"proton.me", "protonmail.com", "pm.me"},
		"orange":          {"orange.fr", "wanadoo.fr"},
		"free.fr":         {"free.fr"},
		"t-online":        {"t-online.de", "magenta.de"},
		"libero":          {"libero.it", "iol.it"},
		"seznam":          {"seznam.cz", "email.cz"},
		"qq":              {"qq.com", "foxmail.com"},
		"163":             {"163.com", "126.com", "yeah.net"},
		"example.net":     {"example.net"},
		"yahoo.co.jp":     {"yahoo.co.jp"}, // another company
		"gmail.com.ua":    {"gmail.com.ua"},
		"mail.gmail.com":  {"mail.gmail.com"},
		"notgmail.com":    {"notgmail.com"},
		"xn--bcher.gmail": {"xn--bcher.gmail"},
	}
	for class, domains := range tests {
		for _, domain := range domains {
			if got := newsletter.Address("reader@" + domain).Class(); got != class {
				t.Errorf("%s is of class %q, want %q", domain, got, class)
			}
		}
	}
}

func TestParsedAddressesFindTheirClass(t *testing.T) {
	a, err := newsletter.ParseAddress("Reader@GMail.COM")
	if err != nil || a.Class() != "gmail" {
		t.Errorf("%v: class %q", err, a.Class())
	}
	if got := newsletter.Address("").Class(); got != "" {
		t.Errorf("no address is of class %q", got)
	}
}

func TestClassesAreSortedNamesOfProviders(t *testing.T) {
	names := newsletter.Classes()
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("not sorted, or twice: %q", names)
	}
	for _, want := range []string{"gmail", "microsoft", "yahoo", "icloud", "gmx", "mail.ru", "yandex", "proton", "orange", "free.fr", "laposte", "t-online", "comcast", "qq", "163", "libero", "seznam"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is no class: %q", want, names)
		}
	}
	for _, name := range names {
		if name != strings.ToLower(name) || strings.ContainsAny(name, " @") {
			t.Errorf("%q cannot be written as a key", name)
		}
		if got := newsletter.Address("reader@" + name).Class(); got != name {
			t.Errorf("the name %q is a domain of %q", name, got)
		}
	}
	names[0] = "changed"
	if slices.Contains(newsletter.Classes(), "changed") {
		t.Error("whoever asks for the classes can change them")
	}
}

func TestClassDoesNotAllocate(t *testing.T) {
	var class string
	for _, a := range []newsletter.Address{"reader@hotmail.co.uk", "reader@magazine.example", ""} {
		if n := testing.AllocsPerRun(100, func() { class = a.Class() }); n != 0 {
			t.Errorf("Class of %q (%q) allocates %v times", a, class, n)
		}
	}
}
