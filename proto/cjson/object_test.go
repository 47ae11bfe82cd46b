package cjson

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

func mustParse(t testing.TB, text string) *Object {
	t.Helper()
	o, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return o
}

// The C tools' way to read values: 1, "1" and true are the same; "", "null", "(null)" and null mean no value.
func TestLeniency(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		text  string
		n     int64
		isInt bool
		b     bool
	}{
		{`"abc"`, "abc", 0, false, false},
		{`""`, "", 0, false, false},
		{`null`, "", 0, false, false},
		{`"null"`, "", 0, false, false},
		{`"(null)"`, "", 0, false, false},
		{`"\u006eull"`, "", 0, false, false},
		{`"nullable"`, "nullable", 0, false, false},
		{`1`, "1", 1, true, true},
		{`"1"`, "1", 1, true, true},
		{`true`, "true", 1, true, true},
		{`"true"`, "true", 1, true, true},
		{`false`, "false", 0, true, false},
		{`0`, "0", 0, true, false},
		{`"0"`, "0", 0, true, false},
		{`-1`, "-1", -1, true, true},
		{`1795453537`, "1795453537", 1795453537, true, true},
		{`9223372036854775807`, "9223372036854775807", 9223372036854775807, true, true},
		{`9223372036854775808`, "9223372036854775808", 0, false, false},
		{`-9223372036854775808`, "-9223372036854775808", -9223372036854775808, true, true},
		{`1e999`, "1e999", 0, false, false},
		{`1.795453537e9`, "1.795453537e9", 1795453537, true, true},
		{`"600.7"`, "600.7", 600, true, true},
		{`"inf"`, "inf", 0, false, false},
		{`"0x10"`, "0x10", 0, false, false},
		{`"1_000"`, "1_000", 0, false, false},
		{`"12 "`, "12 ", 0, false, false},
		{`[1, "x"]`, `[1, "x"]`, 0, false, false},
		{`{"a":1}`, `{"a":1}`, 0, false, false},
		{`"a\"\\\/\b\f\n\r\tz"`, "a\"\\/\b\f\n\r\tz", 0, false, false},
		{`"\u00e9\u20AC\ud83d\ude00"`, "é€😀", 0, false, false},
		{`"\ud83d"`, "\uFFFD", 0, false, false},
		{`"\ud83dx"`, "\uFFFDx", 0, false, false},
		{`"\ude00\ud83d"`, "\uFFFD\uFFFD", 0, false, false},
		{`"\ud83d\u0041"`, "\uFFFDA", 0, false, false},
		{"\"a\xff\xfeb\"", "a\uFFFD\uFFFDb", 0, false, false},
		{"\"raw\n\ttext\"", "raw\n\ttext", 0, false, false},
	}
	for _, test := range tests {
		o := mustParse(t, `{"k":`+test.value+`}`)
		if got := o.Text("k"); got != test.text {
			t.Errorf("Text of %s: %q, want %q", test.value, got, test.text)
		}
		if n, ok := o.Int("k"); n != test.n || ok != test.isInt {
			t.Errorf("Int of %s: %d, %v, want %d, %v", test.value, n, ok, test.n, test.isInt)
		}
		if got := o.Bool("k"); got != test.b {
			t.Errorf("Bool of %s: %v", test.value, got)
		}
		// A secret differs from the text only in bytes that are not UTF-8.
		if got := string([]rune(string(o.Secret("k").Reveal()))); got != test.text {
			t.Errorf("Secret of %s: %q, want %q", test.value, got, test.text)
		}
	}
}

func TestAbsentKey(t *testing.T) {
	t.Parallel()
	o := mustParse(t, `{"Key":"x"}`)
	if o.Has("key") || o.Raw("key") != nil || o.Text("key") != "" || !o.Secret("key").IsEmpty() ||
		o.Object("key") != nil || o.Texts("key") != nil || o.Bool("key") {
		t.Error("an absent key has a value")
	}
	if _, ok := o.Int("key"); ok {
		t.Error("an absent key is a number")
	}
}

