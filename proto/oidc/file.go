package oidc

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxRoots is the largest file of certificates in bytes, some fifty times what a system has.
const maxRoots = 16 << 20

// readFile reads a file that an account names. What is no file is refused: nobody may ever write into a pipe, and a
// device may have no end.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a pipe would wait for its writer
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%q is not a regular file of at most %d bytes", path, limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
