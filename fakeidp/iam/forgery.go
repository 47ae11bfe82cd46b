package iam

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Forgery spoils the ID token of an answer. What is changed is signed again by the server's key, unless
// Signature or HMACKey say otherwise.
type Forgery struct {
	Header    map[string]any `json:"header"`    // members to change; nil takes one out
	Claims    map[string]any `json:"claims"`    // as Header
	Signature string         `json:"signature"` // "bad": its bytes are wrong; "none": there is none
	HMACKey   string         `json:"hmac_key"`  // sign by HS256 with this key
}

// forge returns a token with the changes.
func (f *Forgery) forge(ctx context.Context, keys *keyring, token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("%q is no JWT", token)
	}
	header, err := changed(parts[0], f.Header)
	if err != nil {
		return "", err
	}
	claims, err := changed(parts[1], f.Claims)
	if err != nil {
		return "", err
	}
	input := header + "." + claims
	signature, err := f.sign(ctx, keys, input)
	return input + "." + signature, err
}

// changed sets members of an encoded object.
func changed(part string, set map[string]any) (string, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", err
	}
	members := map[string]any{}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := d.Decode(&members); err != nil {
		return "", err
	}
	for k, v := range set {
		if members[k] = v; v == nil {
			delete(members, k)
		}
	}
	data, err = json.Marshal(members)
	return b64(data), err
}

func (f *Forgery) sign(ctx context.Context, keys *keyring, input string) (string, error) {
	if f.Signature == "none" {
		return "", nil
	}
	if f.HMACKey != "" {
		h := hmac.New(sha256.New, []byte(f.HMACKey))
		h.Write([]byte(input))
		return b64(h.Sum(nil)), nil
	}
	key, err := keys.newest(ctx)
	if err != nil {
		return "", err
	}
	sig, err := key.sign(keys.alg, input)
	if f.Signature == "bad" {
		for i := range sig {
			sig[i] ^= 0x5a
		}
	}
	return b64(sig), err
}
