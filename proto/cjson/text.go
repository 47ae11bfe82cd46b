package cjson

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

// The letters of escape sequences, and the control characters that they mean.
const (
	letters  = "bfnrt"
	meanings = "\b\f\n\r\t"
)

// decodeText returns what a raw value stands for; bytes that are not UTF-8 become U+FFFD.
func decodeText(raw []byte) string {
	s := string(unquote(raw, false))
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// unquote returns the bytes that a string stands for, and any other value as it is; own: in a slice of its own in any
// case. Bytes that are not UTF-8 stay as they are.
func unquote(raw []byte, own bool) []byte {
	if len(raw) == 0 || raw[0] != '"' {
		return bytes.Clone(raw)
	}
	rest := raw[1 : len(raw)-1]
	if !own && bytes.IndexByte(rest, '\\') < 0 {
		return rest
	}
	out := make([]byte, 0, len(rest)) // an escape is never shorter than its meaning
	for len(rest) > 0 {
		if rest[0] != '\\' {
			out, rest = append(out, rest[0]), rest[1:]
			continue
		}
		r, n := escaped(rest)
		out, rest = utf8.AppendRune(out, r), rest[n:]
	}
	return out
}

// escaped decodes the escape sequence at the start of s, which the parser has checked, and returns its
// length. A surrogate without its other half becomes U+FFFD (RFC 8259 section 7).
func escaped(s []byte) (r rune, length int) {
	if i := strings.IndexByte(letters, s[1]); i >= 0 {
		return rune(meanings[i]), 2
	}
	r, unicode := hex4(s[1:])
	switch {
	case !unicode:
		return rune(s[1]), 2
	case !utf16.IsSurrogate(r):
		return r, 6
	}
	if len(s) > 6 && s[6] == '\\' {
		low, _ := hex4(s[7:])
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads the u and four hex digits that s must start with.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[1:5]), 16, 16)
	return rune(n), err == nil
}

// Quote appends s as a JSON string with its quotes. As with the C tools, only the quote, the backslash
// and control characters are escaped, and bytes that are not UTF-8 stay as they are: passwords and file
// names are bytes. Where dst is too small, it is wiped.
func Quote[T string | []byte](dst []byte, s T) []byte {
	dst = append(secret.Grow(dst, len(s)+2), '"')
	for i := range len(s) {
		dst = appendEscaped(dst, s[i])
	}
	return append(secret.Grow(dst, 1), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	dst = secret.Grow(dst, 6)
	if c >= ' ' && c != '"' && c != '\\' {
		return append(dst, c)
	}
	if i := strings.IndexByte(`"\`+meanings, c); i >= 0 {
		return append(dst, '\\', (`"\` + letters)[i])
	}
	return appendUnicode(dst, c)
}

// appendUnicode appends the escape sequence of a character below U+0100.
func appendUnicode(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// WithoutComments empties the lines of a configuration file that begin with a #.
func WithoutComments(data []byte) (kept []byte) {
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			line = []byte("\n")
		}
		kept = append(kept, line...)
	}
	return kept
}
