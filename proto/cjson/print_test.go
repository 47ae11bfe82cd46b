package cjson

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// We print an account byte for byte as the C tools do, whether we read it from their compact text (5.3.3) or from
// their tabbed one (4.2.6).
func TestLayoutIsThatOfTheCTools(t *testing.T) {
	t.Parallel()
	printed, err := filepath.Glob("testdata/*/*.add-print.json")
	if err != nil || len(printed) != 8 {
		t.Fatalf("testdata has %d samples (%v), want 8", len(printed), err)
	}
	for _, path := range printed {
		want := bytes.TrimRight(readSample(t, path), "\n")
		for _, source := range []string{path, path[:len(path)-len("add-print.json")] + "plain.json"} {
			o, err := Parse(readSample(t, source))
			if err != nil {
				t.Errorf("%s: %v", source, err)
				continue
			}
			if got := o.Layout(); !bytes.Equal(got, want) {
				t.Errorf("%s is laid out as\n%s\nwant\n%s", source, got, want)
			}
		}
	}
}

// Version 5.3.3 writes its files in cJSON's compact form.
func TestCompactIsThatOfTheCTools(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ascii", "gpg", "short", "tls"} {
		o, err := Parse(readSample(t, "testdata/5.3.3/"+name+".add-print.json"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := bytes.TrimRight(readSample(t, "testdata/5.3.3/"+name+".plain.json"), "\n")
		if got := o.Compact(); !bytes.Equal(got, want) {
			t.Errorf("%s: compact form is\n%s\nwant\n%s", name, got, want)
		}
	}
}

func readSample(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPrint(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, compact, layout string }{
		{`{}`, `{}`, "{\n}"},
		{` { "a" : [ ] , "b":{ } } `, `{"a":[],"b":{}}`, "{\n\t\"a\":\t[],\n\t\"b\":\t{\n\t}\n}"},
		{`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":1}}}`, "{\n\t\"a\":\t{\n\t\t\"b\":\t{\n\t\t\t\"c\":\t1\n\t\t}\n\t}\n}"},
		{`{"a":[1,[2,3],{"k":true}]}`, `{"a":[1,[2,3],{"k":true}]}`, "{\n\t\"a\":\t[1, [2, 3], {\n\t\t\t\"k\":\ttrue\n\t\t}]\n}"},
		{"{\"a\":\"x\n\ty\x01\"}", `{"a":"x\n\ty\u0001"}`, "{\n\t\"a\":\t\"x\\n\\ty\\u0001\"\n}"},
		{`{"a":"\u00e9\/\ud83d\ude00\u001f"}`, `{"a":"é/😀\u001f"}`, "{\n\t\"a\":\t\"é/😀\\u001f\"\n}"},
		{`{"a":1.50,"b":-0,"c":1E+2}`, `{"a":1.50,"b":-0,"c":1E+2}`, "{\n\t\"a\":\t1.50,\n\t\"b\":\t-0,\n\t\"c\":\t1E+2\n}"},
		{"{\"a\x7f\":\"\u0085\\u009b\xc2z\"}", "{\"a\x7f\":\"\u0085\u009b\xc2z\"}", "{\n\t\"a\\u007f\":\t\"\\u0085\\u009b\xc2z\"\n}"},
		{`{"a":{"k":1,"k":2},"\"":"\""}`, `{"a":{"k":1,"k":2},"\"":"\""}`, "{\n\t\"a\":\t{\n\t\t\"k\":\t1,\n\t\t\"k\":\t2\n\t},\n\t\"\\\"\":\t\"\\\"\"\n}"},
		{"{\"a\":\"\xff\"}", "{\"a\":\"\xff\"}", "{\n\t\"a\":\t\"\xff\"\n}"},
	}
	for _, test := range tests {
		o, err := Parse([]byte(test.in))
		if err != nil {
			t.Errorf("Parse(%q): %v", test.in, err)
			continue
		}
		if got := string(o.Compact()); got != test.compact {
			t.Errorf("%q compact: %q, want %q", test.in, got, test.compact)
		}
		if got := string(o.Layout()); got != test.layout {
			t.Errorf("%q layout: %q, want %q", test.in, got, test.layout)
		}
	}
}

// The limit on members applies to the outermost object only: what is nested is printed whole.
func TestPrintLargeNested(t *testing.T) {
	t.Parallel()
	nested := `{"a":{"k":1` + strings.Repeat(`,"k":1`, maxMembers) + `}}`
	if got := string(mustParse(t, nested).Compact()); got != nested {
		t.Errorf("printed %d bytes of %d", len(got), len(nested))
	}
	if got := string(New().SetRaw("a", []byte(nested)).Object("a").Compact()); got != nested {
		t.Errorf("as a raw value: %d bytes of %d", len(got), len(nested))
	}
}

func TestLayoutArray(t *testing.T) {
	t.Parallel()
	got := string(LayoutArray([][]byte{[]byte(`{"issuer":"x"}`), []byte(`1`)}))
	if want := "[{\n\t\t\"issuer\":\t\"x\"\n\t}, 1]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(LayoutArray(nil)); got != "[]" {
		t.Errorf("empty: %q", got)
	}
}
