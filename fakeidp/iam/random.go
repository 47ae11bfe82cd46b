package iam

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// newUUID makes a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newClientSecret makes 512 bits, 86 characters, as IAM's.
func newClientSecret() string { return b64(randomBytes(64)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

// odd puts punctuation behind a credential if the settings want it: a client must encode that to bring it back
// (RFC 6749 section 2.3.1 and appendix B).
func (s *Server) odd(credential string) string {
	if !s.settings.Conformance {
		return credential
	}
	return credential + "%+&:\"\\ !#$'()*,-./;<=>?@[]^_`{|}~"
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
