package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The information bits of ISO/IEC 18004:2015 tables C.1 and D.1.
var (
	qrFormats = []string{
		"111011111000100", "111001011110011", "111110110101010", "111100010011101",
		"110011000101111", "110001100011000", "110110001000001", "110100101110110",
	}
	qrVersions = map[int]string{7: "000111110010010100", 8: "001000010110111100", 9: "001001101010011001", 10: "001010010011010011"}
)

func TestQRInformationBits(t *testing.T) {
	t.Parallel()
	for pattern, want := range qrFormats {
		q := newQRCode(1)
		q.drawFormat(uint(pattern))
		for which, got := range formatBits(modules(q)) {
			if got != want {
				t.Errorf("format information of mask pattern %d, copy %d: %s, want %s", pattern, which, got, want)
			}
		}
	}
	for version, want := range qrVersions {
		for which, got := range versionBits(modules(newQRCode(version))) {
			if got != want {
				t.Errorf("version information of %d, copy %d: %s, want %s", version, which, got, want)
			}
		}
	}
}

func TestQRCorrection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		data, want []byte
	}{
		{"ISO/IEC 18004 annex I, 01234567 in 1-M",
			[]byte{0x10, 0x20, 0x0c, 0x56, 0x61, 0x80, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11},
			[]byte{0xa5, 0x24, 0xd4, 0xc1, 0xed, 0x36, 0xc7, 0x87, 0x2c, 0x55}},
		{"HELLO WORLD in 1-M",
			[]byte{32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17},
			[]byte{196, 35, 39, 119, 235, 215, 231, 226, 93, 23}},
	}
	for _, test := range tests {
		if got := qrCorrection(test.data, len(test.want)); !bytes.Equal(got, test.want) {
			t.Errorf("%s: % x, want % x", test.name, got, test.want)
		}
	}
}

func TestQRCodewordsAreInterleaved(t *testing.T) {
	t.Parallel()
	data := make([]byte, 11)
	for i := range data {
		data[i] = byte(i)
	}
	got := qrCodewords(data, qrCapacity{data: 11, blocks: 4, correction: 3})[:11]
	// Blocks 0-1, 2-4, 5-7, 8-10: the longer ones last.
	if want := []byte{0, 2, 5, 8, 1, 3, 6, 9, 4, 7, 10}; !bytes.Equal(got, want) {
		t.Errorf("% d, want % d", got, want)
	}
}

// TestQRVersion: the smallest version that holds the bytes is used; the limits are those of ISO/IEC 18004:2015 table 7.
func TestQRVersion(t *testing.T) {
	t.Parallel()
	for i, most := range []int{17, 32, 53, 78, 106, 134, 154, 192, 230, 271} {
		size := 17 + 4*(i+1)
		if q := encodeQR(qrURL(most)); q == nil || q.size != size {
			t.Errorf("%d bytes: %v, want version %d", most, q, i+1)
		}
		if q := encodeQR(qrURL(most + 1)); i+1 < qrMaxVersion && q.size != size+4 || i+1 == qrMaxVersion && q != nil {
			t.Errorf("%d bytes: %v, want the next version, or none", most+1, q)
		}
	}
	if q := encodeQR(strings.Repeat("x", 1<<16)); q != nil {
		t.Errorf("64 KiB: %d modules", q.size)
	}
}

// TestQRPenalty scores symbols whose rows are a line and its inverse in turn, so that only the rows count.
func TestQRPenalty(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct{ runs, finders int }{
		"####....####": {0, 0}, "#####.#.#.#.": {3, 0}, ".......#.#.#": {5, 0}, "#####.#####.": {6, 0},
		"#.###.#....#": {0, 1}, "#....#.###.#": {0, 1}, "....#.###.#....": {0, 2}, "#.###.#...#.": {0, 0}, ".#.###.#.#.#": {0, 0},
	} {
		q := &qrCode{size: len(line)}
		for i := range q.size {
			for j, c := range line {
				q.dark[i][j] = uint(boolBit((c == '#') == (i%2 == 0)))
			}
		}
		if got, score := q.penalty(), q.size*want.runs+(q.size+1)/2*40*want.finders; got != score {
			t.Errorf("%s: %d, want %d", line, got, score)
		}
	}
	q := &qrCode{size: 21}
	if got, want := q.penalty(), 42*(3+16)+3*20*20+10*10; got != want { // 42 runs of 21, 400 squares, 50 % off
		t.Errorf("an empty symbol: %d, want %d", got, want)
	}
}

// TestQRGolden compares with symbols made by qrencode 4.1.1: the text, then the modules.
func TestQRGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/qr/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no symbols in testdata/qr: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, want, _ := strings.Cut(string(content), "\n")
		if got := drawPlain(encodeQR(text)); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
}

func modules(q *qrCode) (dark [][]bool) {
	for i := range q.size {
		dark = append(dark, make([]bool, q.size))
		for j := range q.size {
			dark[i][j] = q.dark[i][j] == 1
		}
	}
	return dark
}

func drawPlain(q *qrCode) string {
	var b strings.Builder
	for _, row := range modules(q) {
		for _, dark := range row {
			b.WriteByte(".#"[boolBit(dark)])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestQRIsRead reads symbols of all versions with the reader in qrread_test.go.
func TestQRIsRead(t *testing.T) {
	t.Parallel()
	texts := []string{"\x00\xff\x80", "https://example.org/ä€😀"}
	for n := range 272 {
		texts = append(texts, qrURL(n))
	}
	for _, text := range texts {
		q := encodeQR(text)
		if got, err := readQR(modules(q)); err != nil || got != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if drawPlain(encodeQR(text)) != drawPlain(q) {
			t.Errorf("%q: a second symbol differs", text)
		}
	}
}

// qrURL returns a URL of n bytes that looks like one of a device flow.
func qrURL(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/?=&%"
	url, state := []byte("https://"), uint32(n)
	for len(url) < n {
		state = state*1664525 + 1013904223
		url = append(url, alphabet[state>>16%uint32(len(alphabet))])
	}
	return string(url[:n])
}
