package iam

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// What [Settings].Conformance changes stands here, or where the method is asked.

// conformanceIDTokenLifetime is how long that suite's ID tokens live.
const conformanceIDTokenLifetime = 300 * time.Second

func (s *Server) conformance() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.Conformance
}

// oddLocked puts punctuation behind a credential, which a client must encode to bring it back (RFC 6749
// section 2.3.1 and appendix B). All that do harm are always among them.
func (s *Server) oddLocked(credential string) string {
	if !s.settings.Conformance {
		return credential
	}
	const harmful, other = "%+&:\"\\ ", "!#$'()*,-./;<=>?@[]^_`{|}~"
	b := randomBytes(2)
	return credential + harmful + string(other[int(b[0])%len(other)]) + string(other[int(b[1])%len(other)])
}

// announce makes of our metadata those of the conformance suite's provider.
func announce(metadata map[string]any) {
	metadata["response_types_supported"] = []string{"code", "id_token code", "token code", "id_token", "token id_token", "token id_token code"}
	metadata["token_endpoint_auth_methods_supported"] = []string{authBasic}
}

// likeConformance takes out of a registration what that suite's provider does not tell.
func (r registration) likeConformance() map[string]any {
	return map[string]any{
		"client_id": r.ClientID, "client_secret": r.ClientSecret, "client_secret_expires_at": 0, "client_name": r.ClientName,
		"redirect_uris": r.RedirectURIs, "grant_types": r.GrantTypes, "response_types": r.ResponseTypes, "scope": r.Scope,
		"token_endpoint_auth_method": r.TokenEndpointAuthMethod,
	}
}

// decoys are public keys that nobody signs with: for signatures two of RSA and one each on P-256 and
// Ed25519, then two for encryption, and three that few can read, on secp256k1 and of types that are new or
// invented.
func decoys() []any {
	x, y := "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
	return []any{
		decoyRSA("decoy1", "sig"), decoyRSA("decoy2", "sig"), decoyEC("decoy3", "sig"),
		jwk{Kty: "OKP", Kid: "decoy4", Use: "sig", Crv: "Ed25519", X: b64(randomBytes(ed25519.PublicKeySize))},
		decoyRSA("decoy5", "enc"), decoyEC("decoy6", "enc"),
		jwk{Kty: "EC", Kid: "decoy7", Use: "sig", Crv: "secp256k1", X: b64(fromHex(x)), Y: b64(fromHex(y))}, // SEC 2 section 2.4.1: G
		map[string]any{"kty": "AKP", "kid": "decoy8", "alg": "ML-DSA-99", "pub": b64(randomBytes(64))},
		map[string]any{"kty": "invented", "kid": "decoy9", "x": "5"},
	}
}

func fromHex(s string) []byte {
	b, _ := hex.DecodeString(s)
	return b
}

// decoyRSA needs no primes: nobody will ever sign with it.
func decoyRSA(kid, use string) jwk {
	n := randomBytes(256)
	n[0], n[255] = n[0]|0x80, n[255]|1
	return jwk{Kty: "RSA", Kid: kid, Use: use, N: b64(n), E: "AQAB"}
}

func decoyEC(kid, use string) jwk {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jwk{}
	}
	k, _ := publicJWK(key.Public())
	k.Kid, k.Use = kid, use
	return k
}
