// Package cjson reads and writes JSON as the C tools do: ordered objects whose values stay raw JSON text,
// read leniently (1, "1" and true are the same), printed compactly or in the tabbed layout of the cJSON
// library. Account files and every message on the agent's socket are such objects.
//
// It is a leaf: every room may enter, oidc-token as well, whose start-up is the product; so it imports
// neither fmt nor encoding/json. Start at [Parse] and [New]; [Scanner] finds where a message ends.
//
// References: RFC 8259 for the grammar.
package cjson

import (
	"errors"
	"strconv"
)

const (
	// maxDepth is how deep objects and arrays may stand in each other, the outermost counted.
	maxDepth = 64
	// maxMembers limits one object, so that looking a member up may be a plain walk over all of them.
	maxMembers = 1024
)

var (
	// ErrNotObject: the first byte that is not blank does not open an object.
	ErrNotObject = errors.New("not a JSON object")
	// ErrTooDeep: objects and arrays stand in each other more than 64 levels deep.
	ErrTooDeep = errors.New("JSON nested too deep")
	// ErrTooMany: an object of more than 1024 members.
	ErrTooMany = errors.New("JSON object with too many members")
)

// SyntaxError tells where text stopped being JSON. It shows nothing of the text, which may hold secrets.
type SyntaxError struct {
	Offset int    // in bytes, from the start of the text
	What   string // what is wrong there
}

func (e *SyntaxError) Error() string {
	return "malformed JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.What
}

// Parse reads one object. Blanks and NUL bytes around it do no harm, anything else does. Raw control
// characters inside strings are accepted, since the C agent's replies have them. The values alias data:
// who wipes data wipes them. The error is [ErrNotObject], [ErrTooDeep], [ErrTooMany] or a *[SyntaxError].
func Parse(data []byte) (*Object, error) {
	o := New()
	count := 0
	err := parse(data, '{', func(key, value []byte) error {
		if count++; count > maxMembers {
			return ErrTooMany
		}
		if k := decodeText(key); !o.Has(k) {
			o.members = append(o.members, member{k, value})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// ParseArray reads one array and returns its elements as raw JSON text that aliases data.
func ParseArray(data []byte) ([][]byte, error) {
	var elements [][]byte
	err := parse(data, '[', func(_, value []byte) error {
		elements = append(elements, value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return elements, nil
}

// parse reads data as nothing but one container that opens with the given bracket.
func parse(data []byte, open byte, visit visitor) error {
	p := parser{data: data}
	p.blanks()
	switch {
	case p.peek() == open:
	case open == '{':
		return ErrNotObject
	default:
		return p.fail("array expected")
	}
	if err := p.each(1, visit); err != nil {
		return err
	}
	p.blanks()
	if p.pos < len(data) {
		return p.fail("text after the end")
	}
	return nil
}

// valid reports whether data is one JSON value with nothing around it.
func valid(data []byte) bool {
	p := parser{data: data}
	return p.value(0) == nil && p.pos == len(data)
}

// parser walks over text; pos is the next byte to read.
type parser struct {
	data []byte
	pos  int
}

// visitor is shown the raw key (nil in arrays) and the raw value of each member of a container.
type visitor func(key, value []byte) error

func (p *parser) fail(what string) error { return &SyntaxError{p.pos, what} }

// peek returns the next byte, 0 at the end of the text.
func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// take reads the next byte if it is c.
func (p *parser) take(c byte) bool {
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// blanks skips what cJSON skips: every byte up to the space, so NUL as well.
func (p *parser) blanks() {
	for p.pos < len(p.data) && p.data[p.pos] <= ' ' {
		p.pos++
	}
}

// value reads the value at pos; depth is the number of containers around it.
func (p *parser) value(depth int) error {
	switch c := p.peek(); {
	case c == '{' || c == '[':
		return p.each(depth+1, nil)
	case c == '"':
		return p.str()
	case c == '-' || isDigit(c):
		return p.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if end := p.pos + len(word); end <= len(p.data) && string(p.data[p.pos:end]) == word {
			p.pos = end
			return nil
		}
	}
	return p.fail("value expected")
}

// each reads the object or array at pos and shows its members to visit, unless that is nil.
func (p *parser) each(depth int, visit visitor) error {
	if depth > maxDepth {
		return ErrTooDeep
	}
	closing := byte(']')
	if p.peek() == '{' {
		closing = '}'
	}
	p.pos++
	p.blanks()
	if p.take(closing) {
		return nil
	}
	for {
		key, err := p.key(closing == '}')
		if err != nil {
			return err
		}
		start := p.pos
		if err := p.value(depth); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(key, p.data[start:p.pos:p.pos]); err != nil {
				return err
			}
		}
		p.blanks()
		if p.take(closing) {
			return nil
		}
		if !p.take(',') {
			return p.fail("comma or end expected")
		}
		p.blanks()
	}
}

// key reads a member's key and colon up to its value; arrays have none.
func (p *parser) key(wanted bool) ([]byte, error) {
	if !wanted {
		return nil, nil
	}
	start := p.pos
	if p.peek() != '"' {
		return nil, p.fail("key expected")
	}
	if err := p.str(); err != nil {
		return nil, err
	}
	key := p.data[start:p.pos]
	p.blanks()
	if !p.take(':') {
		return nil, p.fail("colon expected")
	}
	p.blanks()
	return key, nil
}

// str reads a string with its quotes.
func (p *parser) str() error {
	for p.pos++; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case '"':
			p.pos++
			return nil
		case '\\':
			if err := p.escape(); err != nil {
				return err
			}
		}
	}
	return p.fail("string without end")
}

// escape checks the escape sequence at pos and moves to its last byte.
func (p *parser) escape() error {
	p.pos++
	switch p.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		if _, ok := hex4(p.data[p.pos+1:]); ok {
			p.pos += 4
			return nil
		}
	}
	return p.fail("unknown escape sequence")
}

// number reads a number, RFC 8259 section 6.
func (p *parser) number() error {
	p.take('-')
	if !p.take('0') && !p.digits() {
		return p.fail("digit expected")
	}
	if p.take('.') && !p.digits() {
		return p.fail("digit expected")
	}
	if p.take('e') || p.take('E') {
		if !p.take('+') {
			p.take('-')
		}
		if !p.digits() {
			return p.fail("digit expected")
		}
	}
	return nil
}

// digits reads digits and reports whether there was one.
func (p *parser) digits() bool {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	return p.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
