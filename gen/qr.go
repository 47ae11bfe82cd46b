package main

import (
	"math/bits"
	"slices"
)

// The QR code of the verification URL, for the phone that approves. Byte mode, versions 1 to 10, error correction level
// L: as much as a URL and a terminal of 80 columns need, and nothing dirties a screen. The terms and the sections are
// those of ISO/IEC 18004:2015.

const (
	qrMaxVersion = 10
	qrLevelL     = 0b01 // in the format information, table 12
	qrQuiet      = 4    // modules around the symbol, section 6.3.8
)

// qrCapacity is what a version holds, in codewords: all data, blocks, error correction per block.
type qrCapacity struct{ data, blocks, correction int }

// qrCapacities are those of level L, from version 1 (section 7.5.1, table 9).
var qrCapacities = [qrMaxVersion]qrCapacity{
	{19, 1, 7}, {34, 1, 10}, {55, 1, 15}, {80, 1, 20}, {108, 1, 26},
	{136, 2, 18}, {156, 2, 20}, {194, 2, 24}, {232, 2, 30}, {274, 4, 18},
}

// qrAlignment are the coordinates of the alignment patterns' centres (annex E), from version 1.
var qrAlignment = [qrMaxVersion][]int{nil, {6, 18}, {6, 22}, {6, 26}, {6, 30}, {6, 34}, {6, 22, 38}, {6, 24, 42}, {6, 26, 46}, {6, 28, 50}}

// qrCode is a symbol without its quiet zone. Modules are addressed by row and column.
type qrCode struct {
	version  int
	size     int      // modules on a side
	dark     [][]bool // [row][column]
	function [][]bool // where no data goes: patterns, format and version information
}

// encodeQR makes the smallest symbol that holds the text, nil where none does.
func encodeQR(text string) *qrCode {
	for i, capacity := range qrCapacities {
		if data, fits := qrData(text, i+1, capacity.data); fits {
			q := newQRCode(i + 1)
			q.drawPatterns()
			q.place(qrCodewords(data, capacity))
			q.chooseMask()
			return q
		}
	}
	return nil
}

// qrData is the text in byte mode, padded to size codewords (sections 7.4.5 and 7.4.10).
func qrData(text string, version, size int) (data []byte, fits bool) {
	head := []byte{byte(len(text))} // character count indicator: 8 bits up to version 9, then 16 (table 3)
	if version > 9 {
		head = []byte{byte(len(text) >> 8), byte(len(text))}
	}
	if 1+len(head)+len(text) > size { // mode and terminator are 4 bits each: one codeword
		return nil, false
	}
	nibble := byte(0b0100) // byte mode indicator (table 2); it shifts all that follows by half a codeword
	for _, b := range append(head, text...) {
		data = append(data, nibble<<4|b>>4)
		nibble = b & 0xf
	}
	data = append(data, nibble<<4) // the terminator is 0000
	for pad := byte(0b11101100); len(data) < size; pad ^= 0b11101100 ^ 0b00010001 {
		data = append(data, pad)
	}
	return data, true
}

// qrCodewords splits the data into blocks, the longer ones last, and interleaves them and their error correction
// codewords (section 7.6).
func qrCodewords(data []byte, c qrCapacity) []byte {
	var blocks, corrections [][]byte
	for i, rest := 0, data; i < c.blocks; i++ {
		n := len(rest) / (c.blocks - i)
		blocks = append(blocks, rest[:n])
		corrections = append(corrections, qrCorrection(rest[:n], c.correction))
		rest = rest[n:]
	}
	return append(interleave(blocks), interleave(corrections)...)
}

// interleave takes the first of each block, then the second of each, and so on. The last block is the longest.
func interleave(blocks [][]byte) (all []byte) {
	for i := range blocks[len(blocks)-1] {
		for _, block := range blocks {
			if i < len(block) {
				all = append(all, block[i])
			}
		}
	}
	return all
}

// qrCorrection is the remainder of the data polynomial after division by the generator polynomial, whose roots are
// the first n powers of 2 (section 7.5.2, annex A).
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
		if b&1 != 0 {
			product ^= a
		}
		overflow := a >> 7
		a = a<<1 ^ overflow*0x1d
	}
	return product
}

// bchCode is the value followed by its remainder modulo the generator (annexes C and D).
func bchCode(value, generator uint) uint {
	n := bits.Len(generator) - 1
	rest := value << n
	for bits.Len(rest) > n {
		rest ^= generator << (bits.Len(rest) - n - 1)
	}
	return value<<n | rest
}

func newQRCode(version int) *qrCode {
	q := &qrCode{version: version, size: 17 + 4*version}
	for range q.size {
		q.dark = append(q.dark, make([]bool, q.size))
		q.function = append(q.function, make([]bool, q.size))
	}
	return q
}

// set draws a module of a function pattern; outside the symbol it does nothing.
func (q *qrCode) set(row, column int, dark bool) {
	if min(row, column) >= 0 && max(row, column) < q.size {
		q.dark[row][column], q.function[row][column] = dark, true
	}
}

// drawPatterns draws all that does not depend on the text (section 6.3), and reserves the places of the format
// information.
func (q *qrCode) drawPatterns() {
	last := q.size - 7
	for _, at := range [][2]int{{0, 0}, {0, last}, {last, 0}} { // finder patterns with their separators
		q.drawRings(at[0]+3, at[1]+3, 4, 0b01011)
	}
	centres := qrAlignment[q.version-1]
	for _, row := range centres {
		for _, column := range centres {
			if !q.function[row][column] { // a finder pattern keeps its corner
				q.drawRings(row, column, 2, 0b101)
			}
		}
	}
	for i := 8; i < last-1; i++ { // timing patterns, after what they cross
		q.set(6, i, i%2 == 0)
		q.set(i, 6, i%2 == 0)
	}
	q.drawFormat(0)
	q.drawVersion()
}

