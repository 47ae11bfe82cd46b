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
	url := qrURL(40) // version 3: 29 modules, 37 columns
	tests := []struct {
		name, url, locale, terminal string
		columns                     uint16
		want                        bool
	}{
		{"wide enough", url, "C.UTF-8", "xterm", 100, true},
		{"just wide enough", url, "C.UTF-8", "xterm", 37, true},
		{"too narrow", url, "C.UTF-8", "xterm", 36, false},
		{"no UTF-8", url, "C", "xterm", 100, false},
		{"no colours", url, "C.UTF-8", "dumb", 100, false},
		{"too long", qrURL(272), "C.UTF-8", "xterm", 200, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("LC_ALL", test.locale)
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

// Without colours light is drawn: turned round, it is the same code.
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

// onTerminal returns what do writes to a new terminal of that width.
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
