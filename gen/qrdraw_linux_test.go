package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestShowQR(t *testing.T) {
	url := qrURL(40)      // version 3: 29 modules, 37 columns
	type locale [3]string // LC_ALL, LC_CTYPE, LANG
	tests := []struct {
		name, url string
		locale    locale
		terminal  string
		columns   uint16
		want      bool
	}{
		{"wide enough", url, locale{"C.UTF-8"}, "xterm", 100, true},
		{"just wide enough", url, locale{"C.UTF-8"}, "xterm", 37, true},
		{"too narrow", url, locale{"C.UTF-8"}, "xterm", 36, false},
		{"no UTF-8", url, locale{"C", "en_US.UTF-8", "en_US.UTF-8"}, "xterm", 100, false},
		{"UTF-8 of LANG", url, locale{"", "", "C.utf8"}, "xterm", 100, true},
		{"UTF-8 of LC_CTYPE", url, locale{"", "en_US.UTF-8", "C"}, "xterm", 100, true},
		{"no UTF-8 of LC_CTYPE", url, locale{"", "POSIX", "en_US.UTF-8"}, "xterm", 100, false},
		{"no UTF-8 of LANG", url, locale{"", "", "de_DE@euro"}, "xterm", 100, false},
		{"no locale", url, locale{}, "xterm", 100, false},
		{"no colours", url, locale{"C.UTF-8"}, "dumb", 100, false},
		{"too long", qrURL(272), locale{"C.UTF-8"}, "xterm", 200, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, variable := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
				t.Setenv(variable, test.locale[i])
			}
			t.Setenv("TERM", test.terminal)
			shown := onTerminal(t, test.columns, func(f *os.File) { showQR(f, test.url) })
			if !test.want {
				if shown != "" {
					t.Errorf("shown is %q", shown)
				}
				return
			}
			const intro = "Alternatively you can use the following QR code to visit the above listed URL.\n\n"
			code, introduced := strings.CutPrefix(shown, intro)
			code, ended := strings.CutSuffix(code, "\n\n")
			if !introduced || !ended {
				t.Fatalf("shown is %q", shown)
			}
			pixels, err := seen(code + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readDrawn(pixels); err != nil || got != test.url {
				t.Errorf("read is %q, %v", got, err)
			}
		})
	}
}

// Without colours the light modules are drawn: inverted, it is the same symbol.
func TestShowQRWithoutColours(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "1")
	var code strings.Builder
	turned := strings.NewReplacer(" ", "█", "▀", "▄", "▄", "▀", "█", " ")
	for line := range strings.Lines(onTerminal(t, 100, func(f *os.File) { showQR(f, qrURL(40)) })) {
		if strings.Contains(line, "█") {
			code.WriteString("\x1b[38;5;16;48;5;231m" + turned.Replace(strings.TrimSuffix(line, "\n")) + "\x1b[0m\n")
		}
	}
	pixels, err := seen(code.String())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readDrawn(pixels); err != nil || got != qrURL(40) {
		t.Errorf("read is %q, %v", got, err)
	}
}

func TestShowQROnNoTerminal(t *testing.T) {
	t.Setenv("LC_ALL", "C.UTF-8")
	f, err := os.Create(t.TempDir() + "/output")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	showQR(f, qrURL(40))
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// onTerminal returns what do writes to a new terminal with this number of columns.
func onTerminal(t *testing.T, columns uint16, do func(*os.File)) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	shown := make(chan string)
	go func() {
		all, _ := io.ReadAll(master) // ends with EIO when the other side is closed
		shown <- string(all)
	}()
	do(slave)
	slave.Close()
	return strings.ReplaceAll(<-shown, "\r\n", "\n")
}
