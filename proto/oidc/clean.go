package oidc

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

// maxText is how many characters of a provider's text are shown.
const maxText = 300

// cut stands in a text for what was taken out.
const cut = "[...]"

// minSecret is the shortest secret that is looked for in texts: cutting shorter ones would only spoil words.
const minSecret = 4

// cleanText makes a provider's text fit to be shown or logged: one line of printable characters, not long,
// without secrets. RFC 6749 section 5.2 allows visible ASCII and blanks only; few keep to it.
func cleanText(s string, secrets []secret.Secret) string {
	s = redact(s, secrets)
	// Again afterwards: a character that printable drops may have stood inside a token.
	s = redact(printable(s), secrets)
	return shortened(string(cutJWTs([]byte(s))))
}

// shown quotes a value that came from outside, for an error's text.
func shown(s string) string { return strconv.Quote(shortened(printable(s))) }

// printable drops what moves a terminal's cursor or turns text around, and joins words by single blanks.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

func shortened(s string) string {
	if utf8.RuneCountInString(s) <= maxText {
		return s
	}
	return string([]rune(s)[:maxText]) + "…"
}

// redact cuts out secrets, as they are and as a form encodes them. IAM repeats the refresh token that it
// does not know.
func redact(s string, secrets []secret.Secret) string {
	b := []byte(s)
	for _, x := range longestFirst(secrets) {
		if x.Len() >= minSecret {
			b = bytes.ReplaceAll(b, x.Reveal(), []byte(cut))
			encoded := appendEscaped(nil, x.Reveal())
			b = bytes.ReplaceAll(b, encoded, []byte(cut))
			clear(encoded)
		}
	}
	return string(b)
}

// longestFirst sorts, so that no part of a long secret is left because a short one stands inside it.
func longestFirst(secrets []secret.Secret) []secret.Secret {
	sorted := slices.Clone(secrets)
	slices.SortStableFunc(sorted, func(a, b secret.Secret) int { return b.Len() - a.Len() })
	return sorted
}

// cutJWTs cuts out words that start as the base64 of `{"` does, whoever's they are.
func cutJWTs(b []byte) []byte {
	var out []byte
	for {
		start := bytes.Index(b, []byte("eyJ"))
		if start < 0 {
			return append(out, b...)
		}
		end := start
		for end < len(b) && isTokenByte(b[end]) {
			end++
		}
		out = append(append(out, b[:start]...), cut...)
		b = b[end:]
	}
}

// isTokenByte tells the characters of a JWS in compact serialization (RFC 7515 section 7.1).
func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
