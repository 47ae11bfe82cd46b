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

// FileLock is a lock on a file that other processes, also on other machines that share the directory,
// honour. It ends with Unlock or with the process.
type FileLock struct {
	file *os.File
	path string
}

// Lock waits until nobody else has the lock of path, or until ctx ends. What is locked is not the file
// itself, which WriteFile replaces, but a dot-file beside it, ".NAME.lock", which is made if need be and
// stays. The lock is a record lock (fcntl), which NFS passes on to other machines. Temporary files of writers who
// were killed are removed.
func Lock(ctx context.Context, path string) (*FileLock, error) {
	real, err := realPath(path)
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	lockPath := filepath.Join(filepath.Dir(real), "."+filepath.Base(real)+".lock")
	if err := inProcess.acquire(ctx, lockPath); err != nil {
		return nil, fmt.Errorf("waiting for the lock of %q: %w", path, err)
	}
	file, err := openLocked(ctx, lockPath)
	if err != nil {
		inProcess.release(lockPath)
		return nil, fmt.Errorf("waiting for the lock of %q: %w", path, err)
	}
	removeTemps(real)
	return &FileLock{file, lockPath}, nil
}

// Unlock gives the lock back. A second call does nothing.
func (l *FileLock) Unlock() {
	if l.file == nil {
		return
	}
	l.file.Close() // ends the record lock
	l.file = nil
	inProcess.release(l.path)
}

// realPath returns the file that path names in the end, so that all who reach it through links take the same
// lock.
func realPath(path string) (string, error) {
	path, err := resolve(path)
	if err != nil {
		return "", err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// openLocked opens the lock file and waits for the record lock on it.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	// The umask may have taken bits away; a file of somebody else is none that we could mend.
	_ = f.Chmod(0o600)
	if err := lockRecord(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

const (
	firstPoll = 2 * time.Millisecond
	lastPoll  = 20 * time.Millisecond
)

// lockRecord asks again and again: F_SETLKW would wait without an end.
func lockRecord(ctx context.Context, f *os.File) error {
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		record := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
		err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &record)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES): // somebody has it; POSIX allows both
		default:
			return os.NewSyscallError("fcntl", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause/2 + rand.N(pause)): // the spread keeps those who wait from asking in step
		}
	}
}

// inProcess stands in for record locks among goroutines. It is the one variable of this package because
// record locks belong to the process: a second one in the same process is granted at once, and closing any
// descriptor of the lock file drops the first. So all who lock must meet in one place before they
// open the file. It holds only what is locked now.
var inProcess = keyedLock{held: map[string]chan struct{}{}}

// keyedLock is a mutex for each key, with an end to the waiting.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed on release
}

func (k *keyedLock) acquire(ctx context.Context, key string) error {
	for {
		k.mu.Lock()
		released, busy := k.held[key]
		if !busy {
			k.held[key] = make(chan struct{})
		}
		k.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-released:
		}
	}
}

func (k *keyedLock) release(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.held[key])
	delete(k.held, key)
}
