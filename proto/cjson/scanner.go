package cjson

// Scanner finds the end of one object in a stream that comes in pieces: messages on the agent's socket
// have neither length nor terminator. It looks at each byte once and checks no more than it must;
// [Parse] does the rest. The zero value is ready; one Scanner is for one message.
type Scanner struct {
	depth    int
	inString bool
	escaped  bool // the last byte was a backslash inside a string
	done     bool
}

// Feed looks at the next piece. When done, end is the offset in b just behind the object's closing
// brace. The error is [ErrNotObject] if the first byte that is not blank opens no object (the stream may
// start the encrypted channel instead), or [ErrTooDeep].
func (s *Scanner) Feed(b []byte) (end int, done bool, err error) {
	if s.done {
		return 0, true, nil
	}
	for i, c := range b {
		switch {
		case s.inString:
			s.stringByte(c)
		case s.depth == 0 && c <= ' ':
		case s.depth == 0 && c != '{':
			return 0, false, ErrNotObject
		case c == '"':
			s.inString = true
		case c == '{' || c == '[':
			if s.depth++; s.depth > maxDepth {
				return 0, false, ErrTooDeep
			}
		case c == '}' || c == ']':
			if s.depth--; s.depth == 0 {
				s.done = true
				return i + 1, true, nil
			}
		}
	}
	return 0, false, nil
}

func (s *Scanner) stringByte(c byte) {
	switch {
	case s.escaped:
		s.escaped = false
	case c == '\\':
		s.escaped = true
	case c == '"':
		s.inString = false
	}
}
