package crypt

import (
	"bytes"
	"encoding/base64"
)

func encode64(b []byte) []byte { return base64.StdEncoding.AppendEncode(nil, b) }

// decode64 reads base64 that is written as encode64 does it: the package encoding/base64, strict or not, passes
// over CR and LF. What was decoded may be a key, so the copy that the comparison needs is wiped.
func decode64(text []byte) ([]byte, bool) {
	b, err := base64.StdEncoding.AppendDecode(nil, text)
	again := encode64(b)
	defer clear(again)
	if err != nil || !bytes.Equal(again, text) {
		clear(b)
		return nil, false
	}
	return b, true
}

// labelled reads a line of a label and n bytes in base64.
func labelled(line []byte, label string, n int) ([]byte, bool) {
	text, ok := bytes.CutPrefix(line, []byte(label))
	b, okBase64 := decode64(text)
	return b, ok && okBase64 && len(b) == n
}

// wrap appends text in lines of bodyColumns.
func wrap(dst, text []byte) []byte {
	for len(text) > 0 {
		n := min(len(text), bodyColumns)
		dst = append(append(dst, text[:n]...), '\n')
		text = text[n:]
	}
	return dst
}

// unwrap decodes what wrap wrote, and nothing else.
func unwrap(lines []byte) ([]byte, bool) {
	text := bytes.ReplaceAll(lines, []byte("\n"), nil)
	if !bytes.Equal(wrap(nil, text), lines) {
		return nil, false
	}
	return decode64(text)
}
