package cjson

// Scanner finds the end of one object in a stream that arrives in pieces: messages on the agent's socket have
// neither a length nor a terminator. It looks at each byte once and checks only what it needs; [Parse] does the
// rest. The zero value is ready for use. A Scanner is good for one message.
type Scanner struct {
	seen     int // number of bytes
	depth    int
	inString bool
	escaped  bool // the last byte was a backslash inside a string
}

// End returns the offset just after the object's closing brace, or 0 if that has not arrived yet. The stream is
// everything that has been read so far. The error is a *[SyntaxError]: the first byte that is not a blank does not
// open an object (it may belong to a public key of the encrypted protocol), or the object is nested too deep.
func (s *Scanner) End(stream []byte) (int, error) {
	for ; s.seen < len(stream); s.seen++ {
		switch c := stream[s.seen]; {
		case s.escaped:
			s.escaped = false
		case s.inString:
			s.inString, s.escaped = c != '"', c == '\\'
		case s.depth == 0 && c <= ' ':
		case s.depth == 0 && c != '{':
			return 0, &SyntaxError{s.seen, noObject}
		case c == '"':
			s.inString = true
		case c == '{' || c == '[':
			if s.depth++; s.depth > maxDepth {
				return 0, &SyntaxError{s.seen, tooDeep}
			}
		case c == '}' || c == ']':
			if s.depth--; s.depth == 0 {
				return s.seen + 1, nil
			}
		}
	}
	return 0, nil
}
