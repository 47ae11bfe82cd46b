package cjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// decodeText returns what the raw string, with its quotes, stands for; bytes that are not UTF-8 become U+FFFD.
func decodeText(raw []byte) string {
	s := string(unescape(raw))
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// unescape returns the bytes that the raw string, with its quotes, stands for: a part of raw where
// nothing is escaped, else a slice of its own. Bytes that are not UTF-8 stay as they are.
func unescape(raw []byte) []byte {
	raw = raw[1 : len(raw)-1]
	plain := 0
	for plain < len(raw) && raw[plain] != '\\' {
		plain++
	}
	if plain == len(raw) {
		return raw
	}
	out := append(make([]byte, 0, len(raw)), raw[:plain]...) // an escape is never shorter than its meaning
	for i := plain; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		r, n := escaped(raw[i:])
		out = utf8.AppendRune(out, r)
		i += n
	}
	return out
}

// escaped decodes the escape sequence at the start of s, which the parser has checked, and returns its
// length. A surrogate without its other half becomes U+FFFD (RFC 8259 section 7).
func escaped(s []byte) (r rune, length int) {
	switch s[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return rune(s[1]), 2
	}
	r, _ = hex4(s[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		low, _ := hex4(s[8:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads the four hex digits that s must start with.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	for _, c := range s[:4] {
		r <<= 4
		switch {
		case isDigit(c):
			r |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			r |= rune(c - 'a' + 10)
		case 'A' <= c && c <= 'F':
			r |= rune(c - 'A' + 10)
		default:
			return 0, false
		}
	}
	return r, true
}

// Quote appends s as a JSON string with its quotes. As with the C tools, only the quote, the backslash
// and control characters are escaped, and bytes that are not UTF-8 stay as they are: passwords and file
// names are bytes.
func Quote(dst []byte, s string) []byte { return quote(dst, s) }

// QuoteBytes appends b as Quote does, and makes no string of it.
func QuoteBytes(dst, b []byte) []byte { return quote(dst, b) }

func quote[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		dst = appendEscaped(dst, s[i])
	}
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c < ' ' {
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
	return append(dst, c)
}

// quotedLen is the length of b as a JSON string.
func quotedLen(b []byte) int {
	n := len(b) + 2
	var room [6]byte
	for _, c := range b {
		n += len(appendEscaped(room[:0], c)) - 1
	}
	return n
}
