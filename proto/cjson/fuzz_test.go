package cjson

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse checks two properties: valid JSON means what encoding/json says it means, and whatever can be parsed
// is printed as something that parses to the same object.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, path := range samples {
		f.Add(readSample(f, path))
	}
	for _, seed := range []string{`{"a":[1,true,null,{"b":"\ud83d\ude00\ud83d"}],"a":2}`, "\x00{\"a\":\"\n\xff\"}\n", `{"":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Parse(data)
		compareWithStandard(t, data, o, err)
		if err != nil {
			return
		}
		for _, printed := range [][]byte{o.Compact(), o.Layout()} {
			again, err := Parse(printed)
			if err != nil {
				t.Fatalf("%q prints to %q: %v", data, printed, err)
			}
			if !bytes.Equal(again.Compact(), o.Compact()) {
				t.Fatalf("%q prints to %q, which is %q", data, printed, again.Compact())
			}
		}
		end, err := new(Scanner).End(data)
		if end == 0 || err != nil || len(bytes.Trim(data[end:], blanks)) > 0 {
			t.Fatalf("the scanner ends %q at %d, %v", data, end, err)
		}
	})
}

// blanks are the bytes that may surround an object.
var blanks = func() string {
	var b []byte
	for c := range byte(' ' + 1) {
		b = append(b, c)
	}
	return string(b)
}()

func compareWithStandard(t *testing.T, data []byte, o *Object, err error) {
	var want map[string]json.RawMessage
	if json.Unmarshal(data, &want) != nil || want == nil { // no JSON, or null
		return
	}
	if err != nil && (strings.HasSuffix(err.Error(), tooDeep) || strings.HasSuffix(err.Error(), tooMany)) {
		return
	}
	if err != nil {
		t.Fatalf("Parse(%q): %v, but it is valid", data, err)
	}
	if len(o.Keys()) != len(want) {
		t.Fatalf("%q has the keys %q, encoding/json finds %d", data, o.Keys(), len(want))
	}
	first := firstValues(data)
	for _, key := range o.Keys() {
		var text string
		var number int64
		switch raw := first[key]; {
		case json.Unmarshal(raw, &text) == nil && raw[0] == '"':
			if text != "null" && text != "(null)" && o.Text(key) != text {
				t.Fatalf("%q: Text(%q) is %q, want %q", data, key, o.Text(key), text)
			}
		case json.Unmarshal(raw, &number) == nil && raw[0] != 'n':
			if n, ok := o.Int(key); n != number || !ok {
				t.Fatalf("%q: Int(%q) is %d, %v, want %d", data, key, n, ok, number)
			}
		}
		if n, ok := o.Int(key); ok && n == math.MinInt64 && first[key][0] != '-' && first[key][0] != '"' {
			t.Fatalf("%q: Int(%q) overflowed", data, key)
		}
	}
}

// firstValues reads an object token by token: json.Unmarshal would take the last of duplicate keys.
func firstValues(data []byte) map[string]json.RawMessage {
	values := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.Token()
	for d.More() {
		key, err := d.Token()
		var raw json.RawMessage
		if err != nil || d.Decode(&raw) != nil {
			break
		}
		if _, seen := values[key.(string)]; !seen {
			values[key.(string)] = raw
		}
	}
	return values
}

// FuzzScanner checks that the scanner finds the same end however the stream is cut.
func FuzzScanner(f *testing.F) {
	f.Add([]byte(`{"a":"\"}"} tail`), 3)
	f.Add(readSample(f, "testdata/5.3.3/ascii.plain.json"), 100)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if cut < 0 || cut > len(data) {
			return
		}
		end, err := new(Scanner).End(data)
		var parts Scanner
		got, gotErr := parts.End(data[:cut])
		if got == 0 && gotErr == nil {
			got, gotErr = parts.End(data)
		}
		if got != end || (gotErr == nil) != (err == nil) {
			t.Fatalf("%q cut at %d: %d, %v, want %d, %v", data, cut, got, gotErr, end, err)
		}
	})
}
