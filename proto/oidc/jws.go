package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // of the algorithms ending in 256
	_ "crypto/sha512" // of the others
	"encoding/json"
	"math/big"
	"slices"
)

// algorithm is a signature algorithm for JWS (RFC 7518 section 3.1, RFC 8037 section 3.1).
type algorithm struct {
	name string
	hash crypto.Hash // of the signature and of at_hash
	fits func(key crypto.PublicKey) bool
	good func(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool
}

// algorithms are all that we accept. RFC 8725 sections 3.1 and 3.2: none of them is "none", and none takes a
// key that the provider publishes for a shared secret (HS256 and its sisters).
func algorithms() []algorithm {
	p256, p384, p521 := isEC(elliptic.P256()), isEC(elliptic.P384()), isEC(elliptic.P521())
	return []algorithm{
		{"RS256", crypto.SHA256, isRSA, verifyPKCS1},
		{"RS384", crypto.SHA384, isRSA, verifyPKCS1},
		{"RS512", crypto.SHA512, isRSA, verifyPKCS1},
		{"PS256", crypto.SHA256, isRSA, verifyPSS},
		{"PS384", crypto.SHA384, isRSA, verifyPSS},
		{"PS512", crypto.SHA512, isRSA, verifyPSS},
		{"ES256", crypto.SHA256, p256, verifyECDSA},
		{"ES384", crypto.SHA384, p384, verifyECDSA},
		{"ES512", crypto.SHA512, p521, verifyECDSA},
		{"EdDSA", crypto.SHA512, isEd25519, verifyEd25519},
	}
}

// Algorithms lists the signature algorithms that are accepted (names of RFC 7518 section 3.1 and RFC 8037).
func Algorithms() (names []string) {
	for _, alg := range algorithms() {
		names = append(names, alg.name)
	}
	return names
}

func isRSA(key crypto.PublicKey) bool {
	_, ok := key.(*rsa.PublicKey)
	return ok
}

func isEd25519(key crypto.PublicKey) bool {
	_, ok := key.(ed25519.PublicKey)
	return ok
}

// isEC: RFC 7518 section 3.4 gives each algorithm its one curve.
func isEC(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(key crypto.PublicKey) bool {
		k, ok := key.(*ecdsa.PublicKey)
		return ok && k.Curve == curve
	}
}

func digest(hash crypto.Hash, signed []byte) []byte {
	h := hash.New()
	h.Write(signed)
	return h.Sum(nil)
}

// verifyPKCS1 is RFC 7518 section 3.3.
func verifyPKCS1(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool {
	return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), hash, digest(hash, signed), signature) == nil
}

// verifyPSS is RFC 7518 section 3.5: the salt is as long as the hash.
func verifyPSS(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool {
	o := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(key.(*rsa.PublicKey), hash, digest(hash, signed), signature, o) == nil
}

// verifyECDSA is RFC 7518 section 3.4: two numbers of the curve's size, one behind the other, no DER.
func verifyECDSA(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool {
	k := key.(*ecdsa.PublicKey)
	size := (k.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k, digest(hash, signed), r, s)
}

// verifyEd25519 is RFC 8037 section 3.1.
func verifyEd25519(key crypto.PublicKey, _ crypto.Hash, signed, signature []byte) bool {
	return ed25519.Verify(key.(ed25519.PublicKey), signed, signature)
}

// verificationKey is a key of a JWK set (RFC 7517 section 4).
type verificationKey struct {
	id, alg string // empty: not told
	key     crypto.PublicKey
}

// parseKey returns false for a key that is not for us: RFC 7517 section 5 says to pass over keys of
// unknown types, with missing members, or with values that are out of range.
func parseKey(raw json.RawMessage) (verificationKey, bool) {
	o, err := parseObject(raw)
	if err != nil {
		return verificationKey{}, false
	}
	k := verificationKey{id: o.text("kid"), alg: o.text("alg")}
	switch o.text("kty") {
	case "RSA": // RFC 7518 section 6.3
		k.key = rsaKey(o.binary("n"), o.binary("e"))
	case "EC": // RFC 7518 section 6.2
		k.key = ecKey(o.text("crv"), o.binary("x"), o.binary("y"))
	case "OKP": // RFC 8037 section 2
		if x := o.binary("x"); o.text("crv") == "Ed25519" && len(x) == ed25519.PublicKeySize {
			k.key = ed25519.PublicKey(x)
		}
	}
	// RFC 7517 sections 4.2 and 4.3: keys for encryption do not verify.
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

// rsaKey wants 2048 bits at least (RFC 7518 sections 3.3 and 3.5), and not so many that verifying takes long.
func rsaKey(n, e []byte) crypto.PublicKey {
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < 2048 || bits > 8192 || exponent.BitLen() > 31 || exponent.BitLen() < 2 {
		return nil
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}
}

func ecKey(name string, x, y []byte) crypto.PublicKey {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		size := (curve.Params().BitSize + 7) / 8
		if curve.Params().Name != name || len(x) != size || len(y) != size {
			continue
		}
		// SEC 1 section 2.3.3: 4, x, y. The parser checks that the point is on the curve.
		key, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, x...), y...))
		if err == nil {
			return key
		}
	}
	return nil
}
