// Package cjson reads and writes JSON the way the C tools do. Objects keep their order, and values stay raw JSON
// text that is read leniently: 1, "1" and true are the same. They are printed in compact form or in the tabbed
// layout of the cJSON library. Account files and all messages on the agent's socket are such objects.
//
// Every room may import it. So does oidc-token, whose start-up time matters, and therefore cjson imports neither
// fmt nor encoding/json. Start with [Parse] and [New]; [Scanner] finds the end of a message in a stream.
//
// References: RFC 8259 for the grammar.
package cjson

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

const (
	// maxDepth limits how deep objects and arrays may be nested. The outermost one counts.
	maxDepth = 64
	// maxMembers limits the members of an Object. It is low enough to look a member up by a linear search.
	maxMembers = 1024
)

// SyntaxError says where text is not JSON, or exceeds a limit: 64 levels, 1024 members in the outermost object. It
// never quotes the text, which may hold secrets.
type SyntaxError struct {
	Offset int    // in bytes, from the start of the text
	What   string // what is wrong there
}

const (
	noObject = "object expected"
	tooDeep  = "nested too deep"
	tooMany  = "too many members"
)

const unlimited = math.MaxInt

// Error returns the offset and what is wrong.
func (e *SyntaxError) Error() string {
	return "malformed JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.What
}

// Parse reads one object. There may be blanks and NUL bytes around it, but nothing else. Strings may contain raw
// control characters, since the C agent's answers do. The values alias data: wiping data wipes them. The error is
// a *[SyntaxError].
func Parse(data []byte) (*Object, error) {
	members, err := parse(data, '{', noObject, maxMembers)
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

// ParseArray reads one array and returns its elements as raw JSON text, which aliases data. The error is a
// *[SyntaxError].
func ParseArray(data []byte) ([][]byte, error) {
	members, err := parse(data, '[', "array expected", unlimited)
	var elements [][]byte
	for _, m := range members {
		elements = append(elements, m.value)
	}
	return elements, err
}

// parse reads the object or array that data consists of, and returns up to limit members, without removing
// duplicates. If data does not begin with the bracket open, the error is wrong.
func parse(data []byte, open byte, wrong string, limit int) ([]member, error) {
	p := parser{data: data, limit: limit}
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

// parser walks over text. Its methods report whether they found what they look for.
type parser struct {
	data    []byte
	pos     int      // of the next byte
	members []member // of the outermost object or array; the elements of an array have no key
	limit   int      // of members
	failure SyntaxError
}

func (p *parser) fail(what string) bool {
	p.failure = SyntaxError{p.pos, what}
	return false
}

// peek returns the next byte, or 0 at the end of the text.
func (p *parser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// take skips the next byte if it is one of these.
func (p *parser) take(these string) bool {
	if p.pos == len(p.data) || strings.IndexByte(these, p.data[p.pos]) < 0 {
		return false
	}
	p.pos++
	return true
}

// blanks skips what cJSON takes for blanks: all bytes up to the space, NUL included.
func (p *parser) blanks() {
	for p.pos < len(p.data) && p.data[p.pos] <= ' ' {
		p.pos++
	}
}

// next skips blanks and then one of the bytes in c.
func (p *parser) next(c string) bool {
	p.blanks()
	return p.take(c)
}

// value reads a value that is nested in depth objects and arrays.
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

// container reads the object or array at pos. The members of the outermost one are kept.
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
		if closing == "}" {
			key, ok := p.key()
			if !ok {
				return false
			}
			if depth == 1 {
				m.key = decodeText(key)
			}
		}
		p.blanks()
		start := p.pos
		if !p.value(depth) {
			return false
		}
		if depth == 1 {
			m.value = p.data[start:p.pos:p.pos]
			if p.members = append(p.members, m); len(p.members) > p.limit {
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

// key reads a key and the colon after it.
func (p *parser) key() (raw []byte, ok bool) {
	p.blanks()
	start := p.pos
	if !p.str() {
		return nil, false
	}
	raw = p.data[start:p.pos]
	return raw, p.next(":") || p.fail("colon expected")
}

// str reads a string, including its quotes.
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

// number reads a number (RFC 8259 section 6).
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

// digits reads one or more digits.
func (p *parser) digits() bool {
	start := p.pos
	for p.take("0123456789") {
	}
	return p.pos > start
}
