package box

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// scripted is a connection with a client that sends one text at once, and another one after the server's first write.
type scripted struct {
	net.Conn
	in     bytes.Buffer
	writes [][]byte
	reply  func(first []byte) []byte
}

func (s *scripted) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *scripted) SetDeadline(time.Time) error { return nil }
func (s *scripted) Close() error                { return nil }

func (s *scripted) Write(p []byte) (int, error) {
	if len(s.writes) == 0 && s.reply != nil {
		s.in.Write(s.reply(p))
	}
	s.writes = append(s.writes, bytes.Clone(p))
	return len(p), nil
}

// exchanges returns what C clients were recorded to send: a key and a frame.
func exchanges(f *testing.F) (sent [][2]string) {
	for _, name := range []string{"testdata/live-client-4.2.6.txt", "testdata/live-client-5.3.3.txt"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var lines []string
		for line := range strings.Lines(string(data)) {
			if text, ok := strings.CutPrefix(line, "> "); ok {
				lines = append(lines, strings.TrimSuffix(text, "\n"))
			}
		}
		for ; len(lines) > 1; lines = lines[2:] {
			sent = append(sent, [2]string{lines[0], lines[1]})
		}
	}
	if len(sent) == 0 {
		f.Fatal("no recorded exchange")
	}
	return sent
}

// FuzzServe serves a whole connection, plain or with any key and frame. Every client that sends something gets an
// answer, in one write: a plain failure, or what the handler returns.
func FuzzServe(f *testing.F) {
	for _, e := range exchanges(f) {
		f.Add([]byte(e[0]), []byte(e[1]))
	}
	f.Add([]byte(check), []byte(nil))
	f.Add([]byte("\x00 {\"a\":[1"), []byte(nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		conn := &scripted{reply: func([]byte) []byte { return second }}
		conn.in.Write(first)
		handled := false
		err := ServeConn(conn, patience, func(request []byte) []byte {
			handled = true
			if len(conn.writes) == 0 && !bytes.Contains(first, request) {
				t.Errorf("%q reached the handler as %q", first, request)
			}
			return []byte(`{"status":"success"}`)
		})
		said := bytes.Trim(first, blanks)
		left := len(said) == 0 || len(said) == keyText && said[0] != '{' && len(second) == 0 && err == nil
		if !left && handled != (err == nil) {
			t.Errorf("%q, %q: handled %v, %v", first, second, handled, err)
		}
		answers := conn.writes
		if len(answers) > 0 && len(answers[0]) == keyText && answers[0][0] != '{' {
			answers = answers[1:] // the server's key
		}
		if len(answers) > 1 || len(answers) == 0 && !left {
			t.Fatalf("%q, %q: answered %q", first, second, conn.writes)
		}
		for _, answer := range answers {
			if _, err := cjson.Parse(answer); err != nil {
				t.Errorf("%q, %q: answered %q", first, second, answer)
			}
		}
	})
}

// FuzzExchange checks that the request of a client that follows the protocol arrives, and so does the answer.
func FuzzExchange(f *testing.F) {
	f.Add([]byte(check), []byte(`{"status":"success"}`))
	f.Add([]byte("{}"), bytes.Repeat([]byte("y"), 3030))
	f.Fuzz(func(t *testing.T, request, answer []byte) {
		own, public, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		var c *channel
		conn := &scripted{reply: func(key []byte) []byte {
			if c, err = newChannel(own, key); err != nil {
				t.Fatal(err)
			}
			return c.seal(request)
		}}
		conn.in.Write(public)
		var got []byte
		err = ServeConn(conn, patience, func(request []byte) []byte {
			got = bytes.Clone(request)
			return bytes.Clone(answer) // because it is wiped
		})
		if err != nil || !bytes.Equal(got, request) || len(conn.writes) != 2 || len(conn.writes[1])%4096 == 0 {
			t.Fatalf("%q arrived as %q, %v; %d writes", request, got, err, len(conn.writes))
		}
		frame, _, err := ipc.Read(iotest.OneByteReader(bytes.NewReader(conn.writes[1])), nil, frameEnd(ipc.MaxAnswer))
		if err != nil {
			t.Fatal(err)
		}
		back, err := c.open(frame)
		if err != nil || !bytes.Equal(bytes.TrimRight(back, " "), bytes.TrimRight(answer, " ")) {
			t.Errorf("answered %q, got %q, %v", answer, back, err)
		}
	})
}
