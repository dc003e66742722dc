package ingest_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"dispatcher/internal/newsletter"
)

func TestSummaryIsWholeSentences(t *testing.T) {
	sentence := func(n int) string { return "The " + strings.Repeat("long ", n) + "way home." }
	tests := map[string]struct{ description, content, want string }{
		"as it is":                   {"A dek without a full stop", "<p>Other words.</p>", "A dek without a full stop"},
		"cut excerpt, text goes on":  {"<p>It was late in the har [&hellip;]</p>", "<p>It was late in the harbour. Nobody came.</p>", "It was late in the harbour. Nobody came."},
		"cut excerpt, text differs":  {"It rained. Then the bell […]", "<p>Elsewhere.</p>", "It rained."},
		"cut excerpt alone":          {"It was late in the harbour when the bell [...]", "", "It was late in the harbour when the bell…"},
		"no excerpt":                 {"", "<h2>Heading</h2><figure><img src='/a.jpg'><figcaption>Caption.</figcaption></figure><p>One.</p><p>Two.</p>", "One. Two."},
		"no prose":                   {"", "<h2>Heading only</h2>", "Heading only"},
		"continue reading":           {"The bell rang. Continue reading The Bell →", "", "The bell rang."},
		"read more in mid-sentence":  {"Children who read more sleep better.", "", "Children who read more sleep better."},
		"up to the limit":            {sentence(50) + " " + sentence(2) + " " + sentence(40), "", sentence(50) + " " + sentence(2)},
		"abbreviations":              {sentence(40) + " On Dec. 13 Dr. J. Roe of the U.S. Navy met Ms. Magazine on p. 4 and " + strings.Repeat("went ", 30) + "home.", "", sentence(40)},
		"a quotation":                {sentence(40) + " “Why?” she asked. " + sentence(30), "", sentence(40) + " “Why?” she asked."},
		"no end inside a quotation":  {sentence(40) + " “Why?” she asked " + sentence(30), "", sentence(40)},
		"Persian":                    {strings.Repeat("کتابدار در زندان است. ", 10) + strings.Repeat("چه کسی می\u200cپرسد؟ ", 10), "", strings.TrimSpace(strings.Repeat("کتابدار در زندان است. ", 10) + strings.Repeat("چه کسی می\u200cپرسد؟ ", 5))},
		"Chinese":                    {strings.Repeat("船到港口。", 80), "", strings.Repeat("船到港口。", 60)},
		"one sentence over the edge": {sentence(100), "", newsletter.OneLine(sentence(100), 300)},
		"a script":                   {"", "<script>var a = 'One.';</script><p>Two.</p>", "Two."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: "A title of several words", link: "https://magazine.example/x/", date: today, description: tt.description, content: tt.content}).Summary
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if n := utf8.RuneCountInString(got); n > 300 {
				t.Errorf("%d characters", n)
			}
		})
	}
}

func TestLeadImage(t *testing.T) {
	tests := map[string]struct{ extra, content, src, alt string }{
		"enclosure": {`<enclosure url="https://cdn.example/e.jpg" type="image/jpeg" length="1"/>`, `<p>x<img src="/b.jpg"></p>`, "https://cdn.example/e.jpg", ""},
		"sound":     {`<enclosure url="https://cdn.example/e.mp3" type="audio/mpeg" length="1"/>`, `<p>x<img src="/b.jpg" alt="B"></p>`, "https://magazine.example/b.jpg", "B"},
		"media content, avatar first": {
			`<media:content url="https://secure.gravatar.com/avatar/1?s=96" medium="image"/><media:content url="/m.jpg" medium="image"/>`,
			`<p>x<img src="https://magazine.example/m.jpg" alt="The pier"></p>`, "https://magazine.example/m.jpg", "The pier",
		},
		"media group":     {`<media:group><media:content url="https://cdn.example/v.mp4" type="video/mp4"/><media:thumbnail url="https://cdn.example/t.jpg"/></media:group>`, "", "https://cdn.example/t.jpg", ""},
		"media thumbnail": {`<media:thumbnail url="//cdn.example/t.jpg"/>`, "", "https://cdn.example/t.jpg", ""},
		"the first that is one": {
			"", `<p><img src="https://stats.wordpress.com/b.gif?x=1"><img src="/p.gif" width="1" height="1"><img src="/q.gif" style="width:1px;height:1px"><img src="data:image/png;base64,AAAA"><img src="https://s.w.org/images/core/emoji/15/72x72/2693.png" alt="⚓"><img src="https://0.gravatar.com/avatar/2"><img src="/real.jpg" alt=" The&#10;pier "></p>`,
			"https://magazine.example/real.jpg", "The pier",
		},
		"loaded late": {"", `<p><img src="data:image/gif;base64,R0lGOD" data-src="/late.jpg" alt="Late"></p>`, "https://magazine.example/late.jpg", "Late"},
		"none":        {"", `<p>No picture.</p>`, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: "A title of several words", link: "https://magazine.example/x/", date: today, content: tt.content, extra: tt.extra})
			if got.Image != tt.src || got.ImageAlt != tt.alt {
				t.Errorf("got %q (%q), want %q (%q)", got.Image, got.ImageAlt, tt.src, tt.alt)
			}
		})
	}
}

