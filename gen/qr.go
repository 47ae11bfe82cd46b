package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// The QR code of the verification URL, for users who approve with their phone. Byte mode, versions 1 to 10 and
// error correction level L are enough for a URL on a terminal of 80 columns, where nothing damages the symbol.
// Terms and section numbers are those of ISO/IEC 18004:2015.

const (
	qrMaxVersion = 10
	qrMaxSize    = 17 + 4*qrMaxVersion
	qrLevelL     = 0b01 // in the format information, table 12
	qrQuiet      = 4    // light modules around the symbol, section 6.3.8
)

// qrCapacity says how many data codewords a version holds, in how many blocks, and how many error correction
// codewords each block has.
type qrCapacity struct{ data, blocks, correction int }

// qrCapacities are the capacities of level L, from version 1 (section 7.5.1, table 9).
var qrCapacities = [qrMaxVersion]qrCapacity{
	{19, 1, 7}, {34, 1, 10}, {55, 1, 15}, {80, 1, 20}, {108, 1, 26},
	{136, 2, 18}, {156, 2, 20}, {194, 2, 24}, {232, 2, 30}, {274, 4, 18},
}

// qrAlignment lists the row and column coordinates of the alignment patterns' centres, from version 1 (annex E).
var qrAlignment = [qrMaxVersion][]int{nil, {6, 18}, {6, 22}, {6, 26}, {6, 30}, {6, 34},
	{6, 22, 38}, {6, 24, 42}, {6, 26, 46}, {6, 28, 50}}

// qrCode is a symbol without its quiet zone. Modules are addressed by row and column.
type qrCode struct {
	size     int                        // modules on a side
	dark     [qrMaxSize][qrMaxSize]uint // 1, or 0 for a light module
	function [qrMaxSize][qrMaxSize]bool // holds no data: a pattern, or format or version information
}

// encodeQR returns the smallest symbol that holds the text, or nil if none does. It chooses the mask pattern
// with the lowest penalty (section 7.8).
func encodeQR(text string) (best *qrCode) {
	for i, capacity := range qrCapacities {
		data := qrData(text, i+1, capacity.data)
		if data == nil {
			continue
		}
		empty, codewords, lowest := newQRCode(i+1), qrCodewords(data, capacity), math.MaxInt
		for pattern := range uint(8) {
			q := *empty
			q.place(codewords, pattern)
			if penalty := q.penalty(); penalty < lowest {
				best, lowest = &q, penalty
			}
		}
		break
	}
	return best
}

// qrData encodes the text in byte mode and pads it to size codewords (sections 7.4.5 and 7.4.10); nil if it
// does not fit. The mode indicator and the terminator take one hexadecimal digit each; the character count
// indicator takes two up to version 9, and four above (tables 2 and 3).
func qrData(text string, version, size int) []byte {
	digits := 2
	if version > 9 {
		digits = 4
	}
	data, _ := hex.DecodeString(fmt.Sprintf("4%0*x%x0", digits, len(text), text))
	if len(data) > size {
		return nil
	}
	for pad := byte(0b11101100); len(data) < size; pad ^= 0b11101100 ^ 0b00010001 {
		data = append(data, pad)
	}
	return data
}

// qrCodewords splits the data into blocks, the longer ones last, and interleaves their codewords: the first of
// each block, the second of each, and so on. The error correction codewords follow in the same way (section
// 7.6).
func qrCodewords(data []byte, c qrCapacity) (all []byte) {
	blocks, corrections := make([][]byte, c.blocks), make([][]byte, c.blocks)
	for i := range blocks {
		n := len(data) / (c.blocks - i)
		blocks[i], corrections[i] = data[:n], qrCorrection(data[:n], c.correction)
		data = data[n:]
	}
	for _, part := range [...][][]byte{blocks, corrections} {
		for i := range part[len(part)-1] {
			for _, block := range part {
				if i < len(block) {
					all = append(all, block[i])
				}
			}
		}
	}
	return all
}

