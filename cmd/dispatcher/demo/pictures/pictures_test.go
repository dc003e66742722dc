package pictures_test

import (
	"bytes"
	"image/color"
	"image/png"
	"testing"

	"dispatcher/cmd/dispatcher/demo/pictures"
)

func TestEveryPictureIsPaintedToItsEdges(t *testing.T) {
	for _, name := range pictures.Names() {
		var b bytes.Buffer
		if err := pictures.WritePNG(&b, name); err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(&b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		colours := map[color.Color]bool{}
		for y := 0; y < img.Bounds().Dy(); y += 3 {
			for x := 0; x < img.Bounds().Dx(); x += 3 {
				c := img.At(x, y)
				if _, _, _, alpha := c.RGBA(); alpha != 0xffff {
					t.Fatalf("%s: nothing is painted at %d,%d", name, x, y)
				}
				colours[c] = true
			}
		}
		if len(colours) < 3 {
			t.Errorf("%s: %d colours make no picture", name, len(colours))
		}
	}
}

func TestAnUnknownPictureIsAnError(t *testing.T) {
	if err := pictures.WritePNG(&bytes.Buffer{}, "no-such-picture"); err == nil {
		t.Error("WritePNG drew a picture that is not there")
	}
}
