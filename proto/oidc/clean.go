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
	// cut replaces a secret in a text.
	cut = "[...]"
	// minSecret is the length from which secrets are removed from texts. Shorter ones are often parts of words.
	minSecret = 4
	// unreserved are the characters that need no escape in a URI (RFC 3986 section 2.3). A JWS in compact
	// serialization consists of them (RFC 7515 section 7.1).
	unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
)

// cleanText makes a provider's text safe to show and log: one short line of printable characters, without secrets.
// RFC 6749 section 5.2 allows only visible ASCII and blanks, but few providers comply.
func cleanText(s string, secrets []secret.Secret) string {
	s = redact(s, secrets)
	// Again, because printable may have removed a character from the middle of a secret.
	return shortened(cutJWTs(redact(printable(s), secrets)))
}

// shown quotes a value from outside for an error text.
func shown(s string) string { return strconv.Quote(shortened(printable(s))) }

// printable removes characters that control a terminal or the direction of text, and multiple blanks.
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

// redact removes secrets, verbatim and form-encoded: INDIGO IAM repeats a refresh token that it does not know. It
// starts with the longest, so that removing a shorter one does not leave part of it.
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

// cutJWTs removes words that begin like the base64 of `{"`, whosever tokens they are.
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