// qrCorrection returns the remainder of the data polynomial divided by the generator polynomial, whose roots
// are the first n powers of 2 (section 7.5.2, annex A).
func qrCorrection(data []byte, n int) []byte {
	generator := []byte{1} // coefficients, highest power first
	for root := byte(1); len(generator) <= n; root = gfMul(root, 2) {
		generator = append(generator, 0)
		for i := len(generator) - 1; i > 0; i-- {
			generator[i] ^= gfMul(generator[i-1], root)
		}
	}
	rest := append(slices.Clone(data), make([]byte, n)...)
	for i := range data {
		factor := rest[i]
		for j, coefficient := range generator {
			rest[i+j] ^= gfMul(factor, coefficient)
		}
	}
	return rest[len(data):]
}

// gfMul multiplies in GF(256) modulo x^8+x^4+x^3+x^2+1.
func gfMul(a, b byte) (product byte) {
	for ; b != 0; b >>= 1 {
		product ^= a * (b & 1)
		a = a<<1 ^ a>>7*0x1d
	}
	return product
}

// bchCode returns the value followed by its remainder modulo the generator (annexes C and D).
func bchCode(value, generator uint) uint {
	n := bits.Len(generator) - 1
	rest := value << n
	for bits.Len(rest) > n {
		rest ^= generator << (bits.Len(rest) - n - 1)
	}
	return value<<n | rest
}

// newQRCode returns a symbol with everything that does not depend on the text (section 6.3). The modules of the
// format information are reserved.
func newQRCode(version int) *qrCode {
	q := &qrCode{size: 17 + 4*version}
	last := q.size - 7
	for _, at := range [][2]int{{0, 0}, {0, last}, {last, 0}} { // finder patterns with their separators
		q.drawRings(at[0]+3, at[1]+3, 4, 0b01011)
	}
	centres := qrAlignment[version-1]
	for _, row := range centres {
		for _, column := range centres {
			if !q.function[row][column] { // not in the corner of a finder pattern
				q.drawRings(row, column, 2, 0b101)
			}
		}
	}
	for i := 8; i < last-1; i++ { // timing patterns, over the alignment patterns that they cross
		q.set(6, i, uint(1-i%2))
		q.set(i, 6, uint(1-i%2))
	}
	q.drawFormat(0)
	if version >= 7 {
		code := bchCode(uint(version), 0b1111100100101) // version information, twice (section 7.10)
		for i := range 18 {
			q.set(i/3, q.size-11+i%3, code>>i)
			q.set(q.size-11+i%3, i/3, code>>i)
		}
	}
	return q
}

// set draws a module of a function pattern in the colour of the lowest bit. Outside the symbol it does nothing.
func (q *qrCode) set(row, column int, bits uint) {
	if min(row, column) >= 0 && max(row, column) < q.size {
		q.dark[row][column], q.function[row][column] = bits&1, true
	}
}

// drawRings draws concentric squares. Bit i of dark is the colour of the ring at distance i from the centre.
func (q *qrCode) drawRings(row, column, radius int, dark uint) {
	for y := -radius; y <= radius; y++ {
		for x := -radius; x <= radius; x++ {
			q.set(row+y, column+x, dark>>max(y, -y, x, -x))
		}
	}
}

// drawFormat draws the format information twice, and the module that is always dark (section 7.9.1, figure 25).
func (q *qrCode) drawFormat(pattern uint) {
	code := bchCode(qrLevelL<<3|pattern, 0b10100110111) ^ 0b101010000010010
	near := [...]int{0, 1, 2, 3, 4, 5, 7, 8} // around the upper left finder pattern, without the timing pattern's 6
	for i := range 8 {
		q.set(near[i], 8, code>>i)
		q.set(8, q.size-1-i, code>>i)
		q.set(8, near[i], code>>(14-i))
		q.set(q.size-1-i, 8, code>>(14-i))
	}
	q.set(q.size-8, 8, 1)
}

