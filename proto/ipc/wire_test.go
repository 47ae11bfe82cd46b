package ipc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"oidc-agent/proto/cjson"
)

func TestReadMessage(t *testing.T) {
	t.Parallel()
	long := `{"data":"` + strings.Repeat("x", MaxMessage-len(`{"data":""}`)) + `"}`
	for _, c := range []struct {
		name, stream, want string
		err                error
	}{
		{"request", `{"request":"check"}`, `{"request":"check"}`, nil},
		{"nested, braces in strings", `{"a":{"b":["}",{}]},"c":"\"}"}`, `{"a":{"b":["}",{}]},"c":"\"}"}`, nil},
		{"newline and NUL behind", "{\"request\":\"check\"}\n\x00", `{"request":"check"}`, nil},
		{"another message behind", `{"request":"check"}{"request":"status"}`, `{"request":"check"}`, nil},
		{"blanks before", "\x00\n {}", "\x00\n {}", nil},
		{"as long as may be", long, long, nil},
		{"nothing", "", "", io.EOF},
		{"cut", `{"request":"check"`, "", io.ErrUnexpectedEOF},
		{"blanks only", "  ", "", io.ErrUnexpectedEOF},
		{"array", "[1]", "", cjson.ErrNotObject},
		{"word", "hello", "", cjson.ErrNotObject},
		{"too deep", strings.Repeat(`{"a":`, 100), "", cjson.ErrTooDeep},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.stream), iotest.OneByteReader(strings.NewReader(c.stream)),
			iotest.DataErrReader(strings.NewReader(c.stream))} {
			got, err := ReadMessage(r)
			if string(got) != c.want || err != c.err {
				t.Errorf("%s: got %.100q and %v, want %.100q and %v", c.name, got, err, c.want, c.err)
			}
		}
	}
}

func TestReadMessageTooLarge(t *testing.T) {
	t.Parallel()
	start := `{"data":"`
	for _, stream := range []io.Reader{
		io.MultiReader(strings.NewReader(start), endless('x')),
		endless(' '),
		strings.NewReader(start + strings.Repeat("x", MaxMessage-len(start)-1) + `"}`), // one byte too many
	} {
		_, err := ReadMessage(stream)
		var tooLarge *TooLargeError
		if !errors.As(err, &tooLarge) || tooLarge.Limit != MaxMessage {
			t.Errorf("got %v", err)
		}
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// FuzzReadMessage: however the stream is cut, the same message comes out, and it is the beginning of the stream.
func FuzzReadMessage(f *testing.F) {
	for _, stream := range []string{`{"request":"check"}`, `{"a":{"b":"}"}} x`, "\x00{}", "[1]", `{"a`, "", `{"\\":"\\\""}`, "{]"} {
		f.Add([]byte(stream))
	}
	recorded, err := filepath.Glob("../interop/testdata/ipc/*/*.txt") // what C clients and agents say
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
		whole, err := ReadMessage(bytes.NewReader(stream))
		pieces, perr := ReadMessage(iotest.OneByteReader(bytes.NewReader(stream)))
		if !bytes.Equal(whole, pieces) || err != perr {
			t.Errorf("%q: whole %q and %v, in pieces %q and %v", stream, whole, err, pieces, perr)
		}
		if !bytes.HasPrefix(stream, whole) || err == nil && !bytes.ContainsAny(whole[len(whole)-1:], "}]") {
			t.Errorf("%q: got %q", stream, whole)
		}
	})
}
