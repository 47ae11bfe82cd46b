package iam

import (
	"crypto/rand"
	"fmt"
)

// newUUID makes a random UUID (RFC 9562 section 5.4).
func newUUID() string {
	b := randomBytes(16)
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newUserCode makes a code to read and type: six upper-case letters and digits as IAM's, less those that
// look alike (RFC 8628 section 6.1). 32 characters, so no letter is likelier than another.
func newUserCode() string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	code := randomBytes(6)
	for i, b := range code {
		code[i] = alphabet[b%32]
	}
	return string(code)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}

func randomText(bytes int) string { return b64(randomBytes(bytes)) }
