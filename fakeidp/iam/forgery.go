package iam

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
)

// Forgery spoils the ID token of an answer. What is changed is signed again by the server's key, unless
// Signature or HMACKey say otherwise.
type Forgery struct {
	Header    map[string]any    `json:"header"`    // members to change; nil takes one out
	Claims    map[string]any    `json:"claims"`    // as Header
	Append    map[string]string `json:"append"`    // text behind a claim: a good value becomes a bad one
	Move      map[string]int64  `json:"move"`      // seconds by which claims that are times move; absent ones start now
	Double    string            `json:"double"`    // this claim stands there twice
	Tail      string            `json:"tail"`      // text behind the token
	Rotate    bool              `json:"rotate"`    // sign with a new key, made in this moment
	Signature string            `json:"signature"` // see signatures
	HMACKey   string            `json:"hmac_key"`  // sign by HS256 with this key
}

// signatures are the kinds of [Forgery].Signature: the right one; wrong bytes; none; of ES256 as ASN.1, cut
// short, or all zero; by a key that nobody knows and that stands in the header; by HS256 with the public
// key, as PEM, for the shared one.
var signatures = []string{"", "bad", "none", "der", "short", "zero", "foreign", "public-key"}

// forge returns a token with the changes.
func (f *Forgery) forge(ctx context.Context, keys *keyring, token string) (string, error) {
	parts := strings.Split(token, ".")
	header, err := jwtMembers(parts[0])
	if err != nil {
		return "", err
	}
	claims, err := jwtMembers(parts[1])
	if err != nil {
		return "", err
	}
	if f.Rotate {
		keys.rotate()
	}
	key, err := keys.newest(ctx)
	if err != nil {
		return "", err
	}
	header["kid"] = key.public["kid"]
	if f.Signature == "foreign" {
		key.signer, key.alg = newECKey(), ES256
		header["alg"] = key.alg
		header["jwk"], _ = publicJWK(key.signer.Public())
	}
	alter(header, f.Header, nil)
	alter(claims, f.Claims, f.Append)
	for name, seconds := range f.Move {
		from, ok := claims[name].(float64)
		if !ok {
			from, _ = claims["iat"].(float64)
		}
		claims[name] = from + float64(seconds)
	}
	text, err := json.Marshal(claims)
	if f.Double != "" {
		text = append(fmt.Appendf(nil, `{%q:"first",`, f.Double), text[1:]...)
	}
	if err != nil {
		return "", err
	}
	input := jwtPart(header) + "." + b64(text)
	signature, err := f.sign(key, input)
	return input + "." + b64(signature) + f.Tail, err
}

func jwtMembers(part string) (members map[string]any, err error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		err = json.Unmarshal(data, &members)
	}
	return members, err
}

func (f *Forgery) sign(key signingKey, input string) (sig []byte, err error) {
	secret := []byte(f.HMACKey)
	switch f.Signature {
	case "none":
		return nil, nil
	case "zero":
		return make([]byte, 64), nil
	case "public-key":
		der, err := x509.MarshalPKIXPublicKey(key.signer.Public())
		if err != nil {
			return nil, err
		}
		secret = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if len(secret) > 0 {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		sig = h.Sum(nil)
	} else if sig, err = key.sign(input); err != nil {
		return nil, err
	}
	switch f.Signature {
	case "bad":
		for i := range sig {
			sig[i] ^= 0x5a
		}
	case "short":
		sig = sig[:len(sig)-1]
	case "der":
		r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
		return asn1.Marshal(struct{ R, S *big.Int }{r, s})
	}
	return sig, nil
}
