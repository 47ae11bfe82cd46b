package oidc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"oidc-agent/proto/secret"
)

// object is a JSON object of a provider. Its getters keep the first error, as bufio.Scanner does. null is taken for
// absent throughout. Names are compared exactly, which struct tags of encoding/json would not do.
type object struct {
	members map[string]json.RawMessage
	err     error
}

func parseObject(data []byte) (*object, error) {
	o := new(object)
	if err := json.Unmarshal(data, &o.members); err != nil || o.members == nil {
		return nil, errors.New("JSON object expected")
	}
	return o, nil
}

// wipe overwrites the values; nothing can be read from o afterwards.
func (o *object) wipe() {
	for _, raw := range o.members {
		clear(raw)
	}
}

func (o *object) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

func (o *object) raw(name string) json.RawMessage {
	if raw := o.members[name]; string(raw) != "null" {
		return raw
	}
	return nil
}

// has reports whether there is such a member and it is not null.
func (o *object) has(name string) bool { return o.raw(name) != nil }

// required fails where one of the members is absent, null or an empty string.
func (o *object) required(names ...string) {
	for _, name := range names {
		if raw := o.raw(name); raw == nil || string(raw) == `""` {
			o.fail("%q is missing", name)
		}
	}
}

// get decodes a member into v; an absent one leaves v as it is.
func (o *object) get(name, expected string, v any) {
	if raw := o.raw(name); raw != nil && json.Unmarshal(raw, v) != nil {
		kinds := map[byte]string{'"': "a string", '{': "an object", '[': "an array", 't': "a boolean", 'f': "a boolean"}
		o.fail("%q is %s, %s expected", name, cmp.Or(kinds[raw[0]], "a number"), expected)
	}
}

func (o *object) text(name string) (s string) {
	o.get(name, "a string", &s)
	return s
}

func (o *object) texts(name string) (list []string) {
	o.get(name, "an array of strings", &list)
	return list
}

// url reads a URL that parseURL accepts.
func (o *object) url(name string) string {
	text := o.text(name)
	if _, err := parseURL(text); err != nil && text != "" {
		o.fail("%q: %w", name, err)
	}
	return text
}

// date reads a NumericDate (RFC 7519 section 2): a number of any form, but no string. An absent one is 1970.
func (o *object) date(name string) time.Time {
	var seconds float64
	o.get(name, "a number", &seconds)
	const year9999 = 253402300799 // what lies beyond would overflow
	return time.Unix(int64(max(-year9999, min(seconds, year9999))), 0)
}

// seconds reads a number, or a string that holds one, as some providers write it. Fractions are cut off, and what is
// further from 0 than maxSeconds is brought there.
func (o *object) seconds(name string) int64 {
	var text json.Number // takes both
	o.get(name, "a number", &text)
	n, _ := strconv.ParseFloat(string(text), 64) // one out of its range is infinite
	return int64(max(-maxSeconds, min(n, maxSeconds)))
}

// secret reads a string without making a Go string of it. The member can be read only once.
func (o *object) secret(name string) secret.Secret {
	var s unquoted
	o.get(name, "a string", &s)
	return secret.New(s)
}

// unquoted is a JSON string as bytes of its own.
type unquoted []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *unquoted) UnmarshalText(text []byte) error {
	*u = bytes.Clone(text)
	clear(text) // encoding/json's copy, or ours of the member
	return nil
}
