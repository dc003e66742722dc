package pictures

import (
	"image/color"
	"math"
)

// scenes are the pictures of the sample stories, by the last part of the story's address.
var scenes = map[string]func() []layer{
	"hear-mara-selwin":      doorAjar,
	"night-shift":           litWindows,
	"i-count-the-swallows":  barredWindow,
	"radio-with-no-address": boatWithMast,
	"oak-street-bookshop":   bookshop,
	"eleven-minutes":        clockFace,
	"no-longer-printed":     shelves,
	"read-the-margins":      margins,
	"two-votes":             assembly,
	"one-fax-machine":       marketSquare,
	"one-line":              barsToBird,
}

func doorAjar() []layer {
	return []layer{
		whole().in(night),
		box(0, 430, width, height).in(color.RGBA{0x1a, 0x24, 0x2f, 0xff}),
		polygon([2]float64{600, 430}, [2]float64{716, 430}, [2]float64{560, 552}, [2]float64{180, 552}).in(ochre),
		box(600, 110, 716, 430).in(color.RGBA{0xf3, 0xd0, 0x84, 0xff}),
		polygon([2]float64{716, 110}, [2]float64{812, 76}, [2]float64{812, 480}, [2]float64{716, 430}).in(dusk),
		disc(796, 292, 7).in(ochre),
	}
}

func litWindows() []layer {
	layers := []layer{
		whole().in(dusk), disc(880, 130, 62).in(linen), disc(904, 116, 54).in(dusk),
		hill(400, 26, 900, 120).in(color.RGBA{0x33, 0x45, 0x55, 0xff}),
		box(150, 150, 690, 552).in(night), box(690, 330, 960, 552).in(color.RGBA{0x1b, 0x26, 0x31, 0xff}),
		box(580, 90, 626, 150).in(night),
	}
	for row := range 4 {
		for column := range 9 {
			c := color.RGBA{0x2e, 0x3e, 0x4d, 0xff}
			if row == 2 && column != 6 {
				c = ochre
			}
			x, y := 184+float64(column)*54, 190+float64(row)*84
			layers = append(layers, box(x, y, x+34, y+48).in(c))
		}
	}
	return layers
}

func barredWindow() []layer {
	layers := []layer{whole().in(clay), box(656, 70, 944, 382).in(color.RGBA{0xa5, 0x55, 0x39, 0xff}), box(676, 90, 924, 362).in(paper)}
	for n, at := range [][2]float64{{722, 170}, {806, 132}, {856, 236}, {760, 276}, {884, 168}} {
		layers = append(layers, bird(at[0], at[1], 15+5*uneven(n), ink)...)
	}
	for x := 725.5; x < 900; x += 49.5 {
		layers = append(layers, box(x-5, 90, x+5, 362).in(ink))
	}
	for n := range 12 {
		x := 70 + 44*float64(n) + 26*uneven(n)
		layers = append(layers, bird(x, 400-24*float64(n)+70*uneven(n+20), 16+10*uneven(n+40), paper)...)
	}
	return layers
}

func boatWithMast() []layer {
	layers := []layer{whole().in(night)}
	for n := range 6 {
		layers = append(layers, ring(560, 170, 70+62*float64(n), 5).in([]color.RGBA{ochre, clay, crayon, dusk, dusk, dusk}[n]))
	}
	return append(layers,
		line(560, 170, 560, 400, 7).in(linen), disc(560, 170, 14).in(ochre),
		polygon([2]float64{566, 214}, [2]float64{676, 372}, [2]float64{566, 372}).in(linen),
		both(disc(566, 300, 150), box(360, 386, 780, 470)).in(crayon),
		hill(438, 12, 260, 0).in(sea), hill(478, 14, 340, 90).in(dusk), hill(520, 12, 300, 30).in(color.RGBA{0x2c, 0x3c, 0x4a, 0xff}),
	)
}

func bookshop() []layer {
	layers := []layer{
		whole().in(night), box(0, 470, width, height).in(color.RGBA{0x1a, 0x24, 0x2f, 0xff}),
		box(40, 60, 350, 470).in(dusk), box(350, 20, 800, 470).in(color.RGBA{0x33, 0x45, 0x55, 0xff}), box(800, 100, 1080, 470).in(dusk),
		disc(575, 300, 210).in(color.RGBA{0x4a, 0x55, 0x55, 0xff}),
		box(400, 190, 640, 430).in(color.RGBA{0xf3, 0xd0, 0x84, 0xff}), box(680, 200, 764, 470).in(ochre),
		polygon([2]float64{380, 150}, [2]float64{784, 150}, [2]float64{800, 190}, [2]float64{364, 190}).in(crayon),
	}
	colours := []color.RGBA{crayon, sea, ink, olive, clay, dusk}
	for shelf := range 3 {
		base := 262 + float64(shelf)*76
		layers = append(layers, box(410, base, 630, base+6).in(ink))
		for n := range 11 {
			x, tall := 416+float64(n)*19, 34+20*uneven(shelf*11+n)
			if shelf*11+n == 17 {
				continue // somebody is reading it
			}
			layers = append(layers, box(x, base-tall, x+14, base).in(colours[(n*5+shelf*7)%len(colours)]))
		}
	}
	return append(layers, disc(745, 340, 6).in(ink))
}

