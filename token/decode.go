package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// decode prints the contents of a token but never its signature: with it, the output would be as good as the
// token.
func decode(r *request) error {
	token, err := r.tokenToDecode()
	if err != nil {
		return err
	}
	header, claims, err := parts(token)
	if err != nil {
		return err
	}
	shown := cjson.New().SetObject("header", header).SetObject("payload", claims)
	if _, err := os.Stdout.WriteString(layout(shown)); err != nil {
		return err
	}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		os.Stderr.WriteString(inWords(claims, time.Now()))
	}
	return r.verify(token)
}

func (r *request) tokenToDecode() (secret.Secret, error) {
	if r.name != "-" {
		t, err := fetch(r)
		return t.value, err
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	return secret.New(bytes.TrimSpace(text)), err
}

// parts returns the header and the payload of a JWT in JWS compact serialization (RFC 7515 section 7.1). Both are
// JSON objects.
func parts(token secret.Secret) (header, payload *cjson.Object, err error) {
	all := bytes.Split(token.Reveal(), []byte("."))
	if len(all) != 3 {
		return nil, nil, errors.New("the token is not a JWT: only its issuer can read it")
	}
	var objects [2]*cjson.Object
	for i, name := range [...]string{"header", "payload"} {
		text, err := fromBase64URL(all[i])
		if err == nil {
			objects[i], err = cjson.Parse(text)
		}
		if err != nil {
			return nil, nil, errors.New("the token is not a JWT: " + name + ": " + err.Error())
		}
	}
	return objects[0], objects[1], nil
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// fromBase64URL decodes base64url without padding (RFC 7515 section 2). encoding/base64 would do, but it builds
// tables at every start, which takes 2 % of a call that prints a token.
func fromBase64URL(text []byte) ([]byte, error) {
	var out []byte
	var bits, n uint
	for _, c := range text {
		value := strings.IndexByte(base64URL, c)
		if value < 0 {
			return nil, errors.New("base64url expected")
		}
		bits, n = bits<<6|uint(value), n+6
		if n >= 8 {
			n -= 8
			out = append(out, byte(bits>>n))
		}
	}
	if n == 6 {
		return nil, errors.New("base64url ends too early")
	}
	return out, nil
}

// verify has the agent check the signature, since it knows the issuers, and prints the verdict on standard error.
func (r *request) verify(token secret.Secret) error {
	answer, err := r.call(ipc.Request(ipc.RequestVerifyToken).SetSecret(ipc.KeyToken, token))
	verdict := ""
	switch {
	case errors.Is(err, ipc.ErrUnknownRequest):
		verdict = "not checked: this agent cannot check signatures"
	case err != nil:
		verdict = "not checked: " + err.Error()
	case answer.Bool(ipc.KeyValid):
		verdict = "valid, by the keys of " + answer.Text(ipc.KeyIssuer)
	default:
		return errors.New("this token was not signed by its issuer: " + answer.Text(ipc.KeyInfo))
	}
	os.Stderr.WriteString(cli.Printable("signature: " + verdict + "\n"))
	return nil
}

// inWords describes the times among the claims (RFC 7519 section 4.1, OpenID Connect Core section 2).
func inWords(claims *cjson.Object, now time.Time) (text string) {
	for _, c := range [...]struct{ name, past, future string }{
		{"auth_time", "login", "login"}, {"iat", "issued", "issued"},
		{"nbf", "valid since", "valid from"}, {"exp", "EXPIRED", "expires"},
	} {
		seconds, ok := claims.Int(c.name)
		if !ok {
			continue
		}
		at := time.Unix(seconds, 0)
		word, distance := c.past, "ago"
		gap := now.Sub(at)
		if gap < 0 {
			word, distance, gap = c.future, "from now", -gap
		}
		text += word + " " + at.Format("2006-01-02 15:04:05 MST") + ", " + length(gap) + " " + distance + "\n"
	}
	return text
}

// length returns a duration in the largest unit of which it has at least two.
func length(d time.Duration) string {
	for _, unit := range [...]struct {
		name string
		d    time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int(d / unit.d); n >= 2 {
			return strconv.Itoa(n) + " " + unit.name + "s"
		}
	}
	return strconv.Itoa(int(d/time.Second)) + " seconds"
}

// layout indents an object by two spaces per level. Tabs in strings are escaped, so every tab is white space.
func layout(o *cjson.Object) string {
	text := string([]rune(string(o.Layout()))) // each byte that is not UTF-8 becomes U+FFFD
	return strings.NewReplacer(":\t", ": ", "\t", "  ").Replace(text) + "\n"
}
