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

// object is a JSON object from a provider. Its methods keep the first error in err, as bufio.Scanner does. A member
// that is null counts as absent. Names are compared exactly, unlike the struct tags of encoding/json.
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

// wipe overwrites the values. The object must not be used afterwards.
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

// has reports whether there is such a member.
func (o *object) has(name string) bool { return o.raw(name) != nil }

// required fails if one of the members is absent or an empty string.
func (o *object) required(names ...string) {
	for _, name := range names {
		if raw := o.raw(name); raw == nil || string(raw) == `""` {
			o.fail("%q is missing", name)
		}
	}
}

// get decodes a member into v. If the member is absent it does not change v.
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

// url returns a URL that parseURL accepts, or an empty string if the member is absent.
func (o *object) url(name string) string {
	text := o.text(name)
	if _, err := parseURL(text); err != nil && text != "" {
		o.fail("%q: %w", name, err)
	}
	return text
}

// date returns a NumericDate (RFC 7519 section 2), a number in any notation. An absent member is 1970.
func (o *object) date(name string) time.Time {
	var seconds float64
	o.get(name, "a number", &seconds)
	const year9999 = 253402300799 // much later times would overflow
	return time.Unix(int64(max(-year9999, min(seconds, year9999))), 0)
}

// seconds returns a number, cut to ±maxSeconds. Some providers write a string with a number instead.
func (o *object) seconds(name string) int64 {
	var text json.Number // accepts both
	o.get(name, "a number", &text)
	n, _ := strconv.ParseFloat(string(text), 64) // infinite if out of range
	return int64(max(-maxSeconds, min(n, maxSeconds)))
}

// secret returns a string without creating a Go string. The member can be read only once.
func (o *object) secret(name string) secret.Secret {
	var s unquoted
	o.get(name, "a string", &s)
	return secret.New(s)
}

// unquoted is the content of a JSON string.
type unquoted []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *unquoted) UnmarshalText(text []byte) error {
	*u = bytes.Clone(text)
	clear(text) // a copy by encoding/json, or the member itself
	return nil
}
