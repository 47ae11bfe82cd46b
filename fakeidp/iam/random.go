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

// newUserCode makes a code to read and type: six upper-case letters and digits as IAM's. In the alphabet of
// base32 no two look alike: it has neither 0 nor 1 (RFC 8628 section 6.1, RFC 4648 section 6).
func newUserCode() string { return rand.Text()[:6] }

// newClientSecret makes 512 bits, 86 characters, as IAM's.
func newClientSecret() string { return b64(randomBytes(64)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
