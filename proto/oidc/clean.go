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

const (
	// maxText is how many characters of a provider's text are shown.
	maxText = 300
	// cut stands in a text for what was taken out.
	cut = "[...]"
	// minSecret is the shortest secret that is looked for in texts: cutting shorter ones would only spoil words.
	minSecret = 4
	// unreserved are the characters of a URI that need no escape (RFC 3986 section 2.3); a JWS in compact serialization
	// is made of them (RFC 7515 section 7.1).
	unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
)

// cleanText makes a provider's text fit to be shown or logged: one line of printable characters, not long, without
// secrets. RFC 6749 section 5.2 allows visible ASCII and blanks only; few keep to it.
func cleanText(s string, secrets []secret.Secret) string {
	s = redact(s, secrets)
	// Again afterwards: a character that printable drops may have stood inside a token.
	return shortened(cutJWTs(redact(printable(s), secrets)))
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

// redact cuts out secrets, as they are and as a form encodes them: IAM repeats the refresh token that it does not know.
// The longest come first, so that no part of one is left because a short one stands inside it.
func redact(s string, secrets []secret.Secret) string {
	b := []byte(s)
	for _, x := range slices.SortedFunc(slices.Values(secrets), func(a, b secret.Secret) int { return b.Len() - a.Len() }) {
		if x.Len() >= minSecret {
			encoded := appendEscaped(nil, x.Reveal())
			b = bytes.ReplaceAll(bytes.ReplaceAll(b, x.Reveal(), []byte(cut)), encoded, []byte(cut))
			clear(encoded)
		}
	}
	return string(b)
}

// cutJWTs cuts out words that start as the base64 of `{"` does, whoever's they are.
func cutJWTs(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "eyJ")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(cut)
		s = strings.TrimLeft(rest, unreserved)
	}
}