func TestBody(t *testing.T) {
	const footer = `<p>Der Beitrag <a href="https://magazine.example/x/">A title of several words</a> erschien zuerst auf <a href="https://magazine.example">Harbour Gazette</a>.</p>`
	tests := map[string]struct{ content, want string }{
		"relative links":        {`<p><a href="../y">y</a> <a href="#z">z</a> <a href="//cdn.example/w?a=1;b=2">w</a></p>`, `<p><a href="https://magazine.example/y">y</a> <a href="https://magazine.example/x/#z">z</a> <a href="https://cdn.example/w?a=1;b=2">w</a></p>`},
		"a link of another way": {`<p><a href="javascript:alert(1)">a</a> <a href="DATA:text/html,x">b</a> <a href="tel:+1">c</a> <a href="mailto:desk@magazine.example">d</a></p>`, `<p>a b c <a href="mailto:desk@magazine.example">d</a></p>`},
		"a link with a name":    {`<p><a href="https://user:word@magazine.example/">a</a></p>`, `<p><a href="https://magazine.example/">a</a></p>`},
		"an international host": {`<p><a href="https://bücher.example/ä">a</a></p>`, `<p><a href="https://xn--bcher-kva.example/%C3%A4">a</a></p>`},
		"footer in German":      {`<p>Text.</p>` + footer, `<p>Text.</p>`},
		"footer in a box":       {`<p>Text.</p><div><div>` + footer + `</div></div>`, `<p>Text.</p>`},
		"footer by a detour":    {`<p>Text.</p><p>The post <a href="https://clicks.example/1">A title</a> appeared first on <a href="https://magazine.example">Harbour Gazette</a>.</p>`, `<p>Text.</p>`},
		"the title elsewhere":   {`<p><a href="https://other.example/">A title of several words</a> is also in <a href="https://paper.example/">the Paper</a>.</p>`, `<p><a href="https://other.example/">A title of several words</a> is also in <a href="https://paper.example/">the Paper</a>.</p>`},
		"no footer":             {`<p>The post office first appeared on maps in 1901.</p>`, `<p>The post office first appeared on maps in 1901.</p>`},
		"open ending":           {`<p>The bell <em>rang and […]</em></p>`, `<p>The bell <em>rang and…</em></p>`},
		"note at the end":       {`<p>See the map [1]</p>`, `<p>See the map [1]</p>`},
		"more link":             {`<p>Text.</p><p><a class="more-link" href="/x/">Continue reading</a></p>`, `<p>Text.</p>`},
		"table":                 {`<table><tr><td>one</td><td>two</td></tr><tr><td>three</td></tr></table>`, `<div>one two </div><div>three </div>`},
		"direction":             {`<p dir="rtl" lang="fa" style="color:red" class="x" onclick="y()">سلام</p><p dir="up" lang="&quot;">x</p>`, `<p dir="rtl" lang="fa">سلام</p><p>x</p>`},
		"headings":              {`<h1>One</h1><section><h3>Two</h3></section>`, `<h2>One</h2><div><h3>Two</h3></div>`},
		"forms and players":     {`<p>a</p><form><input value="x"><p>b</p></form><iframe src="https://v.example"></iframe><video src="v.mp4">c</video>`, `<p>a</p>`},
		"hidden":                {`<p>a<span style="display: none">b</span><span class="screen-reader-text">c</span></p>`, `<p>a</p>`},
		"plain text":            {`a < b & c`, `a &lt; b &amp; c`},
		"nothing":               {`<p> </p><div><p></p></div>`, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readOne(t, entry{title: "A title of several words", link: "https://magazine.example/x/", date: today, content: tt.content}).Body
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTitleIsOneLineOfText(t *testing.T) {
	tests := map[string]struct{ title, want string }{
		"entities":        {`Q&#038;A &#8212; it&#8217;s <em>now</em>`, "Q&A — it’s now"},
		"no tag":          {`Why 3 < 4 & 5`, "Why 3 < 4 & 5"},
		"script":          {`<script>x</script>A title`, "A title"},
		"header":          {"One\r\nBcc: everybody\u2028two", "One Bcc: everybody two"},
		"bidirectional":   {"abc\u202egnp.exe", "abcgnp.exe"},
		"too long":        {strings.Repeat("word ", 100), newsletter.OneLine(strings.Repeat("word ", 100), 300)},
		"from the text":   {"", "What x has to say"},
		"escaped as text": {`&lt;b&gt;`, "<b>"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := post("x", 1)
			e.title, e.content = tt.title, "<p>What x has to say</p>"
			if got := readOne(t, e).Title; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestByline(t *testing.T) {
	tests := map[string]struct{ extra, want string }{
		"creators":         {`<dc:creator>Ada Quill</dc:creator><dc:creator>Bo &amp; Co</dc:creator><dc:creator>ada quill</dc:creator>`, "Ada Quill, Bo & Co"},
		"author with name": {`<author>ada@magazine.example (Ada Quill)</author>`, "Ada Quill"},
		"address alone":    {`<author>ada@magazine.example</author>`, ""},
		"two lines":        {"<dc:creator>Ada\nQuill</dc:creator>", "Ada Quill"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := post("x", 1)
			e.extra = tt.extra
			document := strings.Replace(rss(e), "<item>", "<managingEditor>desk@magazine.example (The Desk)</managingEditor><item>", 1)
			if got := read(t, "feed.xml", document)[0].Author; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestContentBeyondMeasureIsLeftOut(t *testing.T) {
	for name, content := range map[string]string{
		"too long": strings.Repeat("<p>Words, words.</p>", 100_000),
		"too deep": strings.Repeat("<div>", 600) + "Words, words.",
	} {
		t.Run(name, func(t *testing.T) {
			e := post("x", 1)
			e.description, e.content = "A summary.", content
			if got := readOne(t, e); got.Body != "" || got.Summary != "A summary." || got.Title != e.title {
				t.Errorf("got %.200q with summary %q", got.Body, got.Summary)
			}
		})
	}
}
