package oidc

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for the algorithms that end in 256
	_ "crypto/sha512" // for the others
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"oidc-agent/proto/secret"
)

// jwt is a decoded, unverified JSON Web Token (RFC 7519) in JWS compact serialization (RFC 7515 section 7.1).
type jwt struct {
	header, claims *object
	signed         []byte // the JWS signing input
	signature      []byte
}

// decodeJWT decodes a token of three parts in base64url without padding: two JSON objects without duplicate members,
// and a signature, which is empty in INDIGO IAM's refresh tokens. An error does not contain the token.
func decodeJWT(token secret.Secret) (*jwt, error) {
	parts := bytes.Split(token.Reveal(), []byte("."))
	if token.Len() > maxBody || len(parts) != 3 {
		return nil, errors.New("not a JWT: three parts expected")
	}
	header, err1 := decodePart(parts[0])
	claims, err2 := decodePart(parts[1])
	signature, err3 := decodeBase64URL(parts[2])
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("not a JWT: %w", err)
	}
	return &jwt{header, claims, token.Reveal()[:len(parts[0])+1+len(parts[1])], signature}, nil
}

func decodePart(part []byte) (*object, error) {
	data, err := decodeBase64URL(part)
	if err != nil {
		return nil, err
	}
	o, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	return o, checkUnique(data)
}

// decodeBase64URL decodes base64url as RFC 7515 section 2 defines it. The standard library would allow line breaks.
func decodeBase64URL(part []byte) ([]byte, error) {
	data, err := base64.RawURLEncoding.Strict().AppendDecode(nil, part)
	if err != nil || bytes.ContainsAny(part, "\r\n") {
		return nil, errors.New("base64url without padding expected")
	}
	return data, nil
}

// checkUnique returns an error if a JSON object has duplicate members. RFC 7519 section 4 and RFC 7515 section 4
// allow rejecting them; another program might use the other one.
func checkUnique(data []byte) error {
	d, seen := json.NewDecoder(bytes.NewReader(data)), map[json.Token]bool{}
	d.Token() // the brace
	for d.More() {
		name, _ := d.Token()
		if err := d.Decode(new(json.RawMessage)); err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("%s occurs twice", shown(fmt.Sprint(name)))
		}
		seen[name] = true
	}
	return nil
}

// algorithm is a signature algorithm for JWS (RFC 7518 section 3.1, RFC 8037 section 3.1).
type algorithm struct {
	name  string
	hash  crypto.Hash    // for the signature and for at_hash
	curve elliptic.Curve // of the ECDSA algorithms (RFC 7518 section 3.4)
}

// algorithms are those that we accept. RFC 8725 sections 3.1 and 3.2: neither "none", nor HS256 and the like, with
// which a public key could be abused as a shared secret.
var algorithms = [...]algorithm{
	{"RS256", crypto.SHA256, nil}, {"RS384", crypto.SHA384, nil}, {"RS512", crypto.SHA512, nil},
	{"PS256", crypto.SHA256, nil}, {"PS384", crypto.SHA384, nil}, {"PS512", crypto.SHA512, nil},
	{"ES256", crypto.SHA256, elliptic.P256()}, {"ES384", crypto.SHA384, elliptic.P384()},
	{"ES512", crypto.SHA512, elliptic.P521()}, {"EdDSA", crypto.SHA512, nil},
}

// algorithm returns the algorithm that the header names. The case matters: "None" and "rs256" are not accepted.
func (j *jwt) algorithm() (algorithm, error) {
	name := j.header.text("alg")
	j.header.text("kid") // it must be a string
	if j.header.has("crit") {
		// RFC 7515 section 4.1.11
		return algorithm{}, errors.New("its header requires an extension (\"crit\") that is not supported")
	}
	i := slices.IndexFunc(algorithms[:], func(a algorithm) bool { return a.name == name })
	if i < 0 {
		return algorithm{}, fmt.Errorf("it is signed with %s, which is not accepted", shown(name))
	}
	return algorithms[i], j.header.err
}

// verifies reports whether the token is signed with this algorithm and this key.
func (a algorithm) verifies(j *jwt, key crypto.PublicKey) bool {
	digest := a.digest(j.signed)
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch a.name[:2] {
		case "RS": // RFC 7518 section 3.3
			return rsa.VerifyPKCS1v15(k, a.hash, digest, j.signature) == nil
		case "PS": // RFC 7518 section 3.5: salt and hash have the same length
			o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(k, a.hash, digest, j.signature, o) == nil
		}
	case *ecdsa.PublicKey: // RFC 7518 section 3.4: R and S of the curve's size, concatenated; not DER
		size := (k.Params().BitSize + 7) / 8
		if k.Curve != a.curve || len(j.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(j.signature[:size]), new(big.Int).SetBytes(j.signature[size:])
		return ecdsa.Verify(k, digest, r, s)
	case ed25519.PublicKey: // RFC 8037 section 3.1
		return a.name == "EdDSA" && ed25519.Verify(k, j.signed, j.signature)
	}
	return false
}

func (a algorithm) digest(data []byte) []byte {
	h := a.hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// verificationKey is a key of a JWK set (RFC 7517 section 4).
type verificationKey struct {
	id, alg string // empty if the provider does not say
	key     crypto.PublicKey
}

// parseKey returns false for a key that we cannot use. RFC 7517 section 5: ignore keys with an unknown type, missing
// members or values out of range.
func parseKey(raw json.RawMessage) (verificationKey, bool) {
	o, err := parseObject(raw)
	if err != nil {
		return verificationKey{}, false
	}
	k := verificationKey{id: o.text("kid"), alg: o.text("alg")}
	switch o.text("kty") {
	case "RSA": // RFC 7518 section 6.3
		n, e := new(big.Int).SetBytes(o.binary("n")), new(big.Int).SetBytes(o.binary("e"))
		// RFC 7518 sections 3.3 and 3.5: at least 2048 bits. Very large keys would make verification slow.
		if bits := n.BitLen(); bits >= 2048 && bits <= 8192 && e.BitLen() > 1 && e.BitLen() < 32 {
			k.key = &rsa.PublicKey{N: n, E: int(e.Int64())}
		}
	case "EC": // RFC 7518 section 6.2
		for _, a := range algorithms {
			if a.curve == nil || a.curve.Params().Name != o.text("crv") {
				continue
			}
			// SEC 1 section 2.3.3: 4, x, y. The parser checks their sizes and that the point is on the curve.
			point := slices.Concat([]byte{4}, o.binary("x"), o.binary("y"))
			if key, err := ecdsa.ParseUncompressedPublicKey(a.curve, point); err == nil {
				k.key = key
			}
		}
	case "OKP": // RFC 8037 section 2
		if x := o.binary("x"); o.text("crv") == "Ed25519" && len(x) == ed25519.PublicKeySize {
			k.key = ed25519.PublicKey(x)
		}
	}
	// RFC 7517 sections 4.2 and 4.3: the key may be for encryption only.
	use, ops := o.text("use"), o.texts("key_ops")
	meant := (use == "" || use == "sig") && (!o.has("key_ops") || slices.Contains(ops, "verify"))
	return k, k.key != nil && meant && o.err == nil
}

func (o *object) binary(name string) []byte {
	data, err := decodeBase64URL([]byte(o.text(name)))
	if err != nil {
		o.fail("%q: %w", name, err)
	}
	return data
}