func TestTextsAndNested(t *testing.T) {
	t.Parallel()
	o := mustParse(t, `{"a":["x",1,true,"",null,{"b":2}],"s":"device","n":null,"o":{"p":{"q":"r"}},"e":[]}`)
	tests := []struct {
		key  string
		want []string
	}{
		{"a", []string{"x", "1", "true", `{"b":2}`}},
		{"s", []string{"device"}},
		{"n", nil},
		{"e", nil},
		{"o", []string{`{"p":{"q":"r"}}`}},
	}
	for _, test := range tests {
		if got := o.Texts(test.key); !slices.Equal(got, test.want) {
			t.Errorf("Texts(%q): %q, want %q", test.key, got, test.want)
		}
	}
	if got := o.Object("o").Object("p").Text("q"); got != "r" {
		t.Errorf("nested text: %q", got)
	}
	if o.Object("s") != nil || o.Object("a") != nil {
		t.Error("a value of another kind passes for an object")
	}
}

func TestDuplicatesTheFirstCounts(t *testing.T) {
	t.Parallel()
	o := mustParse(t, `{"a":1,"b":2,"a":3,"\u0061":4}`)
	if got := string(o.Compact()); got != `{"a":1,"b":2}` {
		t.Errorf("got %s", got)
	}
}

