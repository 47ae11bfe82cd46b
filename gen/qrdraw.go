package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

const qrQuiet = 4 // modules around the symbol, section 6.3.8

// width is the number of terminal columns that draw takes.
func (q *qrCode) width() int { return q.size + 2*qrQuiet }

// draw shows the symbol with its quiet zone, two rows of modules in a line. Black and white are those of the
// 256-colour palette: the first eight colours are what the user's theme makes of them, and a light theme swaps them.
// Without colours what is light is drawn, for most terminals are dark.
func (q *qrCode) draw(colours bool) string {
	blackOnWhite, reset, glyphs := "\x1b[38;5;16;48;5;231m", "\x1b[0m", [...]string{" ", "▄", "▀", "█"}
	if !colours {
		blackOnWhite, reset, glyphs = "", "", [...]string{"█", "▀", "▄", " "}
	}
	isDark := func(row, column int) int {
		return boolBit(min(row, column) >= 0 && max(row, column) < q.size && q.dark[row][column])
	}
	var b strings.Builder
	for row := -qrQuiet; row < q.size+qrQuiet; row += 2 {
		b.WriteString(blackOnWhite)
		for column := -qrQuiet; column < q.size+qrQuiet; column++ {
			b.WriteString(glyphs[2*isDark(row, column)+isDark(row+1, column)])
		}
		b.WriteString(reset + "\n")
	}
	return b.String()
}

// showQR draws the URL where that can be seen: on a terminal that is wide enough and shows UTF-8. The URL itself is to
// be shown in any case.
func showQR(w *os.File, url string) {
	columns, _, err := term.GetSize(int(w.Fd()))
	if err != nil || !showsUTF8(os.Getenv("LC_ALL"), os.Getenv("LC_CTYPE"), os.Getenv("LANG")) || os.Getenv("TERM") == "dumb" {
		return
	}
	if q := encodeQR(url); q != nil && q.width() <= columns {
		fmt.Fprintf(w, "Alternatively you can use the following QR code to visit the above listed URL.\n\n%s\n",
			q.draw(os.Getenv("NO_COLOR") == "")) // https://no-color.org
	}
}

// showsUTF8 asks the locale: the first of these variables that is not empty decides (POSIX XBD section 8.2).
func showsUTF8(all, ctype, lang string) bool {
	locale := strings.ToLower(cmp.Or(all, ctype, lang))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}
