package main

import (
	"bufio"
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// target is an agent in its own process, so that its descriptors and memory can be counted.
type target struct {
	testing.TB
	path string
	pid  int
}

// userHome is HOME before TestMain changes it.
var userHome = os.Getenv("HOME")

// newTarget builds the program without the race detector, which needs too much memory, starts an agent and loads the
// account "demo" of the world's provider.
func newTarget(w *world) target {
	w.Helper()
	program := filepath.Join(w.dir, programName)
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "HOME="+userHome, "CGO_ENABLED=0") // HOME has Go's caches
	if out, err := build.CombinedOutput(); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	x := target{TB: w.TB, path: filepath.Join(w.dir, "target")}
	cmd := exec.Command(program, "--console", "--socket-path="+x.path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			w.Errorf("the agent: %v", err)
		}
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		w.Fatal(err)
	}
	x.pid = cmd.Process.Pid
	x.ask(addRequest(w.account("demo"), ""))
	return x
}

// ask sends a request that must succeed before the agent gives up incomplete ones.
func (x target) ask(request *cjson.Object) {
	x.Helper()
	answer, err := ipc.Call(x.path, request, 8*time.Second)
	if err == nil {
		err = ipc.Check(answer)
	}
	if err != nil {
		x.Errorf("an honest client: %v", err)
	}
}

// files returns how many descriptors the agent has open.
func (x target) files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", x.pid))
	if err != nil {
		x.Fatal(err)
	}
	return len(entries)
}

// peak returns the agent's largest memory in KiB since the last call.
func (x target) peak() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", x.pid))
	if err == nil {
		err = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", x.pid), []byte("5"), 0)
	}
	if err != nil {
		x.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		x.Fatal(err)
	}
	return n
}

func (x target) dial() net.Conn {
	conn, err := net.Dial("unix", x.path)
	if err != nil {
		x.Fatal(err)
	}
	return conn
}

// hold opens n connections as fast as it can, writes to each, and returns a function that closes them. Whenever the
// agent's queue is full, an honest client asks first.
func (x target) hold(n int, text string) (release func()) {
	fds := make([]int, 0, n)
	for len(fds) < n {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err == nil {
			err = syscall.SetNonblock(fd, true)
		}
		if err != nil {
			x.Fatal(err)
		}
		switch err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: x.path}); err {
		case nil:
			fds = append(fds, fd)
			syscall.Write(fd, []byte(text))
		case syscall.EAGAIN:
			syscall.Close(fd)
			if len(fds) < 200 {
				x.Error("a queue of 200 is too long")
			}
			x.ask(ipc.Request(ipc.RequestCheck))
		default:
			x.Fatal(err)
		}
	}
	return func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}
}

// flood writes endlessly from several clients at once, after an exchange of keys if there is one, until each is
// told that the message is too long.
func (x target) flood(clients int, key, begin, more string) (release func()) {
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			conn := x.dial()
			defer conn.Close()
			piece := []byte(strings.Repeat(more, 1<<16/len(more)))
			_, err := io.WriteString(conn, key)
			if err == nil {
				_, err = io.ReadFull(conn, make([]byte, len(key))) // the agent's
			}
			if err == nil {
				_, err = io.WriteString(conn, begin)
			}
			for n := 0; err == nil && n < 100<<20; n += len(piece) {
				_, err = conn.Write(piece)
			}
			if err == nil {
				x.Error("100 MB were read")
			}
			if answer, err := ipc.Answer(conn); err != nil || ipc.Check(answer) == nil {
				x.Errorf("a flood is answered with %v", err)
			}
		})
	}
	return all.Wait
}

// vanish sends requests and closes the connections without waiting for the answers.
func (x target) vanish() {
	for range 500 {
		conn := x.dial()
		io.WriteString(conn, cachedRequest)
		conn.Close()
	}
}

// trickle sends a request byte by byte, with a request of an honest client in between.
func (x target) trickle(text string) {
	conn := x.dial()
	defer conn.Close()
	for i := range len(text) {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			x.Fatal(err)
		}
		x.ask(tokenFor("demo"))
	}
	if answer, err := ipc.Answer(conn); err != nil || ipc.Check(answer) != nil {
		x.Errorf("in single bytes: %v", err)
	}
}

// publicKey returns the first message of an encrypted connection.
func publicKey(t testing.TB) string {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes())
}

