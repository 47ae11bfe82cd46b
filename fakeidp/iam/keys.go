package iam

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"sync"
)

// keyring holds the signing keys. The first one is made in the background, for an RSA key takes longer than
// a server may take to start.
type keyring struct {
	alg   string
	ready chan struct{} // closed when there is a key

	mu   sync.Mutex // guards what follows
	keys []signingKey
	err  error
}

type signingKey struct {
	kid    string
	signer crypto.Signer
}

func newKeyring(alg string, key crypto.Signer) (*keyring, error) {
	k := &keyring{alg: alg, ready: make(chan struct{})}
	if key == nil {
		go func() {
			k.rotate()
			close(k.ready)
		}()
		return k, nil
	}
	if _, err := publicJWK(key.Public()); err != nil {
		return nil, err
	}
	if _, isRSA := key.(*rsa.PrivateKey); isRSA != (alg == RS256) {
		return nil, fmt.Errorf("a key of type %T cannot sign %s", key, alg)
	}
	k.keys = []signingKey{{kid: k.kid(1), signer: key}}
	close(k.ready)
	return k, nil
}

// kid names keys as IAM does: rsa1 is the first.
func (k *keyring) kid(n int) string {
	if k.alg == ES256 {
		return fmt.Sprintf("ec%d", n)
	}
	return fmt.Sprintf("rsa%d", n)
}

// rotate makes a new key and signs with it from now on. The old ones stay in the set, so that tokens that
// are still valid verify.
func (k *keyring) rotate() {
	var signer crypto.Signer
	var err error
	if k.alg == ES256 {
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err = err; err == nil {
		k.keys = append(k.keys, signingKey{kid: k.kid(len(k.keys) + 1), signer: signer})
	}
}

func (k *keyring) wait(ctx context.Context) error {
	select {
	case <-k.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the signing key: %w", context.Cause(ctx))
	}
}

func (k *keyring) all(ctx context.Context) ([]signingKey, error) {
	if err := k.wait(ctx); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return nil, fmt.Errorf("making a signing key: %w", k.err)
	}
	return k.keys[:len(k.keys):len(k.keys)], nil
}

func (k *keyring) newest(ctx context.Context) (signingKey, error) {
	keys, err := k.all(ctx)
	if err != nil {
		return signingKey{}, err
	}
	return keys[len(keys)-1], nil
}

// sign makes a JWS in compact form (RFC 7515 section 3.1) with the newest key.
func (k *keyring) sign(ctx context.Context, claims any) (string, error) {
	key, err := k.newest(ctx)
	if err != nil {
		return "", err
	}
	input, err := jwtParts(map[string]any{"alg": k.alg, "kid": key.kid}, claims)
	if err != nil {
		return "", err
	}
	sig, err := key.sign(k.alg, input)
	return input + "." + b64(sig), err
}

func (k signingKey) sign(alg, input string) ([]byte, error) {
	digest := sha256.Sum256([]byte(input))
	sig, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if alg == ES256 {
		return rawECDSA(sig)
	}
	return sig, nil
}

// rawECDSA turns an ASN.1 signature into the two numbers of 32 bytes that RFC 7518 section 3.4 wants.
func rawECDSA(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("reading our own signature: %w", err)
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return raw, nil
}

// unsigned makes a JWT with alg none (RFC 7519 section 6.1): so are IAM's refresh tokens.
func unsigned(claims any) (string, error) {
	input, err := jwtParts(map[string]any{"alg": "none"}, claims)
	return input + ".", err
}

func jwtParts(header, claims any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return b64(h) + "." + b64(c), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is a public key (RFC 7517 section 4, RFC 7518 section 6).
type jwk struct {
	Kty string `json:"kty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

func publicJWK(key crypto.PublicKey) (jwk, error) {
	switch p := key.(type) {
	case *rsa.PublicKey:
		return jwk{Kty: "RSA", N: b64(p.N.Bytes()), E: b64(big.NewInt(int64(p.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, X, Y
		if err != nil || p.Curve != elliptic.P256() {
			return jwk{}, fmt.Errorf("an elliptic key must be on P-256")
		}
		return jwk{Kty: "EC", Crv: "P-256", X: b64(point[1:33]), Y: b64(point[33:])}, nil
	}
	return jwk{}, fmt.Errorf("key of type %T: it is RSA or P-256", key)
}

// jwks is GET /jwk.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) error {
	keys, err := s.keys.all(r.Context())
	if err != nil {
		return err
	}
	set := struct {
		Keys []any `json:"keys"`
	}{}
	odd := s.conformance()
	if odd {
		set.Keys = append(set.Keys, decoys()...)
	}
	for _, k := range keys {
		public, err := publicJWK(k.signer.Public())
		if err != nil {
			return err
		}
		public.Kid, public.Use, public.Alg = k.kid, "sig", s.keys.alg
		if odd {
			public.Alg = ""
		}
		set.Keys = append(set.Keys, public)
	}
	return writeJSON(w, http.StatusOK, set)
}

// RotateSigningKey makes a new key and signs with it from now on. The old ones stay in the set.
func (s *Server) RotateSigningKey(ctx context.Context) error {
	if err := s.keys.wait(ctx); err != nil {
		return err
	}
	s.keys.rotate()
	_, err := s.keys.all(ctx)
	return err
}
