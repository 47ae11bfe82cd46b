package cjson

import (
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

// Compact returns the object without a blank, {"a":1,"b":["x","y"]}: one line, since control
// characters inside strings are escaped.
func (o *Object) Compact() []byte { return o.print(false) }

// Layout returns the object as cJSON prints it, for people to read: a line for each member, tabs before the key and the
// value, arrays on one line, no newline at the end. What could steer a terminal is escaped.
func (o *Object) Layout() []byte { return o.print(true) }

// LayoutArray returns an array of raw JSON values in the layout of [Object.Layout].
func LayoutArray(elements [][]byte) []byte {
	w := printer{tabs: true}
	w.write(array(elements, func(e []byte) []byte { return e }))
	return w.out
}

func (o *Object) print(tabs bool) []byte {
	size := 2
	for _, m := range o.members {
		size += len(m.key) + len(m.value) + 8
	}
	w := printer{out: make([]byte, 0, size), tabs: tabs}
	w.structure('{')
	for i, m := range o.members {
		if i > 0 {
			w.structure(',')
		}
		w.write(Quote(nil, m.key))
		w.structure(':')
		w.write(m.value)
	}
	w.structure('}')
	return w.out
}

// printer writes JSON again.
type printer struct {
	out      []byte
	tabs     bool
	open     []byte // the brackets that are
	inString bool
}

// write takes valid JSON, whole or a token of it.
func (w *printer) write(raw []byte) {
	for n := 0; len(raw) > 0; raw = raw[n:] {
		n = 1
		switch c := raw[0]; {
		case c == '"':
			if w.inString = !w.inString; w.inString && w.out[len(w.out)-1] == '{' {
				w.line()
			}
			w.put(c)
		case w.inString:
			n = w.char(raw)
		case c > ' ':
			w.structure(c)
		}
	}
}

// char writes the first character of raw, which is inside a string, or several that stay as they are, and returns their
// length.
func (w *printer) char(raw []byte) int {
	plain := 0
	for plain < len(raw) && ' ' <= raw[plain] && raw[plain] < 0x7f && raw[plain] != '"' && raw[plain] != '\\' {
		plain++
	}
	if plain > 0 {
		w.put(raw[:plain]...)
		return plain
	}
	r, n := utf8.DecodeRune(raw)
	if r == '\\' {
		r, n = escaped(raw)
	}
	w.out = secret.Grow(w.out, 6)
	switch {
	case w.tabs && 0x7f <= r && r < 0xa0:
		w.out = appendUnicode(w.out, byte(r))
	case r < utf8.RuneSelf:
		w.out = appendEscaped(w.out, byte(r))
	case r == utf8.RuneError && n == 1:
		w.put(raw[0])
	default:
		w.out = utf8.AppendRune(w.out, r)
	}
	return n
}

// structure writes a byte that is in no string. In the layout of cJSON the line breaks in an empty object too.
func (w *printer) structure(c byte) {
	last := len(w.open) - 1
	switch c {
	case '{', '[':
		w.open = append(w.open, c)
	case '}':
		w.open = w.open[:last]
		w.line()
	case ']':
		w.open = w.open[:last]
	}
	w.put(c)
	switch {
	case c == ',' && w.open[last] == '{':
		w.line()
	case c == ',' && w.tabs:
		w.put(' ')
	case c == ':' && w.tabs:
		w.put('\t')
	}
}

func (w *printer) put(b ...byte) { w.out = append(secret.Grow(w.out, len(b)), b...) }

func (w *printer) line() {
	if w.tabs {
		w.put('\n')
		for range w.open {
			w.put('\t')
		}
	}
}
