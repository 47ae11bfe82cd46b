package ipc

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
)

// listen opens a socket and calls serve for each connection.
func listen(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer conn.Close(); serve(conn) }()
		}
	}()
	return path
}

// How long to wait for what must happen soon, and for what must never happen.
const (
	soon  = 20 * time.Second
	never = 30 * time.Millisecond
)

func TestCall(t *testing.T) {
	t.Parallel()
	check := Request(RequestCheck)
	for _, c := range []struct {
		name, answer, want string
		err                string
	}{
		{"success", `{"status":"success"}`, `{"status":"success"}`, ""},
		{"raw line feeds", "{\"info\":\"a\n\tb\"}", "{\"info\":\"a\n\tb\"}", ""},
		{"blanks around", " {\"status\":\"success\"} \n\x00", `{"status":"success"}`, ""},
		{"a whole number of pages", `{"info":"` + strings.Repeat("x", 3*4096-11) + `"}`, `{"info":"` + strings.Repeat("x", 3*4096-11) + `"}`, ""},
		{"nothing", "", "", ErrNoAnswer.Error()},
		{"one blank", " ", "", BadAnswer("it ends too early").Error()},
		{"cut", `{"status":"succ`, "", BadAnswer("it ends too early").Error()},
		{"a public key", "VxR2nRFr92Q2rnS8eT0sMK0ZA8WaxSc4BcfiaYtBDDY=", "", BadAnswer("malformed JSON at byte 0: object expected").Error()},
		{"braces but no JSON", `{status}`, "", BadAnswer("malformed JSON at byte 1: string expected").Error()},
	} {
		path := listen(t, func(conn net.Conn) {
			// A C agent reads only once.
			if n, err := conn.Read(make([]byte, 1000)); n != len(`{"request":"check"}`) || err != nil {
				t.Errorf("%s: the agent read %d bytes, error %v", c.name, n, err)
			}
			for _, b := range []byte(c.answer) {
				conn.Write([]byte{b})
			}
		})
		got, err := Call(path, check, soon)
		if (err == nil) != (c.err == "") || err != nil && !strings.HasSuffix(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.err)
			continue
		}
		if err == nil && string(got.Compact()) != string(parse(t, c.want).Compact()) {
			t.Errorf("%s: got %s, want %s", c.name, got.Compact(), c.want)
		}
	}
}

func TestCallLargeBothWays(t *testing.T) {
	t.Parallel()
	path := listen(t, func(conn net.Conn) {
		request, err := ReadObject(conn, nil, MaxMessage)
		if err != nil {
			t.Error(err)
		}
		conn.Write([]byte(`{"data":"` + strings.Repeat("y", 15<<20) + `","length":`))
		conn.Write(append(cjson.New().SetInt("n", int64(len(request))).Compact(), '}'))
	})
	request := cjson.New().SetText("data", strings.Repeat("x", MaxMessage-11))
	got, err := Call(path, request, soon)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := got.Object("length").Int("n"); n != MaxMessage || len(got.Text("data")) != 15<<20 {
		t.Errorf("the agent read %d bytes and answered %d", n, len(got.Text("data")))
	}
}

func TestCallTooLargeAnswer(t *testing.T) {
	t.Parallel()
	path := listen(t, func(conn net.Conn) { io.Copy(conn, io.MultiReader(strings.NewReader(`{"a":"`), endless('x'))) })
	_, err := Call(path, Request(RequestCheck), soon)
	if err != AnswerError(TooLong(MaxAnswer)) {
		t.Errorf("got %v", err)
	}
}

// The answer of an agent that refuses a message before it has read all of it is not lost, although the write fails.
func TestCallRefusedEarly(t *testing.T) {
	t.Parallel()
	path := listen(t, func(conn net.Conn) {
		conn.Read(make([]byte, 1))
		conn.Write([]byte(`{"status":"failure","error":"too large"}`))
	})
	answer, err := Call(path, cjson.New().SetText("data", strings.Repeat("x", 4<<20)), soon)
	if err != nil || answer.Text(KeyError) != "too large" {
		t.Errorf("got %v", err)
	}
	path = listen(t, func(conn net.Conn) { conn.Read(make([]byte, 1)) })
	if _, err = Call(path, Request(RequestCheck), soon); !errors.Is(err, ErrNoAnswer) { // ECONNRESET
		t.Errorf("an agent that closes while the request is sent: got %v", err)
	}
	path = listen(t, func(conn net.Conn) {})
	if _, err = Call(path, cjson.New().SetText("data", strings.Repeat("x", 4<<20)), soon); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("an agent that closes at once: got %v", err)
	}
}

