package account

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// unprivileged returns what act returns for an ordinary user in a directory with the given mode.
func unprivileged(t *testing.T, mode fs.FileMode, act func(dir string) error) error {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { os.Chmod(dir, 0o700) }) // so that it can be removed
	for path, mode := range map[string]fs.FileMode{dir: mode, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // the thread ends with the goroutine
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
			}
		}
		done <- act(dir)
	}()
	return <-done
}

// In a directory where the user may not write, Lock fails at once: waiting would not help.
func TestLockWithoutPermission(t *testing.T) {
	t.Parallel()
	err := unprivileged(t, 0o555, func(dir string) error {
		_, err := Lock(within10s(t), filepath.Join(dir, "demo"))
		return err
	})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// If the directory cannot be written to disk, WriteFile fails, because a crash could undo the rename.
func TestWriteFileCannotSync(t *testing.T) {
	t.Parallel()
	err := unprivileged(t, 0o333, func(dir string) error { return WriteFile(filepath.Join(dir, "demo"), []byte("new")) })
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want a refusal", err)
	}
}
