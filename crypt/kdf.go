package crypt

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/scrypt"
)

const (
	// scryptN is the work factor of files that we write: 64 MiB of memory and about 0.2 s.
	scryptN = 1 << 16
	// maxScryptWork is the largest N*r*p of files that we open, 32 times what we write: some seconds.
	maxScryptWork = 1 << 24
	// maxScryptMemory bounds 128*N*r, the bytes that scrypt takes.
	maxScryptMemory = 1 << 30
)

// A kdf is a key derivation function with its costs: N, r, p of scrypt (RFC 7914 section 2) or t, m in KiB,
// p of Argon2 (RFC 9106 section 3.1).
type kdf struct {
	name  string
	costs [3]int
}

// What we write, and what is compiled into the C tools. Their memlimit is in bytes, Argon2's m in KiB.
var (
	scryptKDF = kdf{"scrypt", [3]int{scryptN, 8, 1}}
	cKDF      = kdf{"argon2id", [3]int{2, 67108864 / 1024, 1}}
	olderCKDF = kdf{"argon2i", [3]int{4, 33554432 / 1024, 1}}
)

var errCostFormat = errors.New("not a positive decimal number")

// derive runs the KDF for n bytes. The tens of MiB in which it works are left to the garbage collector.
func (f kdf) derive(password, salt []byte, n int) ([]byte, error) {
	t, m, p := uint32(f.costs[0]), uint32(f.costs[1]), uint8(f.costs[2])
	switch f.name {
	case "scrypt":
		return scrypt.Key(password, salt, f.costs[0], f.costs[1], f.costs[2], n)
	case "argon2id":
		return argon2.IDKey(password, salt, t, m, p, uint32(n)), nil
	case "argon2i":
		return argon2.Key(password, salt, t, m, p, uint32(n)), nil
	}
	return nil, fmt.Errorf("key derivation %q: %w", f.name, ErrFormat)
}

// checkScrypt refuses parameters that RFC 7914 section 2 does not allow (a *DamagedError) and those over our
// limits (ErrTooCostly), without computing anything that could overflow.
func (f kdf) checkScrypt() error {
	n, r, p := uint64(f.costs[0]), uint64(f.costs[1]), uint64(f.costs[2])
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 {
		return &DamagedError{fmt.Sprintf("scrypt has no parameters N=%d r=%d p=%d", n, r, p)}
	}
	if overflows(maxScryptMemory, 128, n, r) || overflows(maxScryptWork, n, r, p) {
		return fmt.Errorf("%w: scrypt N=%d r=%d p=%d, where at most %d MiB and N*r*p=%d are allowed",
			ErrTooCostly, n, r, p, maxScryptMemory>>20, maxScryptWork)
	}
	return nil
}

// overflows reports whether the product of factors is over limit.
func overflows(limit uint64, factors ...uint64) bool {
	product := uint64(1)
	for _, f := range factors {
		high, low := bits.Mul64(product, f)
		if high != 0 || low > limit {
			return true
		}
		product = low
	}
	return false
}

// parseCost reads a number that is written in only one way: no sign, no leading zero, no base prefix. One
// that is too large for an int is too costly as well.
func parseCost(text []byte) (int, error) {
	if !isDecimal(text) || text[0] == '0' {
		return 0, errCostFormat
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return 0, fmt.Errorf("%w: a parameter of %d digits", ErrTooCostly, len(text))
	}
	return n, nil
}
