package oidc

import (
	"strings"

	"oidc-agent/proto/secret"
)

// form is an application/x-www-form-urlencoded body that leaves no copy of its secrets behind, as
// url.Values would.
type form struct {
	body    []byte
	secrets []secret.Secret
}

// addBytes appends name=value (RFC 6749 appendix B). An empty value is left out: RFC 6749 sections 3.1 and
// 3.2 take it for omitted.
func (f *form) addBytes(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	f.body = grown(f.body, 2+3*len(name)+3*len(value))
	if len(f.body) > 0 {
		f.body = append(f.body, '&')
	}
	f.body = append(appendEscaped(f.body, []byte(name)), '=')
	f.body = appendEscaped(f.body, value)
}

func (f *form) add(name, value string) { f.addBytes(name, []byte(value)) }

func (f *form) addSecret(name string, value secret.Secret) {
	f.addBytes(name, value.Reveal())
	f.secrets = append(f.secrets, value)
}

// addScope joins the words by single blanks (RFC 6749 section 3.3): some providers refuse any other.
func (f *form) addScope(scope string) { f.add("scope", strings.Join(strings.Fields(scope), " ")) }

// appendEscaped encodes as HTML forms do: UTF-8, a blank as +, unreserved characters as they are, the rest
// as %XX (RFC 6749 appendix B).
func appendEscaped(dst, value []byte) []byte {
	const digits = "0123456789ABCDEF"
	dst = grown(dst, 3*len(value))
	for _, c := range value {
		switch {
		case c == ' ':
			dst = append(dst, '+')
		case strings.IndexByte(unreserved, c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
