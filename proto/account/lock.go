package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// lockedHere holds the paths of the lock files that this process has locked. It is a package variable because
// record locks belong to the process: a second lock in the same process is granted at once, and closing any
// descriptor of the lock file ends the first. So lockedHere is checked before the file is opened.
var lockedHere sync.Map

const (
	firstPoll = 2 * time.Millisecond
	lastPoll  = 20 * time.Millisecond
)

// Lock acquires the lock on the file path. It waits until the lock is free or ctx ends. The lock lasts until
// unlock is called or the process ends. [WriteFile] replaces the file, so the lock is on another file beside it,
// ".NAME.lock", which Lock creates and nobody removes. It is a record lock (fcntl), which works across machines on
// NFS. Lock also removes the temporary files of writers that were killed.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	real, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	lockPath := filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock")
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) { // F_SETLKW would ignore ctx
		unlock, err := tryLock(lockPath)
		switch {
		case err == nil:
			removeTemps(real)
			return unlock, nil
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
			select {
			case <-ctx.Done():
			case <-time.After(pause/2 + rand.N(pause)): // random, so that waiting processes do not poll in step
			}
			continue
		}
		return nil, fmt.Errorf("waiting for the lock on %q: %w", path, err)
	}
}

// tryLock tries to lock a lock file. The error is EAGAIN if someone else holds the lock.
func tryLock(path string) (unlock func(), err error) {
	if _, busy := lockedHere.LoadOrStore(path, true); busy {
		return nil, syscall.EAGAIN
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		lockedHere.Delete(path)
		return nil, err
	}
	_ = f.Chmod(0o600) // whatever the umask says; it fails for another user's file, which does not matter
	unlock = func() {
		if !errors.Is(f.Close(), os.ErrClosed) { // Close ends the record lock; a second unlock does nothing
			lockedHere.Delete(path)
		}
	}
	record := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &record)
	if err == syscall.EACCES { // POSIX allows both; from OpenFile it means something else
		err = syscall.EAGAIN
	}
	if err != nil {
		unlock()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return unlock, nil
}
