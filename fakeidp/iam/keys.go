package iam

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// keyring holds the signing keys. The first one is generated in the background, because an RSA key takes longer than
// the server may take to start. It has its own mutex: nothing is signed under the server's.
type keyring struct {
	alg   string
	first sync.WaitGroup // done when there is a key

	mu   sync.Mutex // guards what follows
	keys []signingKey
}

type signingKey struct {
	signer crypto.Signer
	alg    string
	public jwk
}

func newKeyring(alg string, key crypto.Signer) (*keyring, error) {
	k := &keyring{alg: alg}
	if key == nil {
		k.first.Go(k.rotate)
		return k, nil
	}
	if _, isRSA := key.Public().(*rsa.PublicKey); isRSA != (alg == RS256) {
		return nil, fmt.Errorf("a key of type %T cannot sign %s", key, alg)
	}
	return k, k.add(key)
}

// add makes signer the key to sign with. The old keys stay in the set, for the tokens that they signed.
func (k *keyring) add(signer crypto.Signer) error {
	public, err := publicJWK(signer.Public())
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	kid := map[string]string{RS256: "rsa", ES256: "ec"}[k.alg] + strconv.Itoa(len(k.keys)+1) // as IAM does
	public["kid"], public["use"], public["alg"] = kid, "sig", k.alg
	k.keys = append(k.keys, signingKey{signer, k.alg, public})
	return nil
}

// rotate generates a key and makes it the one to sign with.
func (k *keyring) rotate() {
	var key crypto.Signer = newECKey()
	if k.alg == RS256 {
		key, _ = rsa.GenerateKey(rand.Reader, 2048) // never fails (crypto/rand)
	}
	k.add(key)
}

func newECKey() *ecdsa.PrivateKey {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails (crypto/rand)
	return key
}

// all waits until there is a key, and returns all keys, newest last.
func (k *keyring) all() []signingKey {
	k.first.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

func (k *keyring) newest() signingKey {
	keys := k.all()
	return keys[len(keys)-1]
}

// sign returns a JWS in compact form (RFC 7515 section 3.1), signed with the newest key.
func (k *keyring) sign(claims map[string]any) string {
	key := k.newest()
	input := jwtPart(map[string]any{"alg": key.alg, "kid": key.public["kid"]}) + "." + jwtPart(claims)
	return input + "." + b64(key.sign(input))
}

func jwtPart(members map[string]any) string { return b64(toJSON(members)) }

func (k signingKey) sign(input string) []byte {
	digest := sha256.Sum256([]byte(input))
	sig, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic("fakeidp/iam: the key of the configuration cannot sign: " + err.Error()) // ours can
	}
	if k.alg != ES256 {
		return sig
	}
	// RFC 7518 section 3.4: two numbers of 32 bytes, not ASN.1.
	var number struct{ R, S *big.Int }
	asn1.Unmarshal(sig, &number)
	return append(number.R.FillBytes(make([]byte, 32)), number.S.FillBytes(make([]byte, 32))...)
}

// jwk is a public key (RFC 7517 section 4, RFC 7518 section 6).
type jwk map[string]string

func publicJWK(key crypto.PublicKey) (jwk, error) {
	switch p := key.(type) {
	case *rsa.PublicKey:
		return jwk{"kty": "RSA", "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, X, Y
		if err != nil || p.Curve != elliptic.P256() {
			return nil, errors.New("an elliptic curve key must be on P-256")
		}
		return jwk{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}, nil
	}
	return nil, fmt.Errorf("key of type %T: must be RSA or P-256", key)
}

// jwks is GET /jwk. It unlocks the server's mutex while it waits for the first key.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	s.mu.Unlock()
	keys := s.keys.all()
	s.mu.Lock()
	var set []any
	if s.settings.Conformance {
		s.document("decoys.json", &set)
	}
	for _, k := range keys {
		public := maps.Clone(k.public)
		if s.settings.Conformance {
			delete(public, "alg")
		}
		set = append(set, public)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"keys": set})
}

// Ready waits until there is a key to sign with. Requests that need one wait by themselves.
func (s *Server) Ready() { s.keys.first.Wait() }

// RotateSigningKey generates a key to sign with from now on. The old keys stay in the set.
func (s *Server) RotateSigningKey() {
	s.Ready()
	s.keys.rotate()
}

// newUUID returns a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
