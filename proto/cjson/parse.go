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
	"bytes"
	"strconv"
	"strings"
)

const (
	// maxDepth is how deep objects and arrays may stand in each other, the outermost counted.
	maxDepth = 64
	// maxMembers limits one object, so that looking a member up may be a plain walk over all of them.
	maxMembers = 1024
)

// SyntaxError tells where text stopped being JSON, or went beyond what is read: 64 levels, 1024 members in an object.
// It shows nothing of the text, which may hold secrets.
type SyntaxError struct {
	Offset int    // in bytes, from the start of the text
	What   string // what is wrong there
}

const (
	noObject = "object expected"
	tooDeep  = "nested too deep"
	tooMany  = "too many members"
)

// Error names the byte.
func (e *SyntaxError) Error() string {
	return "malformed JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.What
}

// Parse reads one object. Blanks and NUL bytes around it do no harm, anything else does. Raw control
// characters inside strings are accepted, since the C agent's replies have them. The values alias data:
// who wipes data wipes them. The error is a *[SyntaxError].
func Parse(data []byte) (*Object, error) {
	members, err := parse(data, '{', noObject)
	if err != nil {
		return nil, err
	}
	o := &Object{members[:0]}
	for _, m := range members {
		if !o.Has(m.key) {
			o.members = append(o.members, m)
		}
	}
	return o, nil
}

// ParseArray reads one array and returns its elements as raw JSON text that aliases data. The error is a *[SyntaxError].
func ParseArray(data []byte) ([][]byte, error) {
	members, err := parse(data, '[', "array expected")
	var elements [][]byte
	for _, m := range members {
		elements = append(elements, m.value)
	}
	return elements, err
}

// parse reads data as nothing but one container that opens with the given bracket; else it is wrong.
func parse(data []byte, open byte, wrong string) ([]member, error) {
	p := parser{data: data}
	if p.blanks(); p.peek() != open {
		return nil, &SyntaxError{p.pos, wrong}
	}
	if p.value(0) {
		if p.blanks(); p.pos == len(data) {
			return p.members, nil
		}
		p.fail("text after the end")
	}
	return nil, &p.failure
}

// parser walks over text. Its methods report whether they found what they read.
type parser struct {
	data    []byte
	pos     int      // of the next byte
	members []member // of the outermost container; the elements of an array have no key
	failure SyntaxError
}

func (p *parser) fail(what string) bool {
	p.failure = SyntaxError{p.pos, what}
	return false
}

// peek returns the next byte, 0 at the end of the text.
func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// take reads the next byte if it is one of these.
func (p *parser) take(these string) bool {
	if p.pos == len(p.data) || strings.IndexByte(these, p.data[p.pos]) < 0 {
		return false
	}
	p.pos++
	return true
}

// blanks skips what cJSON skips: every byte up to the space, so NUL as well.
func (p *parser) blanks() {
	for p.pos < len(p.data) && p.data[p.pos] <= ' ' {
		p.pos++
	}
}

// next takes a byte behind blanks.
func (p *parser) next(c string) bool {
	p.blanks()
	return p.take(c)
}

// value reads the value at pos; depth is the number of containers around it.
func (p *parser) value(depth int) bool {
	switch p.peek() {
	case '{':
		return p.container(depth+1, "}")
	case '[':
		return p.container(depth+1, "]")
	case '"':
		return p.str()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(p.data[p.pos:], []byte(word)) {
			p.pos += len(word)
			return true
		}
	}
	return p.number()
}

// container reads the object or array at pos.
func (p *parser) container(depth int, closing string) bool {
	if depth > maxDepth {
		return p.fail(tooDeep)
	}
	p.pos++
	if p.next(closing) {
		return true
	}
	for {
		var m member
		if p.blanks(); closing == "}" {
			start := p.pos
			if !p.str() {
				return false
			}
			if depth == 1 {
				m.key = decodeText(p.data[start:p.pos])
			}
			if !p.next(":") {
				return p.fail("colon expected")
			}
			p.blanks()
		}
		start := p.pos
		if !p.value(depth) {
			return false
		}
		if depth == 1 {
			m.value = p.data[start:p.pos:p.pos]
			if p.members = append(p.members, m); closing == "}" && len(p.members) > maxMembers {
				return p.fail(tooMany)
			}
		}
		if p.next(closing) {
			return true
		}
		if !p.take(",") {
			return p.fail("comma or end expected")
		}
	}
}

// str reads a string with its quotes.
func (p *parser) str() bool {
	if !p.take(`"`) {
		return p.fail("string expected")
	}
	for ; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case '"':
			p.pos++
			return true
		case '\\':
			p.pos++
			if _, ok := hex4(p.data[p.pos:]); !ok && strings.IndexByte(`"\/`+letters, p.peek()) < 0 {
				return p.fail("unknown escape sequence")
			}
		}
	}
	return p.fail("string without end")
}

// number reads a number, RFC 8259 section 6.
func (p *parser) number() bool {
	p.take("-")
	ok := p.take("0") || p.digits()
	if ok && p.take(".") {
		ok = p.digits()
	}
	if ok && p.take("eE") {
		p.take("+-")
		ok = p.digits()
	}
	return ok || p.fail("value expected")
}

// digits reads digits, one at least.
func (p *parser) digits() bool {
	start := p.pos
	for p.take("0123456789") {
	}
	return p.pos > start
}
