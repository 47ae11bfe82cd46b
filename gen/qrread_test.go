package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A reader of undamaged symbols, written after the standard. It shares only the table of capacities with the encoder,
// which TestQRVersion compares with the published one.

// qrTotal is the number of codewords in a symbol, from version 1 (ISO/IEC 18004:2015 table 1).
var qrTotal = [...]int{26, 44, 70, 100, 134, 172, 196, 242, 292, 346}

// readQR checks everything that an undamaged symbol must have and returns its text.
func readQR(dark [][]bool) (string, error) {
	size := len(dark)
	version := (size - 17) / 4
	if size != 17+4*version || version < 1 || version > len(qrTotal) {
		return "", fmt.Errorf("%d modules on a side", size)
	}
	if err := checkPatterns(dark, version); err != nil {
		return "", err
	}
	pattern, err := readFormat(dark)
	if err != nil {
		return "", err
	}
	codewords := readCodewords(dark, version, pattern)
	if len(codewords) != qrTotal[version-1] {
		return "", fmt.Errorf("%d codewords, want %d", len(codewords), qrTotal[version-1])
	}
	data, err := readBlocks(codewords, qrCapacities[version-1])
	if err != nil {
		return "", err
	}
	return readBytes(data, version)
}

// formatBits reads both copies, most significant bit first.
func formatBits(dark [][]bool) [2]string {
	size := len(dark)
	var bits [2]string
	for _, column := range []int{0, 1, 2, 3, 4, 5, 7, 8} {
		bits[0] += string("01"[boolBit(dark[8][column])])
	}
	for _, row := range []int{7, 5, 4, 3, 2, 1, 0} {
		bits[0] += string("01"[boolBit(dark[row][8])])
	}
	for row := size - 1; row > size-8; row-- {
		bits[1] += string("01"[boolBit(dark[row][8])])
	}
	for column := size - 8; column < size; column++ {
		bits[1] += string("01"[boolBit(dark[8][column])])
	}
	return bits
}

// versionBits reads both copies, most significant bit first.
func versionBits(dark [][]bool) (bits [2]string) {
	size := len(dark)
	for long := 5; long >= 0; long-- {
		for short := size - 9; short > size-12; short-- {
			bits[0] += string("01"[boolBit(dark[long][short])])
			bits[1] += string("01"[boolBit(dark[short][long])])
		}
	}
	return bits
}

func readFormat(dark [][]bool) (pattern int, err error) {
	bits := formatBits(dark)
	pattern = slices.Index(qrFormats, bits[0])
	if bits[0] != bits[1] || pattern < 0 {
		err = fmt.Errorf("format information %s and %s", bits[0], bits[1])
	}
	return pattern, err
}

// patternAt compares rows, in which # is dark and . is light, with the modules to the right of and below a corner.
func patternAt(dark [][]bool, row, column int, rows ...string) error {
	for i, want := range rows {
		for j, c := range want {
			if dark[row+i][column+j] != (c == '#') {
				return fmt.Errorf("module %d, %d is not %c", row+i, column+j, c)
			}
		}
	}
	return nil
}

func checkPatterns(dark [][]bool, version int) error {
	size := len(dark)
	const separator = "........"
	upperLeft, upperRight, lowerLeft := []string{}, []string{}, []string{separator}
	for _, row := range []string{"#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"} {
		upperLeft, upperRight, lowerLeft = append(upperLeft, row+"."), append(upperRight, "."+row), append(lowerLeft, row+".")
	}
	err := errors.Join(
		patternAt(dark, 0, 0, append(upperLeft, separator)...),
		patternAt(dark, 0, size-8, append(upperRight, separator)...),
		patternAt(dark, size-8, 0, lowerLeft...),
		patternAt(dark, size-8, 8, "#"))
	for i := 8; i < size-8; i++ {
		want := ".#"[(i+1)%2]
		err = errors.Join(err, patternAt(dark, 6, i, string(want)), patternAt(dark, i, 6, string(want)))
	}
	for _, centre := range alignmentCentres(version) {
		err = errors.Join(err, patternAt(dark, centre[0]-2, centre[1]-2, "#####", "#...#", "#.#.#", "#...#", "#####"))
	}
	if bits := versionBits(dark); version >= 7 && (bits[0] != qrVersions[version] || bits[1] != bits[0]) {
		err = errors.Join(err, fmt.Errorf("version information %s and %s", bits[0], bits[1]))
	}
	return err
}

