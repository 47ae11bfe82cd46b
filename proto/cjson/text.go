package cjson

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

// The letters of escape sequences, and the control characters that they stand for.
const (
	letters  = "bfnrt"
	meanings = "\b\f\n\r\t"
)

// decodeText returns the text of a raw value. Bytes that are not UTF-8 become U+FFFD.
func decodeText(raw []byte) string {
	s := string(appendText(make([]byte, 0, 64), raw)) // most texts are short: their buffer stays on the stack
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// unquote returns the text of a raw value in a slice of its own, and leaves no other copy.
func unquote(raw []byte) []byte { return appendText(make([]byte, 0, len(raw)), raw) }

// appendText appends the bytes that a string stands for, or the JSON text of any other value. The result is never
// longer than raw. Bytes that are not UTF-8 stay as they are.
func appendText(dst, raw []byte) []byte {
	if len(raw) == 0 || raw[0] != '"' {
		return append(dst, raw...)
	}
	rest := raw[1 : len(raw)-1]
	for {
		plain := bytes.IndexByte(rest, '\\')
		if plain < 0 {
			return append(dst, rest...)
		}
		r, n := escaped(rest[plain:])
		dst = utf8.AppendRune(append(dst, rest[:plain]...), r)
		rest = rest[plain+n:]
	}
}

// escaped decodes the escape sequence at the start of s, which the parser has checked, and returns its length.
// Half a surrogate pair becomes U+FFFD (RFC 8259 section 7).
func escaped(s []byte) (r rune, length int) {
	if i := strings.IndexByte(letters, s[1]); i >= 0 {
		return rune(meanings[i]), 2
	}
	r, ok := hex4(s[1:])
	if !ok {
		return rune(s[1]), 2
	}
	if !utf16.IsSurrogate(r) {
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

// hex4 reads the letter u and four hexadecimal digits.
func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[1:5]), 16, 16)
	return rune(n), err == nil
}

// Quote appends s to dst as a JSON string with its quotes. Like the C tools it escapes the quote, the backslash
// and control characters only, and keeps bytes that are not UTF-8: passwords and file names are bytes. If dst is
// too small it is wiped.
func Quote[T string | []byte](dst []byte, s T) []byte {
	p := printer{out: secret.Grow(dst, len(s)+2)}
	p.text([]byte(s))
	return p.out
}

// WithoutComments returns a configuration file with the lines that begin with a # left empty.
func WithoutComments(data []byte) (kept []byte) {
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			line = []byte("\n")
		}
		kept = append(kept, line...)
	}
	return kept
}
