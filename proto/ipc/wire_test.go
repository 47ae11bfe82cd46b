package ipc

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadObject(t *testing.T) {
	t.Parallel()
	long := `{"data":"` + strings.Repeat("x", MaxMessage-len(`{"data":""}`)) + `"}`
	for _, c := range []struct {
		name, stream, want string
		err                string
	}{
		{"request", `{"request":"check"}`, `{"request":"check"}`, ""},
		{"nested, braces in strings", `{"a":{"b":["}",{}]},"c":"\"}"}`, `{"a":{"b":["}",{}]},"c":"\"}"}`, ""},
		{"newline and NUL after it", "{\"request\":\"check\"}\n\x00", `{"request":"check"}`, ""},
		{"another message after it", `{"request":"check"}{"request":"status"}`, `{"request":"check"}`, ""},
		{"blanks before", "\x00\n {}", "\x00\n {}", ""},
		{"as long as may be", long, long, ""},
		{"nothing", "", "", "EOF"},
		{"cut", `{"request":"check"`, "", "unexpected EOF"},
		{"blanks only", "  ", "", "unexpected EOF"},
		{"array", "[1]", "", "malformed JSON at byte 0: object expected"},
		{"word", "hello", "", "malformed JSON at byte 0: object expected"},
		{"too deep", strings.Repeat(`{"a":`, 100), "", "malformed JSON at byte 320: nested too deep"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.stream), iotest.OneByteReader(strings.NewReader(c.stream)),
			iotest.DataErrReader(strings.NewReader(c.stream))} {
			got, err := ReadObject(r, nil, MaxMessage)
			if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Errorf("%s: got %.100q and %v, want %.100q and %v", c.name, got, err, c.want, c.err)
			}
		}
	}
}

func TestReadObjectTooLong(t *testing.T) {
	t.Parallel()
	start := `{"data":"`
	for _, stream := range []io.Reader{
		io.MultiReader(strings.NewReader(start), endless('x')),
		endless(' '),
		strings.NewReader(start + strings.Repeat("x", MaxMessage-len(start)-1) + `"}`), // one byte too many
	} {
		_, err := ReadObject(stream, nil, MaxMessage)
		if err == nil || err.Error() != TooLong(MaxMessage).Error() {
			t.Errorf("got %v", err)
		}
	}
}

// Neither a buffer that became too small nor one of an incomplete message keeps any bytes.
func TestReadLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{`{"password":"` + strings.Repeat("x", 5000) + `"}`, `{"password":"hunter2`, `{"password":"hunter2"`} {
		known := append(make([]byte, 0, 16), stream[:10]...)
		r := &witness{Reader: strings.NewReader(stream[10:])}
		message, err := ReadObject(r, known, MaxMessage)
		for _, buf := range append(r.buffers, known) {
			if left := bytes.Trim(buf, "\x00"); len(left) > 0 && (err != nil || !bytes.HasSuffix(message, left)) {
				t.Errorf("%.20s: left %.20q", stream, left)
			}
		}
		if err == nil && string(message) != stream {
			t.Errorf("got %q", message)
		}
	}
}

// witness records the buffers that are read into.
type witness struct {
	io.Reader
	buffers [][]byte
}

func (w *witness) Read(p []byte) (int, error) {
	w.buffers = append(w.buffers, p)
	return w.Reader.Read(p)
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// FuzzReadObject checks that the same message is read however the stream is cut, and that it is the stream's
// beginning.
func FuzzReadObject(f *testing.F) {
	for _, stream := range []string{`{"request":"check"}`, `{"a":{"b":"}"}} x`, "\x00{}", "[1]", `{"a`, "", `{"\\":"\\\""}`, "{]"} {
		f.Add([]byte(stream))
	}
	recorded, err := filepath.Glob("../interop/testdata/ipc/*/*.txt") // messages of C clients and agents
	if err != nil || len(recorded) == 0 {
		f.Fatalf("no recorded messages: %v", err)
	}
	for _, path := range recorded {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		request, answer, _ := bytes.Cut(bytes.TrimPrefix(data, []byte("> ")), []byte("\n< "))
		f.Add(request)
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := ReadObject(bytes.NewReader(stream), nil, MaxMessage)
		pieces, perr := ReadObject(iotest.OneByteReader(bytes.NewReader(stream)), nil, MaxMessage)
		if !bytes.Equal(whole, pieces) || (err == nil) != (perr == nil) || err != nil && err.Error() != perr.Error() {
			t.Errorf("%q: whole %q and %v, in pieces %q and %v", stream, whole, err, pieces, perr)
		}
		if !bytes.HasPrefix(stream, whole) || err == nil && !bytes.ContainsAny(whole[len(whole)-1:], "}]") {
			t.Errorf("%q: got %q", stream, whole)
		}
	})
}