// Whatever clients do, the agent answers the others, uses little memory, and leaks no descriptors.
func TestStorm(t *testing.T) {
	t.Parallel()
	const memory = 64 << 10 // KiB
	root := asRoot(t)       // may inspect a process that is not dumpable
	x := newTarget(newWorld(t, iam.Settings{}))
	key := publicKey(t)
	half := `{"request":"` + strings.Repeat("x", 3000)
	for _, storm := range []struct {
		name  string
		begin func() (release func())
	}{
		{"500 say nothing", func() func() { return x.hold(500, "") }},
		{"1100 say nothing", func() func() { return x.hold(1100, "") }},
		{"5000 say nothing", func() func() { return x.hold(5000, "") }},
		{"more than there is room for", func() func() { return x.hold(maxConnections+1000, "") }},
		{"5000 halves", func() func() { return x.hold(5000, half) }},
		{"1000 keys", func() func() { return x.hold(1000, key) }},
		{"halves of 200 kB", func() func() { return x.hold(500, `{"a":"`+strings.Repeat("x", 200_000)) }},
		{"halves of 20 kB", func() func() { return x.hold(1900, `{"a":"`+strings.Repeat("x", 20_000)) }},
		{"100 MB", func() func() { return x.flood(30, "", `{"a":"`, "x") }},
		{"100 MB encrypted", func() func() { return x.flood(30, key, "1048576:", "A") }},
		{"vanish", func() func() { x.vanish(); return func() {} }},
		{"byte by byte", func() func() { x.trickle(cachedRequest); return func() {} }},
	} {
		files := 0
		if root {
			files = x.files()
		}
		release := storm.begin()
		for range 50 {
			x.ask(tokenFor("demo"))
		}
		release()
		if !root {
			continue
		}
		for deadline := time.Now().Add(20 * time.Second); x.files() > files && time.Now().Before(deadline); {
			x.ask(ipc.Request(ipc.RequestCheck))
		}
		if now := x.files(); now > files {
			t.Errorf("%s: %d files are open, %d were before", storm.name, now, files)
		}
		if now := x.peak(); now > memory {
			t.Errorf("%s: %d KiB of memory", storm.name, now)
		}
	}
}

// Input that cannot become a request is answered with a failure at once, long before the deadline for a request.
func TestStormGarbage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	path := w.serve()
	key := publicKey(t)
	nonce := strings.Repeat("A", 32)
	for _, c := range []struct {
		name, send string
		half       bool // the client closes its side afterwards
		encrypted  bool
	}{
		{"a word", "hello\n", false, false},
		{"a word without an end", "hello", true, false},
		{"an array", "[1]", false, false},
		{"NUL", "\x00", true, false},
		{"a key of nothing", strings.Repeat(" ", 100) + "=", false, false},
		{"NUL and a word", "\x00\x00-", false, false},
		{"nesting", strings.Repeat(`{"a":`, 100_000), false, false},
		{"nested arrays", `{"a":` + strings.Repeat(`[`, 100_000), false, false},
		{"an object without an end", `{"request":"check"`, true, false},
		{"a string without an end", `{"request":"check}`, true, false},
		{"no JSON", `{"request" "check"}`, false, false},
		{"nobody knows it", `{"request":"%s%n"}`, false, false},
		{"half a key", key[:20], true, false},
		{"a huge frame", "9999999999:" + nonce + ":AAAA", false, true},
		{"a negative frame", "-5:" + nonce + ":AAAA", false, true},
		{"half a frame", "19:AAAA", true, true},
		{"no frame", "hello", false, true},
	} {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second)) // the agent waits 10 s for a request
		if c.encrypted {
			io.WriteString(conn, key)
			if _, err := io.ReadFull(conn, make([]byte, len(key))); err != nil {
				t.Errorf("%s: no key: %v", c.name, err)
			}
		}
		io.WriteString(conn, c.send) // it may be refused in the middle
		if c.half {
			conn.CloseWrite()
		}
		var text bytes.Buffer
		_, err = text.ReadFrom(conn)
		answer, broken := cjson.Parse(text.Bytes())
		if err != nil && err.(net.Error).Timeout() || broken != nil || answer.Text(ipc.KeyStatus) != ipc.StatusFailure {
			t.Errorf("%s: answered %q, %v", c.name, &text, err)
		}
		conn.Close()
	}
}