func clockFace() []layer {
	angle := func(minute float64) (x, y float64) {
		a := 2 * math.Pi * minute / 60
		return math.Sin(a), -math.Cos(a)
	}
	const cx, cy, r = 552.0, 276.0, 214.0
	x0, y0 := angle(4)
	x1, y1 := angle(15)
	wedge := polygon([2]float64{cx, cy}, [2]float64{cx + 2*r*x0, cy + 2*r*y0}, [2]float64{cx + 2*r*x1, cy + 2*r*y1})
	layers := []layer{whole().in(mist), disc(cx, cy, r+16).in(ink), disc(cx, cy, r).in(paper), both(wedge, disc(cx, cy, r)).in(crayon)}
	for minute := range 60 {
		x, y := angle(float64(minute))
		from, thick := r-16, 3.0
		if minute%5 == 0 {
			from, thick = r-30, 7
		}
		layers = append(layers, line(cx+from*x, cy+from*y, cx+(r-8)*x, cy+(r-8)*y, thick).in(ink))
	}
	hx, hy := angle(51.25) // a quarter past ten
	return append(layers, line(cx, cy, cx+116*hx, cy+116*hy, 14).in(ink), line(cx, cy, cx+176*x1, cy+176*y1, 9).in(ink), disc(cx, cy, 13).in(ink))
}

func shelves() []layer {
	layers := []layer{whole().in(color.RGBA{0x4b, 0x3f, 0x33, 0xff})}
	colours := []color.RGBA{linen, mist, paper, linen, olive, linen}
	for row := range 4 {
		y := 18 + float64(row)*134
		for n := range 12 {
			x := 26 + float64(n)*88
			if row == 1 && n == 7 {
				continue // lent out
			}
			c, label := colours[(row*7+n*5)%len(colours)], ink
			if row == 2 && n == 4 {
				label = crayon
			}
			layers = append(layers, box(x, y+10*uneven(row*12+n), x+76, y+116).in(c), box(x+20, y+52, x+56, y+72).in(label))
		}
		layers = append(layers, box(0, y+116, width, y+128).in(ink))
	}
	return layers
}

func margins() []layer {
	layers := []layer{whole().in(olive), box(222, 40, 902, 552).in(color.RGBA{0x5f, 0x68, 0x49, 0xff}), box(206, 26, 886, 552).in(paper), box(396, 26, 400, 552).in(crayon)}
	for n := range 14 {
		y := 74 + float64(n)*36
		end := 780 + 70*uneven(n)
		if n%5 == 4 {
			end = 560 + 90*uneven(n)
		}
		layers = append(layers, line(436, y, end, y, 7).in(ink))
		if n%4 != 3 {
			var note [][2]float64
			for k := range 9 + int(8*uneven(n+30)) {
				note = append(note, [2]float64{236 + float64(k)*8, y - 4 + 13*uneven(n*31+k)})
			}
			layers = append(layers, stroke(note, 3.5, crayon)...)
		}
	}
	return layers
}

func assembly() []layer {
	layers := []layer{whole().in(linen), box(502, 452, 602, 470).in(ink), box(536, 424, 568, 452).in(ink)}
	seats := 0
	for row := range 7 {
		r, n := 150+float64(row)*46, 11+row*3
		for seat := range n {
			a := math.Pi * (0.04 + 0.92*float64(seat)/float64(n-1))
			c := dusk
			if a < math.Pi/2 {
				c = sea
			}
			if seats++; seats == 58 || seats == 96 { // those who voted otherwise
				c = crayon
			}
			layers = append(layers, disc(552+r*math.Cos(a), 492-r*math.Sin(a), 15).in(c))
		}
	}
	return layers
}

func marketSquare() []layer {
	layers := []layer{whole().in(paper)}
	for _, house := range [][4]float64{
		{90, 50, 250, 150},
		{262, 50, 380, 150},
		{392, 50, 560, 150},
		{572, 50, 690, 150},
		{820, 50, 1000, 150},
		{90, 400, 210, 500},
		{340, 400, 470, 500},
		{482, 400, 640, 500},
		{652, 400, 770, 500},
		{782, 400, 1000, 500},
		{90, 190, 180, 290},
		{90, 300, 180, 372},
		{912, 190, 1000, 360},
	} {
		b := box(house[0], house[1], house[2], house[3])
		layers = append(layers, without(b, box(house[0]+5, house[1]+5, house[2]-5, house[3]-5)).in(ink))
	}
	layers = append(layers, ring(546, 276, 46, 5).in(ink), ring(546, 276, 26, 5).in(ink), disc(546, 276, 8).in(ink))
	path := func(c color.RGBA, points ...[2]float64) { layers = append(layers, stroke(points, 7, c)...) }
	path(crayon, [2]float64{755, 20}, [2]float64{752, 170}, [2]float64{640, 240}, [2]float64{606, 270})
	path(sea, [2]float64{275, 530}, [2]float64{270, 380}, [2]float64{360, 300}, [2]float64{486, 282})
	path(olive, [2]float64{180, 230}, [2]float64{330, 196}, [2]float64{700, 196}, [2]float64{912, 250})
	return append(layers, ring(511, 450, 82, 7).in(crayon), line(905, 450, 985, 430, 7).in(sea), line(905, 430, 985, 450, 7).in(sea))
}

// barsToBird is one line without a break.
func barsToBird() []layer {
	var points [][2]float64
	for n := range 7 { // bars
		x := 40 + float64(n)*48
		up, down := [2]float64{x, 120}, [2]float64{x, 430}
		if n%2 == 1 {
			up, down = down, up
		}
		points = append(points, up, down)
	}
	for x := 342.0; x <= 690; x += 6 { // loosening
		t := (x - 342) / 348
		points = append(points, [2]float64{x, 276 + (154*(1-t)+18*t)*math.Cos(t*4.5*math.Pi)})
	}
	for x := 690.0; x <= 1104; x += 6 { // two wings
		t := (x - 690) / 226
		points = append(points, [2]float64{x, 276 - 24*t - 104*math.Pow(math.Abs(math.Sin(t*math.Pi)), 0.8)})
	}
	return append([]layer{whole().in(paper), disc(884, 366, 78).in(crayon)}, stroke(points, 9, ink)...)
}
