// Package pictures draws the pictures of the demo's sample stories, so that no picture needs to be kept: flat shapes in
// layers, the same on every machine.
package pictures

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"math"
	"slices"
)

// The size of every picture in pixels: twice what mail shows at most, for fine screens.
const (
	width  = 1104
	height = 552
)

// Names are the names of all pictures, sorted.
func Names() []string { return slices.Sorted(maps.Keys(scenes)) }

// WritePNG draws a picture. It returns an error for a name that is not one of Names, and what writing fails with.
func WritePNG(w io.Writer, name string) error {
	scene, known := scenes[name]
	if !known {
		return fmt.Errorf("there is no picture %q", name)
	}
	if err := png.Encode(w, paint(scene())); err != nil {
		return fmt.Errorf("writing the picture %s: %w", name, err)
	}
	return nil
}

// shape is a signed distance: how far a point lies outside of it at least, in pixels, negative within.
type shape struct {
	bounds   image.Rectangle // nothing of it lies outside
	distance func(x, y float64) float64
}

// layer is a shape in a colour.
type layer struct {
	shape
	colour color.RGBA
}

// The colours of the sample newspaper's mail, and some that go with them.
var (
	paper  = color.RGBA{0xf4, 0xec, 0xdf, 0xff}
	linen  = color.RGBA{0xe2, 0xd5, 0xc0, 0xff}
	mist   = color.RGBA{0xc3, 0xcb, 0xc4, 0xff}
	sea    = color.RGBA{0x56, 0x7d, 0x86, 0xff}
	dusk   = color.RGBA{0x3d, 0x52, 0x64, 0xff}
	night  = color.RGBA{0x22, 0x2f, 0x3c, 0xff}
	ink    = color.RGBA{0x28, 0x23, 0x1e, 0xff}
	clay   = color.RGBA{0xc2, 0x6b, 0x4b, 0xff}
	crayon = color.RGBA{0x9f, 0x2a, 0x1f, 0xff}
	ochre  = color.RGBA{0xd9, 0xa4, 0x41, 0xff}
	olive  = color.RGBA{0x76, 0x80, 0x5c, 0xff}
)

// paint puts the layers over each other.
func paint(layers []layer) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for _, l := range layers {
		l.paint(img)
	}
	return img
}

// paint goes through the rows. No distance changes by more than one from a pixel to the next, so what lies clear of the
// edge, outside or inside, goes by in long steps; the edge is one pixel wide.
func (l layer) paint(img *image.RGBA) {
	area, fill := l.bounds.Intersect(img.Rect), image.NewUniform(l.colour)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; {
			outside := l.distance(float64(x)+0.5, float64(y)+0.5)
			switch {
			case outside >= 0.5:
				x += max(1, int(math.Ceil(outside-0.5)))
			case outside <= -0.5:
				end := min(area.Max.X, x+1+int(-0.5-outside))
				draw.Draw(img, image.Rect(x, y, end, y+1), fill, image.Point{}, draw.Src)
				x = end
			default:
				img.SetRGBA(x, y, mixed(img.RGBAAt(x, y), l.colour, 0.5-outside))
				x++
			}
		}
	}
}

// mixed is a colour covered to some part, from 0 to 1, by another.
func mixed(under, over color.RGBA, cover float64) color.RGBA {
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a)*(1-cover) + float64(b)*cover)) }
	return color.RGBA{mix(under.R, over.R), mix(under.G, over.G), mix(under.B, over.B), 0xff}
}

func (s shape) in(c color.RGBA) layer { return layer{s, c} }

func around(x0, y0, x1, y1 float64) image.Rectangle {
	return image.Rect(int(math.Floor(x0))-1, int(math.Floor(y0))-1, int(math.Ceil(x1))+1, int(math.Ceil(y1))+1)
}

func box(x0, y0, x1, y1 float64) shape {
	return shape{around(x0, y0, x1, y1), func(x, y float64) float64 { return max(x0-x, x-x1, y0-y, y-y1) }}
}

// whole is all of the picture.
func whole() shape {
	return shape{image.Rect(0, 0, width, height), func(_, _ float64) float64 { return -width }}
}

func disc(cx, cy, r float64) shape {
	return shape{around(cx-r, cy-r, cx+r, cy+r), func(x, y float64) float64 { return math.Hypot(x-cx, y-cy) - r }}
}

func ring(cx, cy, r, thick float64) shape {
	return shape{disc(cx, cy, r+thick).bounds, func(x, y float64) float64 { return math.Abs(math.Hypot(x-cx, y-cy)-r) - thick/2 }}
}

// line is a stroke with round ends.
func line(x0, y0, x1, y1, thick float64) shape {
	dx, dy := x1-x0, y1-y0
	length := max(dx*dx+dy*dy, 1e-9)
	return shape{
		around(min(x0, x1)-thick, min(y0, y1)-thick, max(x0, x1)+thick, max(y0, y1)+thick),
		func(x, y float64) float64 {
			t := min(1, max(0, ((x-x0)*dx+(y-y0)*dy)/length))
			return math.Hypot(x-x0-t*dx, y-y0-t*dy) - thick/2
		},
	}
}

// hill is all that lies below a wave.
func hill(top, swell, length, shift float64) shape {
	return shape{around(0, top-swell, width, height), func(x, y float64) float64 {
		angle := 2 * math.Pi * (x + shift) / length
		slope := swell * 2 * math.Pi / length * math.Cos(angle)
		return (top + swell*math.Sin(angle) - y) / math.Hypot(1, slope)
	}}
}

// polygon is a convex one, its corners given clockwise.
func polygon(corners ...[2]float64) shape {
	bounds := image.Rectangle{}
	for _, c := range corners {
		bounds = bounds.Union(around(c[0], c[1], c[0], c[1]))
	}
	return shape{bounds, func(x, y float64) float64 {
		outside := math.Inf(-1)
		for i, a := range corners {
			b := corners[(i+1)%len(corners)]
			dx, dy := b[0]-a[0], b[1]-a[1]
			outside = max(outside, ((x-a[0])*dy-(y-a[1])*dx)/math.Hypot(dx, dy))
		}
		return outside
	}}
}

func both(a, b shape) shape {
	return shape{a.bounds.Intersect(b.bounds), func(x, y float64) float64 { return max(a.distance(x, y), b.distance(x, y)) }}
}

func without(a, b shape) shape {
	return shape{a.bounds, func(x, y float64) float64 { return max(a.distance(x, y), -b.distance(x, y)) }}
}

// stroke is a line through points.
func stroke(points [][2]float64, thick float64, c color.RGBA) (layers []layer) {
	for i := range len(points) - 1 {
		a, b := points[i], points[i+1]
		layers = append(layers, line(a[0], a[1], b[0], b[1], thick).in(c))
	}
	return layers
}

// bird is a swallow far away.
func bird(x, y, size float64, c color.RGBA) []layer {
	return stroke([][2]float64{{x - size, y - size*0.35}, {x - size*0.45, y - size*0.5}, {x, y}, {x + size*0.45, y - size*0.5}, {x + size, y - size*0.35}}, size/5, c)
}

// uneven is a number from 0 to 1 that looks drawn by hand, and is the same each time.
func uneven(n int) float64 {
	_, fraction := math.Modf(math.Abs(math.Sin(float64(n)*12.9898) * 43758.5453))
	return fraction
}