// drawRings draws concentric squares. Bit i of dark is the colour of the ring at distance i from the centre.
func (q *qrCode) drawRings(row, column, radius int, dark uint) {
	for y := -radius; y <= radius; y++ {
		for x := -radius; x <= radius; x++ {
			q.set(row+y, column+x, dark>>max(y, -y, x, -x)&1 != 0)
		}
	}
}

// drawFormat draws the format information twice, and the module that is always dark (section 7.9.1, figure 25).
// value is the level indicator and the mask pattern reference.
func (q *qrCode) drawFormat(value uint) {
	code := bchCode(value, 0b10100110111) ^ 0b101010000010010
	near := [...]int{0, 1, 2, 3, 4, 5, 7, 8} // around the upper left finder pattern; 6 is the timing pattern's
	for i := range 15 {
		dark := code>>i&1 != 0
		if i < 8 {
			q.set(near[i], 8, dark)
			q.set(8, q.size-1-i, dark)
		} else {
			q.set(8, near[14-i], dark)
			q.set(q.size-15+i, 8, dark)
		}
	}
	q.set(q.size-8, 8, true)
}

// drawVersion draws the version information twice; versions below 7 have none (section 7.10).
func (q *qrCode) drawVersion() {
	if q.version < 7 {
		return
	}
	code := bchCode(uint(q.version), 0b1111100100101)
	for i := range 18 {
		dark := code>>i&1 != 0
		q.set(i/3, q.size-11+i%3, dark)
		q.set(q.size-11+i%3, i/3, dark)
	}
}

// place puts the codewords into the free modules, most significant bit first, in columns of two from the right, up
// and down in turn (section 7.7.3). Remainder bits stay light.
func (q *qrCode) place(codewords []byte) {
	bit, up := 0, true
	for right := q.size - 1; right > 0; right -= 2 {
		if right == 6 { // the timing pattern has this column for itself
			right--
		}
		for i := range q.size {
			row := i
			if up {
				row = q.size - 1 - i
			}
			for _, column := range [...]int{right, right - 1} {
				if !q.function[row][column] && bit < 8*len(codewords) {
					q.dark[row][column] = codewords[bit/8]>>(7-bit%8)&1 != 0
					bit++
				}
			}
		}
		up = !up
	}
}

// chooseMask applies the mask pattern with the lowest penalty, and says so in the format information (section 7.8).
func (q *qrCode) chooseMask() {
	apply := func(pattern uint) {
		q.mask(pattern)
		q.drawFormat(qrLevelL<<3 | pattern)
	}
	best, lowest := uint(0), 0
	for pattern := range uint(8) {
		apply(pattern)
		if penalty := q.penalty(); pattern == 0 || penalty < lowest {
			best, lowest = pattern, penalty
		}
		q.mask(pattern) // a second time takes it away
	}
	apply(best)
}

// mask inverts the data modules where the pattern's condition holds (table 10).
func (q *qrCode) mask(pattern uint) {
	conditions := [...]func(i, j int) bool{
		func(i, j int) bool { return (i+j)%2 == 0 },
		func(i, j int) bool { return i%2 == 0 },
		func(i, j int) bool { return j%3 == 0 },
		func(i, j int) bool { return (i+j)%3 == 0 },
		func(i, j int) bool { return (i/2+j/3)%2 == 0 },
		func(i, j int) bool { return i*j%2+i*j%3 == 0 },
		func(i, j int) bool { return (i*j%2+i*j%3)%2 == 0 },
		func(i, j int) bool { return ((i+j)%2+i*j%3)%2 == 0 },
	}
	for i := range q.size {
		for j := range q.size {
			if !q.function[i][j] && conditions[pattern](i, j) {
				q.dark[i][j] = !q.dark[i][j]
			}
		}
	}
}

// penalty is the score of section 7.8.3.1, with its weights 3, 3, 40 and 10.
func (q *qrCode) penalty() (score int) {
	total, column := 0, make([]bool, q.size)
	for i := range q.size {
		for j := range q.size {
			column[j] = q.dark[j][i]
			if q.dark[i][j] {
				total++
			}
			if i > 0 && j > 0 && q.dark[i][j] == q.dark[i-1][j] && q.dark[i][j] == q.dark[i][j-1] && q.dark[i][j] == q.dark[i-1][j-1] {
				score += 3
			}
		}
		score += linePenalty(q.dark[i]) + linePenalty(column)
	}
	off := 100*total - 50*q.size*q.size // from one half, in percent of all modules
	return score + 10*(max(off, -off)/(5*q.size*q.size))
}

// linePenalty is the part for one row or column: runs of five and more, and what looks like a finder pattern.
func linePenalty(line []bool) (score int) {
	run, window := 0, 0
	for i, dark := range line {
		if run++; i > 0 && dark != line[i-1] {
			run = 1
		}
		if run == 5 {
			score += 3
		} else if run > 5 {
			score++
		}
		window = window<<1&0b11111111111 | boolBit(dark)
		if i >= 10 && (window == 0b00001011101 || window == 0b10111010000) {
			score += 40
		}
	}
	return score
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}
