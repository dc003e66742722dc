package newsletter

import (
	"maps"
	"slices"
)

// classes folds the domains of the big mailbox providers. Rates hold for a provider, not for each of its names: the same
// machines count what comes for all of them. A domain is here only where that provider surely runs its mail; yahoo.co.jp,
// for one, is another company's.
var classes = map[string]string{
	"gmail.com": "gmail", "googlemail.com": "gmail",

	"outlook.com": "microsoft", "hotmail.com": "microsoft", "live.com": "microsoft", "msn.com": "microsoft", "passport.com": "microsoft",
	"windowslive.com": "microsoft", "hotmail.be": "microsoft", "hotmail.ca": "microsoft", "hotmail.ch": "microsoft",
	"hotmail.de": "microsoft", "hotmail.es": "microsoft", "hotmail.fr": "microsoft", "hotmail.it": "microsoft", "hotmail.no": "microsoft",
	"hotmail.se": "microsoft", "hotmail.co.uk": "microsoft", "hotmail.com.ar": "microsoft", "hotmail.com.au": "microsoft",
	"hotmail.com.br": "microsoft", "hotmail.com.tr": "microsoft", "live.be": "microsoft", "live.ca": "microsoft", "live.de": "microsoft",
	"live.dk": "microsoft", "live.fr": "microsoft", "live.ie": "microsoft", "live.it": "microsoft", "live.nl": "microsoft",
	"live.no": "microsoft", "live.se": "microsoft", "live.co.uk": "microsoft", "live.com.au": "microsoft", "live.com.mx": "microsoft",
	"live.com.pt": "microsoft", "outlook.be": "microsoft", "outlook.de": "microsoft", "outlook.es": "microsoft", "outlook.fr": "microsoft",
	"outlook.ie": "microsoft", "outlook.it": "microsoft", "outlook.pt": "microsoft", "outlook.com.au": "microsoft",
	"outlook.com.br": "microsoft",

	"yahoo.com": "yahoo", "ymail.com": "yahoo", "rocketmail.com": "yahoo", "yahoo.be": "yahoo", "yahoo.ca": "yahoo", "yahoo.de": "yahoo",
	"yahoo.dk": "yahoo", "yahoo.es": "yahoo", "yahoo.fr": "yahoo", "yahoo.gr": "yahoo", "yahoo.ie": "yahoo", "yahoo.in": "yahoo",
	"yahoo.it": "yahoo", "yahoo.nl": "yahoo", "yahoo.no": "yahoo", "yahoo.pl": "yahoo", "yahoo.se": "yahoo", "yahoo.co.in": "yahoo",
	"yahoo.co.nz": "yahoo", "yahoo.co.uk": "yahoo", "yahoo.co.za": "yahoo", "yahoo.com.ar": "yahoo", "yahoo.com.au": "yahoo",
	"yahoo.com.br": "yahoo", "yahoo.com.mx": "yahoo", "yahoo.com.tr": "yahoo", "aol.com": "yahoo", "aim.com": "yahoo", "aol.co.uk": "yahoo",
	"aol.de": "yahoo", "aol.fr": "yahoo", "netscape.net": "yahoo", "verizon.net": "yahoo", "att.net": "yahoo", "sbcglobal.net": "yahoo",
	"bellsouth.net": "yahoo", "pacbell.net": "yahoo", "ameritech.net": "yahoo", "frontier.com": "yahoo", "rogers.com": "yahoo",
	"sky.com": "yahoo", "cox.net": "yahoo",

	"icloud.com": "icloud", "me.com": "icloud", "mac.com": "icloud",

	"gmx.net": "gmx", "gmx.de": "gmx", "gmx.at": "gmx", "gmx.ch": "gmx", "gmx.com": "gmx", "gmx.eu": "gmx", "gmx.fr": "gmx",
	"gmx.co.uk": "gmx", "gmx.org": "gmx", "web.de": "gmx", "mail.com": "gmx", "email.com": "gmx", "usa.com": "gmx", "journalist.com": "gmx",

	"mail.ru": "mail.ru", "inbox.ru": "mail.ru", "list.ru": "mail.ru", "bk.ru": "mail.ru", "internet.ru": "mail.ru",

	"yandex.ru": "yandex", "yandex.com": "yandex", "yandex.by": "yandex", "yandex.kz": "yandex", "ya.ru": "yandex", "narod.ru": "yandex",

	"proton.me": "proton", "protonmail.com": "proton", "protonmail.ch": "proton", "pm.me": "proton",

	"tuta.com": "tuta", "tutanota.com": "tuta", "tutanota.de": "tuta", "tutamail.com": "tuta",

	"fastmail.com": "fastmail", "fastmail.fm": "fastmail",

	"orange.fr": "orange", "wanadoo.fr": "orange",

	"free.fr": "free.fr",

	"sfr.fr": "sfr", "neuf.fr": "sfr", "cegetel.net": "sfr", "club-internet.fr": "sfr",

	"laposte.net": "laposte",

	"t-online.de": "t-online", "magenta.de": "t-online",

	"btinternet.com": "bt", "talk21.com": "bt",

	"virginmedia.com": "virgin", "ntlworld.com": "virgin", "blueyonder.co.uk": "virgin",

	"comcast.net": "comcast",

	"libero.it": "libero", "iol.it": "libero", "inwind.it": "libero",

	"seznam.cz": "seznam", "email.cz": "seznam", "post.cz": "seznam",

	"wp.pl": "wp", "o2.pl": "wp", "tlen.pl": "wp",

	"onet.pl": "onet", "op.pl": "onet", "vp.pl": "onet",

	"uol.com.br": "uol", "bol.com.br": "uol",

	"qq.com": "qq", "foxmail.com": "qq",

	"163.com": "163", "126.com": "163", "yeah.net": "163",

	"daum.net": "daum", "hanmail.net": "daum",
}

// Class is what rates count by: the name of the provider that runs many domains, or the domain itself. It does not allocate.
func (a Address) Class() string {
	domain := a.Domain()
	if class, folded := classes[domain]; folded {
		return class
	}
	return domain
}

// Classes are the names of the providers, sorted. Every other class is a domain.
func Classes() []string {
	return slices.Compact(slices.Sorted(maps.Values(classes)))
}
