package cjson

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

// Compact returns the object without blanks, as in {"a":1,"b":["x","y"]}. It is one line, because control
// characters in strings are escaped.
func (o *Object) Compact() []byte {
	size := 2
	for _, m := range o.members {
		size += len(m.key) + len(m.value) + 8
	}
	p := printer{out: make([]byte, 0, size)}
	p.object(o.members, 0)
	return p.out
}

// Layout returns the object as cJSON prints it for people: one line for each member, with tabs before its key and
// its value; arrays on one line; no newline at the end. It escapes all control characters, so that the text cannot
// control a terminal.
func (o *Object) Layout() []byte {
	p := printer{layout: true}
	p.object(o.members, 0)
	return p.out
}

// LayoutArray returns an array of raw JSON values in the layout of [Object.Layout].
func LayoutArray(elements [][]byte) []byte {
	p := printer{layout: true}
	p.array(elements, 0)
	return p.out
}

// printer writes JSON. The depth that its methods take is the number of objects and arrays around a value.
type printer struct {
	out    []byte
	layout bool // that of cJSON, else compact
}

func (p *printer) object(members []member, depth int) {
	p.put('{')
	for i, m := range members {
		if i > 0 {
			p.put(',')
		}
		p.line(depth + 1)
		p.text([]byte(m.key))
		p.put(':')
		if p.layout {
			p.put('\t')
		}
		p.value(m.value, depth+1)
	}
	p.line(depth) // in an empty object too
	p.put('}')
}

func (p *printer) array(elements [][]byte, depth int) {
	p.put('[')
	for i, e := range elements {
		if i > 0 {
			p.put(',')
		}
		if i > 0 && p.layout {
			p.put(' ')
		}
		p.value(e, depth+1)
	}
	p.put(']')
}

// value writes a raw value, which is valid JSON.
func (p *printer) value(raw []byte, depth int) {
	switch raw[0] {
	case '{':
		members, _ := parse(raw, '{', noObject, unlimited)
		p.object(members, depth)
	case '[':
		elements, _ := ParseArray(raw)
		p.array(elements, depth)
	case '"':
		text := unquote(raw)
		p.text(text)
		clear(text) // it may be a secret
	default:
		p.put(raw...)
	}
}

// text writes a string and its quotes. Bytes that are not UTF-8 stay as they are.
func (p *printer) text(s []byte) {
	p.put('"')
	for {
		plain := bytes.IndexFunc(s, p.escapes)
		if plain < 0 {
			p.put(s...)
			break
		}
		p.put(s[:plain]...)
		r, n := utf8.DecodeRune(s[plain:])
		p.escape(r)
		s = s[plain+n:]
	}
	p.put('"')
}

// escapes reports whether a character is written as an escape sequence.
func (p *printer) escapes(r rune) bool {
	return r < ' ' || r == '"' || r == '\\' || p.layout && 0x7f <= r && r < 0xa0
}

// escape writes the escape sequence of a character below U+0100.
func (p *printer) escape(r rune) {
	const hex = "0123456789abcdef"
	if i := strings.IndexRune(`"\`+meanings, r); i >= 0 {
		p.put('\\', (`"\` + letters)[i])
	} else {
		p.put('\\', 'u', '0', '0', hex[r>>4], hex[r&15])
	}
}

// line starts a new line of the layout.
func (p *printer) line(depth int) {
	if p.layout {
		p.put('\n')
		p.put(bytes.Repeat([]byte{'\t'}, depth)...)
	}
}

// put appends bytes. A buffer that has become too small is wiped.
func (p *printer) put(b ...byte) { p.out = append(secret.Grow(p.out, len(b)), b...) }
