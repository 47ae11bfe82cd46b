package box

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/proto/ipc"
)

// serve starts a server on one end of a pipe, and returns the client's end and a channel for the error of
// ServeConn. The handler's answer contains the request.
func serve(t *testing.T) (net.Conn, <-chan error) {
	t.Helper()
	client, conn := net.Pipe()
	t.Cleanup(func() { client.Close() })
	done := make(chan error, 1)
	go func() {
		done <- ServeConn(conn, patience, func(request []byte) []byte {
			return fmt.Appendf(nil, `{"got":%s}`, request)
		})
	}()
	return client, done
}

// sendBytes writes a text byte by byte.
func sendBytes(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	for i := range text {
		if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
			t.Fatalf("byte %d of %q: %v", i, text, err)
		}
	}
}

// sendWhole writes a text at once.
func sendWhole(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// patience limits how long the server waits for a request.
const patience = 10 * time.Second

const check = `{"request":"check"}`

func TestServePlain(t *testing.T) {
	t.Parallel()
	for _, request := range []string{check, "\x00 \n" + check, `{"a":"}","b":{}}`} {
		client, done := serve(t)
		sendBytes(t, client, request)
		got, err := io.ReadAll(client)
		want := `{"got":` + request + `}`
		if err != nil || string(got) != want && string(got) != `{"got":`+strings.TrimLeft(request, blanks)+`}` {
			t.Errorf("%q: got %q and %v", request, got, err)
		}
		if err := <-done; err != nil {
			t.Errorf("%q: %v", request, err)
		}
	}
}

// openChannel does the client's part of the key exchange.
func openChannel(t *testing.T, conn net.Conn, send func(text string)) *channel {
	t.Helper()
	own, public, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	send(string(public))
	key := make([]byte, 1000)
	n, err := conn.Read(key)
	if n != keyText || err != nil {
		t.Fatalf("the server's key: %q, %v", key[:n], err)
	}
	c, err := newChannel(own, key[:n])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServeBox(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		wrap string
		send func(t *testing.T, conn net.Conn, text string)
	}{{"%s", sendBytes}, {"\x00\n%s", sendBytes}, {"%s\n\x00", sendWhole}} {
		client, done := serve(t)
		c := openChannel(t, client, func(text string) { way.send(t, client, fmt.Sprintf(way.wrap, text)) })
		sendBytes(t, client, string(c.seal([]byte(check))))
		frame, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.open(frame)
		if err != nil || string(got) != `{"got":`+check+`}` {
			t.Errorf("got %q and %v", got, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// The texts are those of the recorded C agents, if those answered.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	anyNonce := strings.Repeat("A", nonceText)
	for _, c := range []struct {
		name string
		key  bool // after the key exchange
		send string
		want string
	}{
		{"word behind blanks", false, "\x00 x!", "Bad Request: malformed JSON at byte 2: neither an object nor a public key"},
		{"word", false, "hello, is this http?", "Bad Request: malformed JSON at byte 0: neither an object nor a public key"},
		{"array", false, "[1]", "Bad Request: malformed JSON at byte 0: neither an object nor a public key"},
		{"too deep", false, strings.Repeat(`{"a":`, 100), "Bad Request: malformed JSON at byte 320: nested too deep"},
		{"endless blanks", false, strings.Repeat(" ", maxBlanks+1), "Bad Request: malformed JSON at byte 1024: the message is too long"},
		{"zero key", false, base64.StdEncoding.EncodeToString(make([]byte, 32)), "received suspicious public key"},
		{"no key", false, strings.Repeat("A", keyText), "internal error: ipc encrypted message malformed"},
		{"wrong key", true, "19:" + anyNonce + ":" + strings.Repeat("A", 47) + "=", "decryption failed"},
		{"no length", true, "x", "internal error: ipc encrypted message malformed"},
		{"negative length", true, "-1:" + anyNonce, "internal error: ipc encrypted message malformed"},
		{"huge length", true, "99999999999:", "internal error: ipc encrypted message malformed"},
		{"too large", true, "1048577:", "Bad Request: malformed JSON at byte 1048576: the message is too long"},
		{"three colons", true, "19:" + strings.Repeat(":", 81), "internal error: ipc encrypted message malformed"},
	} {
		client, done := serve(t)
		if c.key {
			openChannel(t, client, func(text string) { io.WriteString(client, text) })
		}
		go io.WriteString(client, c.send) // fails if the server does not read all of it
		answer, err := ipc.Answer(client)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		failure, ok := ipc.Check(answer).(*ipc.Failure)
		if !ok || !strings.HasPrefix(failure.Text, c.want) {
			t.Errorf("%s: answered %s, want %q", c.name, answer.Compact(), c.want)
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: the connection is open, %v", c.name, err)
		}
		if err := <-done; err == nil {
			t.Errorf("%s: no error", c.name)
		}
	}
}

// An incomplete request is answered when the patience is over, and not before.
func TestServeTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key        bool
		send, want string
		after      time.Duration
	}{
		{false, "", "Bad Request: could not parse json", patience},
		{false, " ", "Bad Request: could not parse json", patience},
		{false, `{"request":"check"`, "Bad Request: could not parse json", patience},
		{false, "AAAA", "Bad Request: could not parse json", patience},
		{true, "", "internal error: ipc encrypted message malformed", patience},
		{true, "19:AAAA", "internal error: ipc encrypted message malformed", patience},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			client, done := serve(t)
			if c.key {
				openChannel(t, client, func(text string) { io.WriteString(client, text) })
			}
			time.Sleep(2 * time.Second) // bytes that arrive do not extend the time
			if c.send != "" {
				io.WriteString(client, c.send)
			}
			answer, err := ipc.Answer(client)
			if err != nil || answer.Text(ipc.KeyError) != c.want {
				t.Errorf("%q: got %v", c.send, err)
			}
			if took := time.Since(start); took != c.after {
				t.Errorf("%q: answered after %v", c.send, took)
			}
			if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q: %v", c.send, err)
			}
		})
	}
}

