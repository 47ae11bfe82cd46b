package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                            "{\n}\n",
		`{ "a" : [ ] }`:                 "{\n  \"a\": []\n}\n",
		"{\"a\":{\"b\":[1,\n\"2\"]}}":   "{\n  \"a\": {\n    \"b\": [1, \"2\"]\n  }\n}\n",
		`{"a":"x:\t\"{y\": \\"}`:        "{\n  \"a\": \"x:\\t\\\"{y\\\": \\\\\"\n}\n",
		"{\"a\":\"\x1b[2J\x7f\u009b\"}": `{` + "\n  \"a\": \"\\u001b[2J\\u007f\\u009b\"\n}\n",
		"{\"a\":\"\xff\u2028é\"}":       "{\n  \"a\": \"\ufffd\u2028é\"\n}\n",
	} {
		o, err := cjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := layout(o); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzLayout: the output means the same as the input, and holds no control characters.
func FuzzLayout(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":[]}],"c":"\u00e9\\"}`, "{\"\x9b\":\"\n\"}", " { \v} \f", `{"a":{"b":-1e9}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := cjson.Parse(text)
		if err != nil {
			return
		}
		got := layout(o)
		for _, r := range got {
			if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) {
				t.Errorf("%q is in %q", r, got)
			}
		}
		var before, after any
		if json.Unmarshal(o.Compact(), &before) != nil {
			return // cjson is more lenient
		}
		if err := json.Unmarshal([]byte(got), &after); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		a, _ := json.Marshal(before)
		b, _ := json.Marshal(after)
		if !bytes.Equal(a, b) {
			t.Errorf("%s became %s", a, b)
		}
	})
}

func TestFromBase64URL(t *testing.T) {
	t.Parallel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(255 - i)
	}
	for n := range all {
		text := base64.RawURLEncoding.EncodeToString(all[:n])
		if got, err := fromBase64URL([]byte(text)); err != nil || !bytes.Equal(got, all[:n]) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
	}
	for _, text := range []string{"A", "AAAAA", "AA=", "AA+A", "AA A", "AA\n"} {
		if got, err := fromBase64URL([]byte(text)); err == nil {
			t.Errorf("%q: %x", text, got)
		}
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	header, payload, err := parts(secret.FromString("e30.eyJhIjoxfQ.c2lnbmF0dXJl"))
	if err != nil || string(header.Compact()) != "{}" || string(payload.Compact()) != `{"a":1}` {
		t.Errorf("%v, %v, %v", header, payload, err)
	}
	for token, want := range map[string]string{
		"":                 "the token is not a JWT: only its issuer",
		"opaque":           "the token is not a JWT: only its issuer",
		"a.b.c.d.e":        "the token is not a JWT: only its issuer", // an encrypted one
		"e30.W10.":         "the token is not a JWT: payload: malformed JSON at byte 0: object expected",
		"*.e30.":           "the token is not a JWT: header: base64url expected",
		"e30.eyJhIjoxfQ=.": "the token is not a JWT: payload: base64url expected",
	} {
		if _, _, err := parts(secret.FromString(token)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", token, err, want)
		}
	}
}

func TestInWords(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000000, 0)
	at := func(seconds int64) string { return time.Unix(seconds, 0).Format("2006-01-02 15:04:05 MST") }
	for claims, want := range map[string]string{
		`{}`:                                   "",
		`{"exp":1001200,"iat":999999}`:         "issued " + at(999999) + ", 1 seconds ago\nexpires " + at(1001200) + ", 20 minutes from now\n",
		`{"exp":990000,"nbf":0}`:               "valid since " + at(0) + ", 11 days ago\nEXPIRED " + at(990000) + ", 2 hours ago\n",
		`{"nbf":1000100,"auth_time":"999000"}`: "login " + at(999000) + ", 16 minutes ago\nvalid from " + at(1000100) + ", 100 seconds from now\n",
		`{"exp":"soon"}`:                       "",
	} {
		o, err := cjson.Parse([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		if got := inWords(o, now); got != want {
			t.Errorf("%s: %q, want %q", claims, got, want)
		}
	}
}