func TestSetters(t *testing.T) {
	t.Parallel()
	o := New().SetText("t", "a\"b\n").SetInt("i", -5).SetBool("y", true).SetTexts("l", []string{"p", "q\\"}).
		SetTexts("none", nil).SetSecret("s", secret.FromString("hun\ter2")).SetRaw("r", []byte(" [1, 2] ")).
		SetRaw("bad", []byte(`{"a":1} {`)).SetObject("o", New().SetText("k", "v")).
		SetObjects("os", []*Object{New().SetInt("n", 1), New()}).SetOptional("absent", "").SetOptional("p", "q")
	o.SetText("i", "replaced").Delete("y")
	o.Delete("not there")
	want := `{"t":"a\"b\n","i":"replaced","l":["p","q\\"],"none":[],"s":"hun\ter2","r":[1,2],"bad":null,"o":{"k":"v"},"os":[{"n":1},{}],"p":"q"}`
	if got := string(o.Compact()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := strings.Join(o.Keys(), " "); got != "t i l none s r bad o os p" {
		t.Errorf("keys: %s", got)
	}
	if got := string(o.Secret("s").Reveal()); got != "hun\ter2" {
		t.Errorf("secret: %q", got)
	}
}

// Secrets are copies: they survive when the text is wiped.
func TestSecretIsACopy(t *testing.T) {
	t.Parallel()
	data := []byte(`{"plain":"hunter2","escaped":"hun\u0074er2","number":42,"latin1":"` + "\xe9" + `"}`)
	o, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	plain, escaped, number, latin1 := o.Secret("plain"), o.Secret("escaped"), o.Secret("number"), o.Secret("latin1")
	o.Wipe()
	for got, want := range map[*secret.Secret]string{&plain: "hunter2", &escaped: "hunter2", &number: "42", &latin1: "\xe9"} {
		if string(got.Reveal()) != want {
			t.Errorf("got %q, want %q", got.Reveal(), want)
		}
	}
	if bytes.Contains(data, []byte("hun")) {
		t.Errorf("Wipe left %q", data)
	}
	if len(o.Keys()) != 0 {
		t.Errorf("Wipe left the keys %q", o.Keys())
	}
}

// Reading a secret allocates its bytes and the handle, but no string.
func TestSecretMakesNoString(t *testing.T) {
	o := mustParse(t, `{"password":"`+strings.Repeat("x", 1000)+`"}`)
	handle := testing.AllocsPerRun(100, func() { sink = secret.New(make([]byte, 1000)) })
	if got := testing.AllocsPerRun(100, func() { sink = o.Secret("password") }); got > handle {
		t.Errorf("%v allocations, want at most %v", got, handle)
	}
}

// The agent asks for many members, most of which are absent.
func TestAbsentCostsNothing(t *testing.T) {
	o := mustParse(t, `{"a":1}`)
	if got := testing.AllocsPerRun(100, func() { o.Int("b"); o.Bool("b"); o.Text("b") }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

var sink secret.Secret // keeps the compiler from optimizing the allocation away

func TestParseErrors(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := func(n int) string { return `{"a":1` + strings.Repeat(`,"a":1`, n-1) + "}" }
	const syntax = "malformed JSON"
	tests := []struct {
		in   string
		want string // the end of the error, or just syntax
	}{
		{"\x00 \t\r\n{\"a\":1}\n\x00\x00 ", ""},
		{"{\n\"a\"\t:\r1 , \"b\" : [ 1 , 2 ] }", ""},
		{deep(64), ""},
		{deep(65), tooDeep},
		{`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, tooDeep},
		{many(1024), ""},
		{many(1025), tooMany},
		{`{"a":` + many(1025) + `}`, ""},
		{"", noObject},
		{"  \x00", noObject},
		{"hello", noObject},
		{"[1]", noObject},
		{`"x"`, noObject},
		{"{", syntax},
		{`{"a"`, syntax},
		{`{"a":`, syntax},
		{`{"a":}`, syntax},
		{`{"a":1`, syntax},
		{`{"a":1,}`, syntax},
		{`{,}`, syntax},
		{`{"a" 1}`, syntax},
		{`{a:1}`, syntax},
		{`{1:1}`, syntax},
		{`{"a":1]`, syntax},
		{`{"a":[1}`, syntax},
		{`{"a":[1,]}`, syntax},
		{`{"a":"x}`, syntax},
		{`{"a":"x\"}`, syntax},
		{`{"a":"\x"}`, syntax},
		{`{"a":"\u12g4"}`, syntax},
		{`{"a":"\u12"}`, syntax},
		{`{"a":'x'}`, syntax},
		{`{"a":tru}`, syntax},
		{`{"a":True}`, syntax},
		{`{"a":nullx}`, syntax},
		{`{"a":01}`, syntax},
		{`{"a":-}`, syntax},
		{`{"a":+1}`, syntax},
		{`{"a":.5}`, syntax},
		{`{"a":1.}`, syntax},
		{`{"a":1e}`, syntax},
		{`{"a":1e+}`, syntax},
		{`{"a":NaN}`, syntax},
		{`{}{}`, syntax},
		{`{} x`, syntax},
	}
	for _, test := range tests {
		_, err := Parse([]byte(test.in))
		var failure *SyntaxError
		if (err == nil) != (test.want == "") || err != nil && (!errors.As(err, &failure) ||
			test.want != syntax && !strings.HasSuffix(err.Error(), test.want)) {
			t.Errorf("Parse(%.40q): %v, want %s", test.in, err, test.want)
		}
	}
}

// The limit on members does not apply to elements.
func TestParseArray(t *testing.T) {
	t.Parallel()
	elements, err := ParseArray([]byte(" [" + strings.Repeat(`"x" ,`, 1024) + "\n{}]"))
	if err != nil || len(elements) != 1025 || string(elements[0]) != `"x"` || string(elements[1024]) != "{}" {
		t.Errorf("%d elements, %v", len(elements), err)
	}
	if _, err := ParseArray([]byte("{}")); err == nil || err.Error() != "malformed JSON at byte 0: array expected" {
		t.Errorf("an object: %v", err)
	}
}

func TestSyntaxErrorHidesTheText(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(`{"password":"hunter2" "x"}`))
	if want := "malformed JSON at byte 22: comma or end expected"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