// The server gives up a client that does not read its answer.
func TestServeAnswerTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, done := serve(t)
		io.WriteString(client, check)
		start := time.Now()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != writeTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestServeEnds(t *testing.T) {
	t.Parallel()
	client, done := serve(t)
	client.Close()
	if err := <-done; err != nil {
		t.Errorf("a client that leaves: %v", err)
	}
}

// recorder remembers the buffers that were read into.
type recorder struct {
	net.Conn
	buffers [][]byte
}

func (r *recorder) Read(p []byte) (int, error) {
	r.buffers = append(r.buffers, p)
	return r.Conn.Read(p)
}

// A refused request may hold a password. Nothing of it stays in memory.
func TestServeWipes(t *testing.T) {
	t.Parallel()
	for _, request := range []string{`[{"password":"secret"}]`, `{"password":"` + strings.Repeat("secret", 500)} {
		client, conn := net.Pipe()
		go func() {
			io.WriteString(client, request)
			client.Close()
		}()
		r := &recorder{Conn: conn}
		if err := ServeConn(r, patience, nil); err == nil {
			t.Errorf("%.20s: served", request)
		}
		for _, buffer := range r.buffers {
			if left := bytes.Trim(buffer, "\x00"); len(left) > 0 {
				t.Errorf("%.20s: %q is left", request, left)
			}
		}
	}
}

// counter records the length of each write.
type counter struct {
	net.Conn
	writes []int
}

func (c *counter) Write(p []byte) (int, error) {
	c.writes = append(c.writes, len(p))
	return c.Conn.Write(p)
}

// Every answer is the same JSON in one write, whose length is not a multiple of 4096.
func TestAnswerIsOneWrite(t *testing.T) {
	t.Parallel()
	ch := &channel{}
	const meets = (33*4096-40)/4*3 - 16 // only a LEN of 6 or more digits allows a frame of a multiple of 4096 bytes
	if n := len(ch.seal(make([]byte, meets))); n != 33*4096 {
		t.Fatalf("a frame of %d bytes does not try it", n)
	}
	for _, c := range []struct {
		channel *channel
		size    int
	}{
		{nil, 0}, {nil, 4095}, {nil, 4096}, {nil, 4097}, {nil, 40960}, {nil, 1 << 20},
		{ch, 0}, {ch, meets - 3}, {ch, meets - 2}, {ch, meets - 1}, {ch, meets}, {ch, meets + 1},
	} {
		client, conn := net.Pipe()
		answer := []byte(strings.Repeat("x", c.size))
		counted := &counter{Conn: conn}
		go func() {
			defer conn.Close() // last, so that the end of the input follows everything else
			written := bytes.Clone(answer)
			if err := reply(counted, c.channel, written); err != nil {
				t.Error(err)
			}
			if len(bytes.Trim(written, "\x00")) > 0 {
				t.Error("the answer is not wiped")
			}
		}()
		got, err := io.ReadAll(client)
		if err != nil || len(counted.writes) != 1 || len(got)%4096 == 0 {
			t.Errorf("%d bytes: %d came in writes of %v, %v", c.size, len(got), counted.writes, err)
		}
		if c.channel != nil {
			got, err = c.channel.open(got)
		}
		if err != nil || strings.TrimRight(string(got), " ") != string(answer) || len(got) > max(1, c.size+4) {
			t.Errorf("%d bytes: got %d, %v", c.size, len(got), err)
		}
	}
}
