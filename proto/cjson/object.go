package cjson

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"oidc-agent/proto/secret"
)

// Object is a JSON object: an ordered list of members whose values are raw JSON text. Keys are case-sensitive; of
// duplicate keys the first counts. Use [New] or [Parse] to make one. Goroutines may share an Object as long as
// none of them changes it.
type Object struct{ members []member }

type member struct {
	key   string
	value []byte // valid JSON, without blanks around it
}

// New returns an empty object.
func New() *Object { return &Object{} }

// Keys returns the keys in order.
func (o *Object) Keys() []string {
	keys := make([]string, len(o.members))
	for i, m := range o.members {
		keys[i] = m.key
	}
	return keys
}

func (o *Object) index(key string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.key == key })
}

// Has reports whether the object has the key, whatever its value.
func (o *Object) Has(key string) bool { return o.index(key) >= 0 }

// Raw returns the value as it was read or set, or nil if the key is absent. The caller must not change it.
func (o *Object) Raw(key string) []byte {
	if i := o.index(key); i >= 0 {
		return o.members[i].value
	}
	return nil
}

// Text returns a value as the C tools read it. A string is decoded, with U+FFFD for bytes that are not UTF-8; any
// other value is its JSON text. The result is "" for everything that the C tools take for absent: a missing key,
// null, "", "null" and "(null)".
func (o *Object) Text(key string) string { return present(decodeText(o.Raw(key))) }

// present returns the empty string for the C tools' ways to say that there is no value. Their printf turns a
// missing string into "(null)".
func present[T string | []byte](s T) T {
	if string(s) == "null" || string(s) == "(null)" {
		return s[:0]
	}
	return s
}

// Secret returns a value as Text does, but as a copy that can be wiped, and without making a string of it. Bytes
// that are not UTF-8 stay as they are: a password is bytes.
func (o *Object) Secret(key string) secret.Secret {
	return secret.New(present(unquote(o.Raw(key))))
}

// Int returns a value as a number: 1, "1" and true are 1; a fraction is cut off. It reports false if the value is
// absent, is not a number, or does not fit into an int64.
func (o *Object) Int(key string) (int64, bool) {
	text := o.Text(key)
	switch text {
	case "": // the usual case, so it should not cost an error of strconv
		return 0, false
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	if strings.Trim(text, "0123456789+-.eE") != "" { // ParseFloat also accepts inf, hexadecimal and underscores
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < math.MinInt64 || f >= math.MaxInt64 { // as a float64, MaxInt64 is 2^63
		return 0, false
	}
	return int64(f), true
}

// Bool reports whether the value is true, "true", or a number other than 0, possibly in quotes.
func (o *Object) Bool(key string) bool {
	n, ok := o.Int(key)
	return ok && n != 0
}

// Object returns the object under key, or nil if there is none. Its values alias those of o.
func (o *Object) Object(key string) *Object {
	nested, _ := Parse(o.Raw(key))
	return nested
}

// Texts returns the elements of an array, each as Text returns it, without the empty ones. Any other value counts
// as an array of that one element.
func (o *Object) Texts(key string) (texts []string) {
	elements, err := ParseArray(o.Raw(key))
	if err != nil {
		elements = [][]byte{o.Raw(key)}
	}
	for _, e := range elements {
		if text := present(decodeText(e)); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

// set replaces the value of an existing key in place, or appends a member.
func (o *Object) set(key string, value []byte) *Object {
	if i := o.index(key); i >= 0 {
		o.members[i].value = value
	} else {
		o.members = append(o.members, member{key, value})
	}
	return o
}

// SetText stores a string. Like all setters it replaces the value of an existing key in place, or appends a
// member, and returns o.
func (o *Object) SetText(key, v string) *Object { return o.set(key, Quote(nil, v)) }

// SetOptional stores a string, unless it is empty.
func (o *Object) SetOptional(key, v string) *Object {
	if v != "" {
		o.SetText(key, v)
	}
	return o
}

// SetSecret stores a copy of s as a string that Wipe overwrites.
func (o *Object) SetSecret(key string, s secret.Secret) *Object {
	return o.set(key, Quote(nil, s.Reveal()))
}

// SetInt stores a number.
func (o *Object) SetInt(key string, n int64) *Object {
	return o.set(key, strconv.AppendInt(nil, n, 10))
}

// SetBool stores true or false.
func (o *Object) SetBool(key string, b bool) *Object {
	return o.set(key, strconv.AppendBool(nil, b))
}

// SetRaw stores JSON text without copying it. Text that is not exactly one JSON value is stored as null.
func (o *Object) SetRaw(key string, raw []byte) *Object {
	raw = bytes.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	if p := (parser{data: raw, limit: unlimited}); !p.value(0) || p.pos < len(raw) {
		raw = []byte("null")
	}
	return o.set(key, raw)
}

// SetTexts stores an array of strings.
func (o *Object) SetTexts(key string, texts []string) *Object {
	return o.set(key, array(texts, func(t string) []byte { return Quote(nil, t) }))
}

// SetObject stores a copy of nested.
func (o *Object) SetObject(key string, nested *Object) *Object { return o.set(key, nested.Compact()) }

// SetObjects stores an array of copies of the objects.
func (o *Object) SetObjects(key string, objects []*Object) *Object {
	return o.set(key, array(objects, (*Object).Compact))
}

// array returns the JSON array of the values, each converted by text.
func array[T any](values []T, text func(T) []byte) []byte {
	out := []byte{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, text(v)...)
	}
	return append(out, ']')
}

// Delete removes a member. It does not wipe the value.
func (o *Object) Delete(key string) {
	if i := o.index(key); i >= 0 {
		o.members = slices.Delete(o.members, i, i+1)
	}
}

// Wipe overwrites all values, also in the text that was parsed, and removes all members.
func (o *Object) Wipe() {
	for _, m := range o.members {
		clear(m.value)
	}
	o.members = nil
}
