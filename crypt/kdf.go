package crypt

import (
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

// costs are N, r, p of scrypt (RFC 7914 section 2) or t, m in KiB, p of Argon2 (RFC 9106 section 3.1).
type costs [3]int

const (
	// maxScryptWork is the largest N*r*p that we accept, 32 times what we write: a few seconds.
	maxScryptWork = 1 << 24
	// maxScryptMemory limits 128*N*r, the bytes that scrypt takes.
	maxScryptMemory = 1 << 30
)

// derive runs the KDF of a format and returns n bytes. It leaves tens of MiB to the garbage collector.
func (c costs) derive(f Format, password, salt []byte, n int) ([]byte, error) {
	switch f {
	case FormatScrypt:
		return scrypt.Key(password, salt, c[0], c[1], c[2], n)
	case formatOlderHex:
		return argon2.Key(password, salt, uint32(c[0]), uint32(c[1]), uint8(c[2]), uint32(n)), nil
	}
	return argon2.IDKey(password, salt, uint32(c[0]), uint32(c[1]), uint8(c[2]), uint32(n)), nil
}

// checkScrypt rejects costs that RFC 7914 section 2 does not allow (ErrDamaged) and those above our limits
// (ErrTooCostly). It divides the limits, because a product could overflow.
func (c costs) checkScrypt() error {
	n, r, p := c[0], c[1], c[2]
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 {
		return damaged(fmt.Sprintf("its scrypt parameters N=%d r=%d p=%d are invalid", n, r, p))
	}
	if n > maxScryptMemory/128/r || n > maxScryptWork/r/p {
		return fmt.Errorf("%w: scrypt N=%d r=%d p=%d, where at most %d MiB and N*r*p=%d are allowed",
			ErrTooCostly, n, r, p, maxScryptMemory>>20, maxScryptWork)
	}
	return nil
}
