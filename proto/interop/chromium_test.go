package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// chromium is a real browser with a user, who acts on what the page says. It runs
// browser.mjs.
type chromium struct {
	t        *testing.T
	keyboard bool // the user has no mouse
	in       io.Writer
	out      *bufio.Reader
	seen     view
}

// A view is a page as its user sees it.
type view struct {
	URL, Title, Text string
	Focus            string   // name of the element with the focus
	Checked          bool     // state of that element
	Wider            int      // pixels to scroll sideways
	Hosts            []string // that all pages connected to
	Complaints       []string
	Error            string
}

func startChromium(t *testing.T, keyboard bool, args ...string) *chromium {
	t.Helper()
	cmd := exec.Command("node", append([]string{"browser.mjs"}, args...)...)
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("node drives the browser: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("browser.mjs (Debian's chromium? npm ci?): %v\n%s", err, stderr)
		}
	})
	return &chromium{t: t, keyboard: keyboard, in: in, out: bufio.NewReader(out)}
}

// order does one thing and returns the page.
func (c *chromium) order(order map[string]string) {
	c.t.Helper()
	if err := json.NewEncoder(c.in).Encode(order); err != nil {
		c.t.Fatalf("the browser has gone: %v", err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("the browser has gone: %v", err)
	}
	c.seen = view{}
	if err := json.Unmarshal(line, &c.seen); err != nil {
		c.t.Fatalf("%v: %s", err, line)
	}
	if c.seen.Error != "" {
		c.t.Fatalf("%v at %s: %s", order, c.seen.URL, c.seen.Error)
	}
	if c.seen.Wider > 0 {
		c.t.Errorf("%s is %d pixels wider than the screen", c.seen.Title, c.seen.Wider)
	}
	if len(c.seen.Complaints) > 0 {
		c.t.Errorf("%s: the console says %q", c.seen.Title, c.seen.Complaints)
	}
	for _, h := range c.seen.Hosts {
		if name, _, _ := strings.Cut(h, ":"); name != "127.0.0.1" && name != "localhost" {
			c.t.Errorf("%s loads something from %s", c.seen.Title, h)
		}
	}
}

// open opens a URL and waits for a page with the text until.
func (c *chromium) open(address, until string) {
	c.t.Helper()
	c.order(map[string]string{"goto": address, "until": until})
}

// tabTo presses Tab until the element of that name has the focus.
func (c *chromium) tabTo(name string) {
	c.t.Helper()
	for range 60 {
		if c.seen.Focus == name {
			return
		}
		c.order(map[string]string{"press": "Tab"})
	}
	c.t.Fatalf("%s: the keyboard does not reach %q", c.seen.Title, name)
}

// use presses a button or follows a link, and waits for a page with the text until.
func (c *chromium) use(name, until string) {
	c.t.Helper()
	if c.keyboard {
		c.tabTo(name)
		c.order(map[string]string{"press": "Enter", "until": until})
		return
	}
	c.order(map[string]string{"click": name, "until": until})
}

// fill types into an empty field.
func (c *chromium) fill(name, text string) {
	c.t.Helper()
	if c.keyboard {
		c.tabTo(name)
	} else {
		c.order(map[string]string{"click": name})
	}
	c.order(map[string]string{"type": text})
}

// tick marks a box that was empty.
func (c *chromium) tick(name string) {
	c.t.Helper()
	if c.keyboard {
		c.tabTo(name)
		c.order(map[string]string{"press": "Space"})
	} else {
		c.order(map[string]string{"click": name})
	}
	if c.seen.Focus != name || !c.seen.Checked {
		c.t.Fatalf("%s: %q is not ticked", c.seen.Title, name)
	}
}

func (c *chromium) signIn(until string) {
	c.t.Helper()
	c.fill("Username", "alice")
	c.fill("Password", "alice")
	c.use("Sign in", until)
}

// below returns the line after another one on the page.
func (c *chromium) below(line string) string {
	c.t.Helper()
	_, rest, ok := strings.Cut(c.seen.Text, line)
	if !ok {
		c.t.Fatalf("%s does not say %q: %s", c.seen.Title, line, c.seen.Text)
	}
	next, _, _ := strings.Cut(strings.TrimLeft(rest, "\n"), "\n")
	return strings.TrimSpace(next)
}

// picture saves a screenshot, if a folder for them is set.
func (c *chromium) picture(name string) {
	c.t.Helper()
	if dir := os.Getenv("OIDC_AGENT_SCREENSHOTS"); dir != "" {
		c.order(map[string]string{"screenshot": filepath.Join(dir, name+".png")})
	}
}
