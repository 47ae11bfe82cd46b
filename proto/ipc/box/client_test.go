package box

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// listen opens a listener, calls serve for each connection, and returns the address.
func listen(t *testing.T, network, address string, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, address)
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
	return l.Addr().String()
}

// Our client and our server talk over both kinds of sockets, with messages that take many reads.
func TestCallServe(t *testing.T) {
	t.Parallel()
	serve := func(conn net.Conn) {
		err := ServeConn(conn, patience, func(request []byte) []byte {
			o, err := cjson.Parse(request)
			if err != nil {
				t.Error(err)
				return nil
			}
			return ipc.Success(o.Text(ipc.KeyData)).Compact()
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, address := range []string{
		listen(t, "tcp", "127.0.0.1:0", serve),
		listen(t, "unix", filepath.Join(t.TempDir(), "s"), serve),
	} {
		for _, size := range []int{1, 4096, 100000, ipc.MaxMessage - 100} {
			data := strings.Repeat("x", size)
			answer, err := Call(address, ipc.Request(ipc.RequestCheck).SetText(ipc.KeyData, data), patience)
			if err != nil || answer.Text(ipc.KeyInfo) != data {
				t.Errorf("%s, %d bytes: %v", address, size, err)
			}
		}
	}
}

// Answers that an agent should not give. The first ones are plain failures of the C agent.
func TestCallAnswers(t *testing.T) {
	t.Parallel()
	_, public, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		answers []string // each is written after a read, then the connection is closed
		want    string   // the end of the error
	}{
		{"refuses the key", []string{`{"status":"failure","error":"received suspicious public key"}`}, ""},
		{"refuses the frame", []string{string(public), `{"status":"failure","error":"decryption failed"}`}, ""},
		{"closes", []string{""}, ipc.ErrNoAnswer.Error()},
		{"closes after the key", []string{string(public), ""}, ipc.ErrNoAnswer.Error()},
		{"no agent", []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, "cannot be read: malformed JSON at byte 0: neither an object nor a public key"},
		{"zero key", []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "cannot be read: received suspicious public key"},
		{"half a key", []string{"AAAA"}, "cannot be read: it ends too early"},
		{"no frame", []string{string(public), "hello"}, "cannot be read: internal error: ipc encrypted message malformed"},
		{"half a frame", []string{string(public), "19:AAAA"}, "cannot be read: it ends too early"},
		{"wrong MAC", []string{string(public), "2:" + strings.Repeat("A", 32) + ":" + strings.Repeat("A", 24)}, "cannot be read: decryption failed"},
		{"huge frame", []string{string(public), "99999999:"}, "cannot be read: malformed JSON at byte 16777216: the message is too long"},
	} {
		address := listen(t, "unix", filepath.Join(t.TempDir(), "s"), func(conn net.Conn) {
			for _, text := range c.answers {
				conn.Read(make([]byte, 1000))
				io.WriteString(conn, text)
			}
		})
		answer, err := Call(address, ipc.Request(ipc.RequestCheck), patience)
		switch {
		case c.want == "" && (err != nil || ipc.Check(answer) == nil):
			t.Errorf("%s: got %v, want a failure", c.name, err)
		case c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// The request is sent in one write, and never in clear.
func TestCallSendsFrames(t *testing.T) {
	t.Parallel()
	var sent []string
	address := listen(t, "unix", filepath.Join(t.TempDir(), "s"), func(conn net.Conn) {
		buf := make([]byte, 1000)
		own, public, _ := newKey()
		n, _ := conn.Read(buf)
		sent = append(sent, string(buf[:n]))
		c, err := newChannel(own, buf[:n])
		if err != nil {
			t.Error(err)
			return
		}
		conn.Write(public)
		n, _ = conn.Read(buf)
		sent = append(sent, string(buf[:n]))
		request, err := c.open(buf[:n])
		if err != nil || string(request) != check {
			t.Errorf("got %q and %v", request, err)
		}
		conn.Write(c.seal([]byte(`{"status":"success"}`)))
	})
	answer, err := Call(address, ipc.Request(ipc.RequestCheck), patience)
	if err != nil || answer.Text(ipc.KeyStatus) != ipc.StatusSuccess {
		t.Fatalf("got %v", err)
	}
	if len(sent) != 2 || len(sent[0]) != keyText || bytes.Contains([]byte(sent[1]), []byte("check")) {
		t.Errorf("sent %q", sent)
	}
}

func TestCallEnds(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	address := listen(t, "unix", filepath.Join(t.TempDir(), "s"), func(net.Conn) { <-over })
	defer close(over)
	if _, err := Call(address, ipc.Request(ipc.RequestCheck), 30*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silent agent: got %v", err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := Call(missing, ipc.Request(ipc.RequestCheck), patience); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("no agent: got %v", err)
	}
}

func TestRemoteAddress(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"example.org":      "example.org:42424",
		"example.org:7":    "example.org:7",
		"127.0.0.1":        "127.0.0.1:42424",
		"::1":              "[::1]:42424",
		"[::1]":            "[::1]:42424",
		"[::1]:7":          "[::1]:7",
		"localhost:ipcfoo": "localhost:ipcfoo",
	} {
		if got := remoteAddress(given); got != want {
			t.Errorf("%s: got %s, want %s", given, got, want)
		}
	}
}
