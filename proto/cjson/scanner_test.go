package cjson

import (
	"errors"
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in  string
		end int // behind the object; 0: it never ends
		err error
	}{
		{`{}`, 2, nil},
		{"\x00\n {\"a\":\"}\"} tail", 12, nil},
		{`{"a":{"b":[{"c":"\"}\\"}]}}{"second":1}`, 27, nil},
		{"{\"a\":\"raw\nline\"}", 16, nil},
		{`{"a":"x\\"}`, 11, nil},
		{`{"a":"x\"}`, 0, nil},
		{`{"a":1`, 0, nil},
		{"", 0, nil},
		{"  ", 0, nil},
		{"hello", 0, ErrNotObject},
		{" [1]", 0, ErrNotObject},
		{strings.Repeat(`{"a":`, 65), 0, ErrTooDeep},
	}
	for _, test := range tests {
		var whole Scanner
		end, done, err := whole.Feed([]byte(test.in))
		if end != test.end || done != (test.end > 0) || !errors.Is(err, test.err) {
			t.Errorf("%.40q at once: %d, %v, %v, want %d, %v", test.in, end, done, err, test.end, test.err)
		}
		if end, done, err := feedSingly(test.in); end != test.end || done != (test.end > 0) || !errors.Is(err, test.err) {
			t.Errorf("%.40q byte by byte: %d, %v, %v, want %d, %v", test.in, end, done, err, test.end, test.err)
		}
	}
}

// feedSingly feeds a byte at a time and returns the end counted from the start of the stream.
func feedSingly(in string) (end int, done bool, err error) {
	var s Scanner
	for i := range len(in) {
		if end, done, err = s.Feed([]byte(in[i : i+1])); err != nil {
			return end, done, err
		} else if done {
			return i + end, done, nil
		}
	}
	return 0, false, nil
}

func TestScannerStaysDone(t *testing.T) {
	t.Parallel()
	var s Scanner
	s.Feed([]byte("{}"))
	if end, done, err := s.Feed([]byte("x")); end != 0 || !done || err != nil {
		t.Errorf("got %d, %v, %v", end, done, err)
	}
}
