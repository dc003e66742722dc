package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"text/template"
)

// drawing is a picture of small multiples over the number of readers. It has no background and takes its colours from the
// reader's preference, so that it is readable on a light page and on a dark one.
var drawing = template.Must(template.New("drawing").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 330" role="img" aria-labelledby="title description">
<title id="title">What an edition costs from {{.Least}} to {{.Most}} readers</title>
<desc id="description">{{.Description}}</desc>
<style>
  svg { --ink: #1f2328; --faint: #59636e; --grid: #d1d9e0; --first: #0969da; --second: #bc4c00; font: 13px system-ui, sans-serif }
  @media (prefers-color-scheme: dark) { svg { --ink: #f0f6fc; --faint: #9198a1; --grid: #3d444d; --first: #4493f8; --second: #f0883e } }
  text { fill: var(--faint) } .title { fill: var(--ink); font-weight: 600; font-size: 15px } .grid { stroke: var(--grid) }
  .value { fill: var(--ink); text-anchor: middle } .name { font-weight: 600 } .tick { text-anchor: end } .readers { text-anchor: middle }
  polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round } .first polyline { stroke: var(--first) } .second polyline { stroke: var(--second) }
  .first circle, .first .name { fill: var(--first) } .second circle, .second .name { fill: var(--second) }
</style>
{{range .Panels}}<g transform="translate({{.Left}} 0)">
  <text class="title" x="0" y="24">{{.Title}}</text>
{{range .Ticks}}  <line class="grid" x1="36" x2="340" y1="{{.At}}" y2="{{.At}}"/><text class="tick" x="28" y="{{.At}}" dy="4">{{.Text}}</text>
{{end}}{{range .Readers}}  <text class="readers" x="{{.At}}" y="294">{{.Text}}</text>
{{end}}  <text class="readers" x="201" y="318">readers</text>
{{range .Series}}  <g class="{{.Class}}"><polyline points="{{range .Points}}{{.X}},{{.Y}} {{end}}"/>
{{range .Points}}    <circle cx="{{.X}}" cy="{{.Y}}" r="4"/><text class="value" x="{{.X}}" y="{{.Y}}" dy="{{.Beside}}">{{.Text}}</text>
{{end}}{{with .Name}}    <text class="name" x="{{.X}}" y="{{.Y}}" dy="{{.Beside}}">{{.Text}}</text>
{{end}}  </g>
{{end}}</g>
{{end}}</svg>
`))

// The frame of a panel, in the drawing's units.
const (
	frameLeft, frameRight = 70.0, 332.0
	frameTop, frameBottom = 60.0, 270.0
)

type mark struct {
	At   float64
	Text string
}

type point struct {
	X, Y   float64
	Beside int // where its text stands: so much below it
	Text   string
}

type series struct {
	Class  string
	Points []point
	Name   *point // nil where a panel has one series only
}

type panel struct {
	Left           float64
	Title          string
	Ticks, Readers []mark
	Series         []series
}

// measure is one figure of growth.
type measure struct {
	name string
	of   func(g growth) float64
}

// draw draws the cost of a message and the peak of memory over the number of readers.
func draw(grown []growth) ([]byte, error) {
	cpu := measure{"serve", func(g growth) float64 { return brief(g.cpu).Value }}
	serve := measure{"serve", func(g growth) float64 { return memory(g.memory).Value }}
	send := measure{"send", func(g growth) float64 { return memory(g.makingRSS).Value }}
	var words []string
	for _, g := range grown {
		words = append(words, fmt.Sprintf("%s readers: %.0f µs of CPU for each message, at most %.0f MB of memory for sending and %.0f MB for making the edition.",
			thousands(g.readers), cpu.of(g), serve.of(g), send.of(g)))
	}
	var b bytes.Buffer
	err := drawing.Execute(&b, struct {
		Least, Most, Description string
		Panels                   []panel
	}{
		thousands(grown[0].readers), thousands(grown[len(grown)-1].readers), strings.Join(words, " "),
		[]panel{newPanel(20, "CPU per message, µs", grown, cpu), newPanel(470, "Peak memory, MB", grown, serve, send)},
	})
	return b.Bytes(), err
}

// newPanel draws measures that have the same unit.
func newPanel(left float64, title string, grown []growth, measures ...measure) panel {
	p := panel{Left: left, Title: title}
	top := 0.0
	for _, m := range measures {
		for _, g := range grown {
			top = max(top, m.of(g))
		}
	}
	step := roundStep(top)
	top = step * math.Ceil(top/step)
	y := func(value float64) float64 { return math.Round(frameBottom - value/top*(frameBottom-frameTop)) }
	least, most := math.Log(float64(grown[0].readers)), math.Log(float64(grown[len(grown)-1].readers))
	x := func(g growth) float64 {
		return math.Round(frameLeft + (math.Log(float64(g.readers))-least)/(most-least)*(frameRight-frameLeft))
	}
	for value := 0.0; value <= top; value += step {
		p.Ticks = append(p.Ticks, mark{y(value), fmt.Sprint(value)})
	}
	for _, g := range grown {
		p.Readers = append(p.Readers, mark{x(g), thousands(g.readers)})
	}
	for i, m := range measures {
		s := series{Class: [...]string{"first", "second"}[i]}
		for _, g := range grown {
			s.Points = append(s.Points, point{x(g), y(m.of(g)), beside(m, measures, g), fmt.Sprintf("%.0f", m.of(g))})
		}
		if last := s.Points[len(s.Points)-1]; len(measures) > 1 {
			s.Name = &point{X: last.X + 14, Y: last.Y, Beside: 4 + last.Beside/3, Text: m.name} // apart where lines end together
		}
		p.Series = append(p.Series, s)
	}
	return p
}

// beside puts the text of the lowest of several points below it, and all others above.
func beside(m measure, measures []measure, g growth) int {
	for _, other := range measures {
		if other.of(g) < m.of(g) || len(measures) == 1 {
			return -10
		}
	}
	return 20
}

// roundStep is the distance of three to six grid lines, a number that people count in.
func roundStep(top float64) float64 {
	if top <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	switch lines := top / step; {
	case lines < 1.5:
		return step / 4
	case lines < 3:
		return step / 2
	case lines > 6:
		return step * 2
	}
	return step
}
