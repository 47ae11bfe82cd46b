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

// lockedHere are the paths of the lock files that this process holds. It is the one variable of this package
// because record locks belong to the process: a second one in the same process is granted at once, and closing any
// descriptor of the lock file drops the first. So all who lock must meet in one place before they open the file.
var lockedHere sync.Map

const (
	firstPoll = 2 * time.Millisecond
	lastPoll  = 20 * time.Millisecond
)

// Lock waits until nobody else has the lock of path, or until ctx ends. It lasts until unlock or the end of the
// process. What is locked is not the file itself, which WriteFile replaces, but a dot-file beside it, ".NAME.lock",
// which is made if need be and stays. The lock is a record lock (fcntl), which NFS passes on to other machines.
// Temporary files of writers who were killed are removed.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	real, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	lockPath := filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock")
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) { // F_SETLKW would wait without an end
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
			case <-time.After(pause/2 + rand.N(pause)): // the spread keeps those who wait from asking in step
			}
			continue
		}
		return nil, fmt.Errorf("waiting for the lock of %q: %w", path, err)
	}
}

// tryLock opens the lock file and asks for the record lock on it once. EAGAIN: somebody has it.
func tryLock(path string) (unlock func(), err error) {
	if _, busy := lockedHere.LoadOrStore(path, true); busy {
		return nil, syscall.EAGAIN
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		lockedHere.Delete(path)
		return nil, err
	}
	// The umask may have taken bits away; a file of somebody else is none that we could mend.
	_ = f.Chmod(0o600)
	unlock = func() {
		if !errors.Is(f.Close(), os.ErrClosed) { // ends the record lock; a second call does nothing
			lockedHere.Delete(path)
		}
	}
	record := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &record)
	if err == syscall.EACCES { // which POSIX allows as well; of OpenFile it means that nobody may have it here
		err = syscall.EAGAIN
	}
	if err != nil {
		unlock()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return unlock, nil
}