// place puts the codewords into the free modules, most significant bit first, in columns of two from the right,
// alternately upwards and downwards (section 7.7.3). It masks them with a pattern, which the format information
// names. Remainder bits are 0.
func (q *qrCode) place(codewords []byte, pattern uint) {
	bit, up := 0, true
	for right := q.size - 1; right > 0; right -= 2 {
		if right == 6 { // the column of the timing pattern
			right--
		}
		for i := range 2 * q.size {
			row, column := i/2, right-i%2
			if up {
				row = q.size - 1 - row
			}
			if q.function[row][column] {
				continue
			}
			if bit < 8*len(codewords) {
				q.dark[row][column] = uint(codewords[bit/8]) >> (7 - bit%8) & 1
				bit++
			}
			if qrMasked(pattern, row, column) {
				q.dark[row][column] ^= 1
			}
		}
		up = !up
	}
	q.drawFormat(pattern)
}

// qrMasked reports whether a pattern inverts the data module at row i and column j (table 10).
func qrMasked(pattern uint, i, j int) bool {
	sum, product := i+j, i*j
	conditions := [...]int{sum % 2, i % 2, j % 3, sum % 3, (i/2 + j/3) % 2, product%2 + product%3,
		(product%2 + product%3) % 2, (sum%2 + product%3) % 2}
	return conditions[pattern] == 0
}

// penalty returns the score of section 7.8.3.1: 3 for a run of five in a row or column and 1 for each further
// module, 40 for what looks like a finder pattern, 3 for a square of four, 10 for every 5 % that the dark
// modules differ from half.
func (q *qrCode) penalty() (score int) {
	total := 0
	for i := range q.size {
		var run, window [2]uint // in row i and in column i
		for j := range q.size {
			for k, dark := range [...]uint{q.dark[i][j], q.dark[j][i]} {
				if run[k]++; j > 0 && dark != window[k]&1 {
					run[k] = 1
				}
				if run[k] == 5 {
					score += 3
				} else if run[k] > 5 {
					score++
				}
				window[k] = window[k]<<1&0b11111111111 | dark
				if j >= 10 && (window[k] == 0b00001011101 || window[k] == 0b10111010000) {
					score += 40
				}
			}
			total += int(q.dark[i][j])
			if i > 0 && j > 0 && (q.dark[i][j]+q.dark[i-1][j]+q.dark[i][j-1]+q.dark[i-1][j-1])%4 == 0 {
				score += 3
			}
		}
	}
	off := 100*total - 50*q.size*q.size // in percent of all modules
	return score + 10*(max(off, -off)/(5*q.size*q.size))
}

// draw returns the symbol with its quiet zone, two rows of modules in a line. Black and white are taken from the
// 256-colour palette, because themes change the first eight colours. Without colours the light modules are drawn,
// because most terminals are dark.
func (q *qrCode) draw(colours bool) string {
	blackOnWhite, reset, glyphs := "\x1b[38;5;16;48;5;231m", "\x1b[0m", [...]string{" ", "▄", "▀", "█"}
	if !colours {
		blackOnWhite, reset, glyphs = "", "", [...]string{"█", "▀", "▄", " "}
	}
	dark := func(row, column int) uint {
		if min(row, column) < 0 || max(row, column) >= q.size {
			return 0
		}
		return q.dark[row][column]
	}
	var b strings.Builder
	for row := -qrQuiet; row < q.size+qrQuiet; row += 2 {
		b.WriteString(blackOnWhite)
		for column := -qrQuiet; column < q.size+qrQuiet; column++ {
			b.WriteString(glyphs[2*dark(row, column)+dark(row+1, column)])
		}
		b.WriteString(reset + "\n")
	}
	return b.String()
}

// showQR draws the URL if w is a terminal that is wide enough and, by its locale, shows UTF-8.
func showQR(w *os.File, url string) {
	columns, _, err := term.GetSize(int(w.Fd()))
	// POSIX XBD section 8.2
	locale := strings.ToLower(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")))
	unicode := strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
	if err != nil || !unicode || os.Getenv("TERM") == "dumb" {
		return
	}
	if q := encodeQR(url); q != nil && q.size+2*qrQuiet <= columns {
		fmt.Fprintf(w, "Alternatively you can use the following QR code to visit the above listed URL.\n\n%s\n",
			q.draw(os.Getenv("NO_COLOR") == "")) // https://no-color.org
	}
}
