package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// width is the number of terminal columns that draw takes.
func (q *qrCode) width() int { return q.size + 2*qrQuiet }

// draw writes the symbol with its quiet zone, two rows of modules in a line. Black and white are those of the
// 256-colour palette: the first eight colours are what the user's theme makes of them, and a light theme swaps them.
// Without colours what is light is drawn, for most terminals are dark.
func (q *qrCode) draw(w io.Writer, colours bool) error {
	blackOnWhite, reset, glyphs := "\x1b[38;5;16;48;5;231m", "\x1b[0m", [...]string{" ", "▄", "▀", "█"}
	if !colours {
		blackOnWhite, reset, glyphs = "", "", [...]string{"█", "▀", "▄", " "}
	}
	isDark := func(row, column int) int {
		if min(row, column) < 0 || max(row, column) >= q.size {
			return 0
		}
		return boolBit(q.dark[row][column])
	}
	var b strings.Builder
	for row := -qrQuiet; row < q.size+qrQuiet; row += 2 {
		b.WriteString(blackOnWhite)
		for column := -qrQuiet; column < q.size+qrQuiet; column++ {
			b.WriteString(glyphs[2*isDark(row, column)+isDark(row+1, column)])
		}
		b.WriteString(reset + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// showQR draws the URL where that can be seen: on a terminal that is wide enough and shows UTF-8. It reports whether
// it did; the URL itself is to be shown in any case.
func showQR(w *os.File, url string) bool {
	columns, _, err := term.GetSize(int(w.Fd()))
	if err != nil || !showsUTF8(os.Getenv) || os.Getenv("TERM") == "dumb" {
		return false
	}
	q, err := encodeQR(url)
	if err != nil || q.width() > columns {
		return false
	}
	var b strings.Builder
	b.WriteString("Alternatively you can use the following QR code to visit the above listed URL.\n\n")
	q.draw(&b, os.Getenv("NO_COLOR") == "") // https://no-color.org
	b.WriteString("\n")
	_, err = io.WriteString(w, b.String())
	return err == nil
}

// showsUTF8 asks the locale: the first of these variables that is not empty decides (POSIX XBD section 8.2).
func showsUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return false
}
