package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"oidc-agent/proto/secret"
)

var errNoObject = errors.New("JSON object expected")

// object is a JSON object of a provider. Its getters keep the first error, as bufio.Scanner does. null is
// taken for absent throughout. Names are compared exactly, which struct tags of encoding/json would not do.
type object struct {
	members map[string]json.RawMessage
	err     error
}

func parseObject(data []byte) (*object, error) {
	o := new(object)
	if err := json.Unmarshal(data, &o.members); err != nil || o.members == nil {
		return nil, errNoObject
	}
	return o, nil
}

// wipe overwrites the values; nothing can be read from o afterwards.
func (o *object) wipe() {
	for _, raw := range o.members {
		clear(raw)
	}
}

func (o *object) raw(name string) json.RawMessage {
	raw := o.members[name]
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// has reports whether there is such a member and it is not null.
func (o *object) has(name string) bool { return o.raw(name) != nil }

// get decodes a member into v; an absent one leaves v as it is.
func (o *object) get(name, expected string, v any) {
	raw := o.raw(name)
	if raw == nil {
		return
	}
	if err := json.Unmarshal(raw, v); err != nil && o.err == nil {
		o.err = fmt.Errorf("%q is %s, %s expected", name, kindOf(raw), expected)
	}
}

func (o *object) text(name string) (s string) {
	o.get(name, "a string", &s)
	return s
}

func (o *object) texts(name string) []string {
	var list []*string // pointers, for null would pass as ""
	o.get(name, "an array of strings", &list)
	var s []string
	for _, p := range list {
		if p == nil {
			o.fail("%q holds null, strings expected", name)
			return nil
		}
		s = append(s, *p)
	}
	return s
}

func (o *object) flag(name string) (b bool) {
	o.get(name, "a boolean", &b)
	return b
}

// secret reads a string without making a Go string of it. The member can be read only once.
func (o *object) secret(name string) secret.Secret {
	var s unquoted
	o.get(name, "a string", &s)
	return secret.New(s)
}

// maxSeconds is the longest time that is believed: ten years. Longer ones would overflow a time.Duration.
const maxSeconds = 10 * 365 * 24 * 3600

func (o *object) seconds(name string) int64 { return o.number(name, maxSeconds) }

// number reads a number, or a string that holds one, as some providers write it. Fractions are cut off, and
// what is further from 0 than limit is brought there.
func (o *object) number(name string, limit float64) int64 {
	raw := o.raw(name)
	text := string(raw)
	if raw != nil && raw[0] == '"' {
		text = strings.TrimSpace(o.text(name))
	}
	if text == "" || o.err != nil {
		return 0
	}
	// ParseFloat takes more than JSON's numbers (RFC 8259 section 6): inf, nan, 0x10.
	n, err := strconv.ParseFloat(text, 64)
	if !json.Valid([]byte(text)) || err != nil && !errors.Is(err, strconv.ErrRange) {
		o.fail("%q is %s, a number expected", name, kindOf(raw))
		return 0
	}
	return int64(math.Max(-limit, math.Min(n, limit)))
}

// timestamp reads a Unix time in seconds, as [object.seconds] does. 0 is none.
func (o *object) timestamp(name string) int64 { return max(0, o.number(name, math.MaxInt32*1024)) }

func (o *object) fail(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// required fails where one of the members is absent, null or an empty string.
func (o *object) required(names ...string) {
	for _, name := range names {
		if raw := o.raw(name); raw == nil || string(raw) == `""` {
			o.fail("%q is missing", name)
		}
	}
}

func kindOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	}
	return "a number"
}

// unquoted is a JSON string as bytes of its own.
type unquoted []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *unquoted) UnmarshalText(text []byte) error {
	*u = append([]byte(nil), text...)
	clear(text) // encoding/json's copy, or ours of the member
	return nil
}