func TestCallDeadline(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	path := listen(t, func(conn net.Conn) { <-over })
	defer close(over)
	if _, err := Call(path, Request(RequestCheck), never); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no answer: got %v", err)
	}
	if _, err := Call(path, cjson.New().SetText("data", strings.Repeat("x", 4<<20)), never); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("request not taken: got %v", err)
	}
}

// While the agent's queue is full (EAGAIN), Call waits, but not longer than the deadline.
func TestCallQueueFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(listener)
	if err := errors.Join(syscall.Bind(listener, &syscall.SockaddrUnix{Name: path}), syscall.Listen(listener, 0)); err != nil {
		t.Fatal(err)
	}
	waiting := fillQueue(t, path)
	_, err = Call(path, Request(RequestCheck), never)
	var connect *ConnectError
	if !errors.As(err, &connect) || connect.Err != os.ErrDeadlineExceeded {
		t.Errorf("with %d in the queue: got %v", waiting, err)
	}
	go func() {
		for range waiting + 1 {
			conn, _, err := syscall.Accept(listener)
			if err != nil {
				t.Error(err)
				return
			}
			syscall.Write(conn, []byte(`{"status":"success"}`))
			defer syscall.Close(conn)
		}
	}()
	if _, err := Call(path, Request(RequestCheck), soon); err != nil {
		t.Errorf("when the queue moves: %v", err)
	}
}

// fillQueue connects until the queue is full, and returns the number of connections.
func fillQueue(t *testing.T, path string) int {
	for n := 0; ; n++ {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err == syscall.EAGAIN {
			return n
		} else if err != nil || n > 100 {
			t.Fatalf("connection %d: %v", n, err)
		}
	}
}

func TestConnectError(t *testing.T) {
	dir := t.TempDir()
	file, stale := filepath.Join(dir, "file"), filepath.Join(dir, "stale")
	if err := os.WriteFile(file, nil, 0600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	t.Setenv("TMPDIR", dir)
	t.Setenv(EnvSocket, "")
	for _, c := range []struct{ path, want string }{
		{SocketPath(), "OIDC_SOCK is not set, and there is no socket at the default place "},
		{filepath.Join(dir, "missing"), "there is no socket at "},
		{filepath.Join(file, "below"), "there is no socket at "},
		{stale, "nobody listens on its socket"},
		{file, "is not a socket"},
		{dir, "is not a socket"},
		{filepath.Join(dir, strings.Repeat("x", 120)), "the path of the socket is too long"},
	} {
		_, err := Call(c.path, Request(RequestCheck), soon)
		var connect *ConnectError
		if !errors.As(err, &connect) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: got %v, want ... %s ...", c.path, err, c.want)
		} else if connect.Hint() != startAgent {
			t.Errorf("%s: hint %q", c.path, connect.Hint())
		}
	}
	denied := &ConnectError{Path: stale, Err: syscall.EACCES} // root is never refused
	if !strings.Contains(denied.Error(), "no permission") || !errors.Is(denied, os.ErrPermission) || denied.Hint() == "" {
		t.Errorf("permission: %v, hint %q", denied, denied.Hint())
	}
}

func TestSocketPath(t *testing.T) {
	t.Setenv(EnvSocket, "/run/agent")
	t.Setenv("TMPDIR", "")
	if got := SocketPath(); got != "/run/agent" {
		t.Errorf("got %q", got)
	}
	t.Setenv(EnvSocket, "")
	if got := SocketPath(); !strings.HasPrefix(got, "/tmp/oidc-agent-service-") || !strings.HasSuffix(got, "/oidc-agent.sock") {
		t.Errorf("got %q", got)
	}
	t.Setenv("TMPDIR", "/var/tmp")
	if got := SocketPath(); !strings.HasPrefix(got, "/var/tmp/oidc-agent-service-") {
		t.Errorf("with TMPDIR: got %q", got)
	}
}
