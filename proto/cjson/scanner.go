package cjson

// Scanner finds the end of one object in a stream that comes in pieces: messages on the agent's socket
// have neither length nor terminator. It looks at each byte once and checks no more than it must;
// [Parse] does the rest. The zero value is ready; one Scanner is for one message.
type Scanner struct {
	seen     int // bytes
	depth    int
	inString bool
	escaped  bool // the last byte was a backslash inside a string
}

// End returns the offset just behind the object's closing brace, 0 as long as it has not come. The stream is all that
// has been read so far. The error is a *[SyntaxError]: the first byte that is not blank opens no object (the encrypted
// channel may begin instead), or it is nested too deep.
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
