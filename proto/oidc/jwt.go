package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// JWT is a decoded JSON Web Token (RFC 7519) in JWS compact serialization (RFC 7515 section 7.1). Nothing
// in it is verified: it is for looking at, or for [Client.VerifyIDToken].
type JWT struct {
	Header, Claims []byte // JSON objects, as they stand in the token

	header, claims *object
	signed         []byte // what the signature is for
	signature      []byte
}

// DecodeJWT takes a token apart. The three parts must be there, in base64url without padding, the first two
// JSON objects with no member twice; the third may be empty, as that of IAM's refresh tokens is. An
// opaque token is an error. A token's text is never part of one.
func DecodeJWT(token []byte) (*JWT, error) {
	parts := bytes.Split(token, []byte("."))
	if len(token) > maxBody || len(parts) != 3 {
		return nil, errors.New("not a JWT: three parts expected")
	}
	j := &JWT{signed: token[:len(parts[0])+1+len(parts[1])]}
	var err error
	if j.Header, j.header, err = decodePart(parts[0]); err != nil {
		return nil, fmt.Errorf("not a JWT: header: %w", err)
	}
	if j.Claims, j.claims, err = decodePart(parts[1]); err != nil {
		return nil, fmt.Errorf("not a JWT: claims: %w", err)
	}
	if j.signature, err = decodeBase64URL(parts[2]); err != nil {
		return nil, fmt.Errorf("not a JWT: signature: %w", err)
	}
	return j, nil
}

func decodePart(part []byte) ([]byte, *object, error) {
	data, err := decodeBase64URL(part)
	if err != nil {
		return nil, nil, err
	}
	o, err := parseObject(data)
	if err != nil {
		return nil, nil, err
	}
	return data, o, checkUnique(data)
}

var errNoBase64URL = errors.New("base64url without padding expected")

// decodeBase64URL is RFC 7515 section 2. The decoder of the standard library passes over line breaks.
func decodeBase64URL(part []byte) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().AppendDecode(nil, part)
	if err != nil || bytes.ContainsAny(part, "\r\n") {
		return nil, errNoBase64URL
	}
	return data, nil
}

// checkUnique fails where an object, known to be well-formed, has a member twice: RFC 7519 section 4 and RFC
// 7515 section 4 allow to reject such, and nobody knows which of the two another program would take.
func checkUnique(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		key, _ := name.(string)
		if seen[key] {
			return fmt.Errorf("%s stands there twice", shown(key))
		}
		seen[key] = true
	}
	return nil
}
