package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// zbarimgVariable names the program zbarimg (Debian's zbar-tools). If it is set, zbarimg must read what is drawn, as
// the reader in qrread_test.go does.
const zbarimgVariable = "OIDC_AGENT_ZBARIMG"

func TestQRIsReadAsDrawn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want, files []string
	for n := 10; n <= 200; n++ {
		q := encodeQR(qrURL(n))
		pixels, err := seen(q.draw(true))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if len(pixels[0]) != q.size+2*qrQuiet {
			t.Errorf("%d bytes: %d columns, want %d", n, len(pixels[0]), q.size+2*qrQuiet)
		}
		if got, err := readDrawn(pixels); err != nil || got != qrURL(n) {
			t.Errorf("%d bytes: %q, %v", n, got, err)
		}
		want, files = append(want, qrURL(n)), append(files, filepath.Join(dir, fmt.Sprintf("%d.png", n)))
		writePNG(t, files[len(files)-1], pixels)
	}
	zbarimg := os.Getenv(zbarimgVariable)
	if zbarimg == "" {
		return
	}
	output, err := exec.Command(zbarimg, append([]string{"--quiet", "--raw", "--nodbus"}, files...)...).Output()
	if err != nil {
		t.Errorf("%s: %v", zbarimg, err)
	}
	got := strings.Split(strings.TrimSuffix(string(output), "\n"), "\n")
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%s read %d of %d symbols, the first that differs is of %q", zbarimg, len(got), len(want), want[i])
		}
	}
	t.Logf("%s read %d symbols", zbarimg, len(got))
}

// seen returns what a terminal shows, two pixels for each character: true is black. Each line must begin with black
// on white of the 256-colour palette and end with a reset, so that it does not depend on the user's colours.
func seen(drawn string) (pixels [][]bool, err error) {
	for line := range strings.Lines(drawn) {
		text, colours := strings.CutPrefix(line, "\x1b[38;5;16;48;5;231m")
		text, reset := strings.CutSuffix(text, "\x1b[0m\n")
		if !colours || !reset {
			return nil, fmt.Errorf("line %q", line)
		}
		var upper, lower []bool
		for _, c := range text {
			halves, known := map[rune][2]bool{' ': {}, '▀': {true, false}, '▄': {false, true}, '█': {true, true}}[c]
			if !known {
				return nil, fmt.Errorf("character %q", c)
			}
			upper, lower = append(upper, halves[0]), append(lower, halves[1])
		}
		pixels = append(pixels, upper, lower)
	}
	return pixels, nil
}

// readDrawn removes the quiet zone, which must be light, and reads the symbol.
func readDrawn(pixels [][]bool) (string, error) {
	width := len(pixels[0])
	var symbol [][]bool
	for y, row := range pixels {
		for x, dark := range row {
			if dark && (min(x, y) < 4 || max(x, y) >= width-4) {
				return "", fmt.Errorf("the quiet zone is dark in row %d, column %d", y, x)
			}
		}
		if y >= 4 && y < width-4 {
			symbol = append(symbol, row[4:width-4])
		}
	}
	return readQR(symbol)
}

func writePNG(t *testing.T, file string, pixels [][]bool) {
	t.Helper()
	const scale = 4 // dots on a side of a module
	picture := image.NewPaletted(image.Rect(0, 0, scale*len(pixels[0]), scale*len(pixels)), color.Palette{color.White, color.Black})
	for i := range picture.Pix {
		x, y := i%picture.Stride/scale, i/picture.Stride/scale
		picture.Pix[i] = uint8(boolBit(pixels[y][x]))
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
}