// alignmentCentres: up to version 6 there is one; from 7 to 10 there are six (annex E).
func alignmentCentres(version int) [][2]int {
	last := 10 + 4*version
	middle := last/2 + 3
	switch {
	case version == 1:
		return nil
	case version < 7:
		return [][2]int{{last, last}}
	}
	return [][2]int{{6, middle}, {middle, 6}, {middle, middle}, {middle, last}, {last, middle}, {last, last}}
}

// isData reports whether a module belongs to the encoding region.
func isData(row, column, version int) bool {
	size := 17 + 4*version
	if row == 6 || column == 6 || row < 9 && column < 9 || row < 9 && column >= size-8 || row >= size-8 && column < 9 {
		return false
	}
	if version >= 7 && (row < 6 && column >= size-11 || column < 6 && row >= size-11) {
		return false
	}
	for _, centre := range alignmentCentres(version) {
		if max(row-centre[0], centre[0]-row, column-centre[1], centre[1]-column) <= 2 {
			return false
		}
	}
	return true
}

// readCodewords reads the codewords and removes their mask.
func readCodewords(dark [][]bool, version, pattern int) []byte {
	size := len(dark)
	rights := []int{5, 3, 1} // the right one of each two columns; column 6 is in none
	for right := 8; right < size; right += 2 {
		rights = slices.Insert(rights, 0, right)
	}
	var bits []bool
	for n, right := range rights {
		for step := range 2 * size {
			row, column := step/2, right-step%2
			if n%2 == 0 {
				row = size - 1 - row
			}
			if isData(row, column, version) {
				bits = append(bits, dark[row][column] != isMasked(pattern, row, column))
			}
		}
	}
	codewords := make([]byte, len(bits)/8)
	for i := range codewords {
		for _, bit := range bits[8*i : 8*i+8] {
			codewords[i] = codewords[i]<<1 | byte(boolBit(bit))
		}
	}
	return codewords
}

func isMasked(pattern, i, j int) bool {
	return [...]int{(i + j) % 2, i % 2, j % 3, (i + j) % 3, (i/2 + j/3) % 2, (i*j)%2 + (i*j)%3,
		((i*j)%2 + (i*j)%3) % 2, ((i+j)%2 + (i*j)%3) % 2}[pattern] == 0
}

// readBlocks undoes the interleaving and checks that each block is a codeword of the Reed-Solomon code: its
// polynomial is 0 at the first powers of 2.
func readBlocks(codewords []byte, c qrCapacity) (data []byte, err error) {
	blocks := make([][]byte, c.blocks)
	short := c.data / c.blocks
	longFrom := c.blocks - c.data%c.blocks
	next := 0
	take := func(block int) {
		blocks[block] = append(blocks[block], codewords[next])
		next++
	}
	for i := range short + 1 {
		for block := range blocks {
			if i < short || block >= longFrom {
				take(block)
			}
		}
	}
	for range c.correction {
		for block := range blocks {
			take(block)
		}
	}
	if next != len(codewords) {
		return nil, fmt.Errorf("%d codewords in blocks, %d in the symbol", next, len(codewords))
	}
	for _, block := range blocks {
		for power := range c.correction {
			if sum := evaluate(block, power); sum != 0 {
				return nil, fmt.Errorf("syndrome %d is %#x", power, sum)
			}
		}
		data = append(data, block[:len(block)-c.correction]...)
	}
	return data, nil
}

// evaluate returns the polynomial's value at 2 to the power, by logarithms.
func evaluate(coefficients []byte, power int) (sum byte) {
	var exp [255]byte
	var log [256]int
	for i, x := 0, 1; i < 255; i++ {
		exp[i], log[x] = byte(x), i
		if x <<= 1; x > 255 {
			x ^= 0x11d
		}
	}
	for _, c := range coefficients {
		if sum != 0 {
			sum = exp[(log[sum]+power)%255]
		}
		sum ^= c
	}
	return sum
}

// readBytes reads one segment in byte mode, its terminator and the padding.
func readBytes(data []byte, version int) (string, error) {
	var bits strings.Builder
	for _, b := range data {
		fmt.Fprintf(&bits, "%08b", b)
	}
	rest := bits.String()
	number := func(n int) (value int) {
		fmt.Sscanf(rest[:n], "%b", &value)
		rest = rest[n:]
		return value
	}
	mode, countBits := number(4), 8
	if version > 9 {
		countBits = 16
	}
	var text []byte
	for range number(countBits) {
		text = append(text, byte(number(8)))
	}
	padding := strings.Repeat("1110110000010001", len(data))
	if mode != 4 || number(4) != 0 || rest != padding[:len(rest)] {
		return "", fmt.Errorf("mode %d, text %q, padding %s", mode, text, rest)
	}
	return string(text), nil
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}
