package iam

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
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
	if len(parts) != 3 {
		return "", fmt.Errorf("%q is no JWT", token)
	}
	header, err := decodeMembers(parts[0])
	if err != nil {
		return "", err
	}
	claims, err := decodeMembers(parts[1])
	if err != nil {
		return "", err
	}
	key, err := f.key(ctx, keys, header)
	if err != nil {
		return "", err
	}
	alter(header, f.Header, nil)
	alter(claims, f.Claims, f.Append)
	f.move(claims)
	input, err := jwtParts(header, claims)
	if err != nil {
		return "", err
	}
	if f.Double != "" {
		encoded, rest, _ := strings.Cut(input, ".")
		rest, err = double(rest, f.Double)
		input = encoded + "." + rest
	}
	if err != nil {
		return "", err
	}
	signature, err := f.sign(key, keys.alg, input)
	return input + "." + b64(signature) + f.Tail, err
}

func decodeMembers(part string) (map[string]any, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	members := map[string]any{}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	return members, d.Decode(&members)
}

func double(part, name string) (string, error) {
	data, err := base64.RawURLEncoding.DecodeString(part)
	return b64(append(fmt.Appendf(nil, `{%q:"first",`, name), data[1:]...)), err
}

func (f *Forgery) move(claims map[string]any) {
	for name, seconds := range f.Move {
		from, ok := claims[name].(json.Number)
		if !ok {
			from, _ = claims["iat"].(json.Number)
		}
		n, _ := from.Int64()
		claims[name] = n + seconds
	}
}

// key is what to sign with; the header tells of one that is new.
func (f *Forgery) key(ctx context.Context, keys *keyring, header map[string]any) (signingKey, error) {
	if f.Rotate {
		keys.rotate()
	}
	key, err := keys.newest(ctx)
	if err != nil {
		return key, err
	}
	header["kid"] = key.kid
	if f.Signature != "foreign" {
		return key, nil
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return key, err
	}
	header["alg"] = ES256
	header["jwk"], err = publicJWK(signer.Public())
	return signingKey{key.kid, signer}, err
}

func (f *Forgery) sign(key signingKey, alg, input string) ([]byte, error) {
	secret := []byte(f.HMACKey)
	switch f.Signature {
	case "none":
		return nil, nil
	case "foreign":
		return key.sign(ES256, input)
	case "zero":
		return make([]byte, 64), nil
	case "public-key":
		der, err := x509.MarshalPKIXPublicKey(key.signer.Public())
		if err != nil {
			return nil, err
		}
		secret = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	var sig []byte
	var err error
	if len(secret) > 0 {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		sig = h.Sum(nil)
	} else if sig, err = key.sign(alg, input); err != nil {
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
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])})
	}
	return sig, nil
}
