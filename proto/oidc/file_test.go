package oidc

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A "file" that an account names can neither block us nor fill the memory.
func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero"} {
		_, err := NewClient(Options{CAFile: path})
		wantText(t, err, "not a regular file")
		_, err = mustClient(t, Options{}).Discover(t.Context(), "", "file://"+path)
		wantText(t, err, "not a regular file")
	}
}
