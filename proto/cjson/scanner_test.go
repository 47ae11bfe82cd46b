package cjson

import (
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in  string
		end int    // offset after the object; 0: it never ends
		err string // the end of the error
	}{
		{`{}`, 2, ""},
		{"\x00\n {\"a\":\"}\"} tail", 12, ""},
		{`{"a":{"b":[{"c":"\"}\\"}]}}{"second":1}`, 27, ""},
		{"{\"a\":\"raw\nline\"}", 16, ""},
		{`{"a":"x\\"}`, 11, ""},
		{`{"a":"x\"}`, 0, ""},
		{`{"a":1`, 0, ""},
		{"", 0, ""},
		{"  ", 0, ""},
		{"hello", 0, "at byte 0: object expected"},
		{" [1]", 0, "at byte 1: object expected"},
		{strings.Repeat(`{"a":`, 65), 0, "at byte 320: nested too deep"},
	}
	for _, test := range tests {
		end, err := new(Scanner).End([]byte(test.in))
		if end != test.end || !ends(err, test.err) {
			t.Errorf("%.40q at once: %d, %v, want %d, %v", test.in, end, err, test.end, test.err)
		}
		end, err = 0, nil
		var s Scanner
		for i := 0; i <= len(test.in) && end == 0 && err == nil; i++ {
			end, err = s.End([]byte(test.in[:i]))
		}
		if end != test.end || !ends(err, test.err) {
			t.Errorf("%.40q byte by byte: %d, %v, want %d, %v", test.in, end, err, test.end, test.err)
		}
	}
}

func ends(err error, text string) bool {
	return err == nil && text == "" || err != nil && text != "" && strings.HasSuffix(err.Error(), text)
}
