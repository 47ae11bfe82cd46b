package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// lockForParent is an environment variable that names a file. It turns the test binary into a process that locks
// the file, reports it, and keeps the lock until its standard input ends or it is killed.
const lockForParent = "ACCOUNT_TEST_LOCK"

// ownerForParent turns the test binary into a process that reports whether a file is locked.
const ownerForParent = "ACCOUNT_TEST_OWNER"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(lockForParent) != "":
		os.Exit(holdLock(os.Getenv(lockForParent)))
	case os.Getenv(ownerForParent) != "":
		os.Exit(sayOwner(os.Getenv(ownerForParent)))
	}
	os.Exit(m.Run())
}

func holdLock(path string) int {
	l, err := Lock(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
	l()
	return 0
}

func sayOwner(path string) int {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), os.O_RDWR, 0)
	if err != nil {
		return 1
	}
	record := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &record); err != nil {
		return 1
	}
	if record.Type == syscall.F_UNLCK {
		fmt.Print("nobody")
	} else {
		fmt.Print("somebody")
	}
	return 0
}

// otherProcess is a process that holds a lock.
type otherProcess struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func lockElsewhere(t *testing.T, path string) otherProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lockForParent+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return otherProcess{cmd, stdin}
}

// refused checks that the lock cannot be acquired.
func refused(t *testing.T, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	l, err := Lock(ctx, path)
	if err == nil {
		l()
		t.Fatal("the lock is not held")
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func within10s(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustLock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	l, err := Lock(within10s(t), path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Lock waits for the lock of another process, which ends when that process unlocks or dies.
func TestLockBetweenProcesses(t *testing.T) {
	t.Parallel()
	ends := map[string]func(otherProcess) error{
		"unlocks": func(p otherProcess) error { return p.stdin.Close() },
		"dies":    func(p otherProcess) error { return p.cmd.Process.Signal(syscall.SIGKILL) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "demo")
			other := lockElsewhere(t, path)
			refused(t, path)
			got := make(chan error, 1)
			go func() {
				l, err := Lock(within10s(t), path)
				if err == nil {
					l()
				}
				got <- err
			}()
			if err := end(other); err != nil {
				t.Fatal(err)
			}
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}

// Another process sees our lock.
func TestLockIsSeenElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo")
	l := mustLock(t, path)
	if owner := recordOwner(t, path); owner != "somebody" {
		t.Errorf("a lock that we hold is seen as held by %s", owner)
	}
	l()
	if owner := recordOwner(t, path); owner != "nobody" {
		t.Errorf("after Unlock it is seen as held by %s", owner)
	}
}

// recordOwner lets another process find out whether the lock is held.
func recordOwner(t *testing.T, path string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ownerForParent+"="+path)
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

// Goroutines of one process exclude each other too, which record locks alone would not do.
func TestLockBetweenGoroutines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo")
	var inside, entered atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			l, err := Lock(within10s(t), path)
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two are inside")
			}
			entered.Add(1)
			inside.Add(-1)
			l()
		})
	}
	wg.Wait()
	if entered.Load() != 20 {
		t.Errorf("%d of 20 came in", entered.Load())
	}
}

// Waiting ends with the context, even for a lock of our own process, and does not disturb its owner.
func TestLockEndsWithContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo")
	l := mustLock(t, path)
	refused(t, path)
	if owner := recordOwner(t, path); owner != "somebody" {
		t.Error("giving up has ended the record lock")
	}
	cause := errors.New("the caller is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := Lock(ctx, path); !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
	l()
	l() // the second call does nothing
	mustLock(t, path)()
}

// Different files have different locks; different paths of one file have the same.
func TestLockPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := mkdir(t, dir, "real")
	for link, target := range map[string]string{"folder": "real", "demo": "real/demo"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, filepath.Join(real, "demo"))
	l := mustLock(t, filepath.Join(real, "demo"))
	mustLock(t, filepath.Join(real, "other"))()
	refused(t, filepath.Join(dir, "folder", "demo"))
	refused(t, filepath.Join(dir, "demo"))
	l()
	if got := entries(t, real); got != ".demo.lock .other.lock demo" {
		t.Errorf("lock files: %s", got)
	}
	if names, err := (Dir{real}).List(); err != nil || len(names) != 1 {
		t.Errorf("the listing shows %q, %v", names, err)
	}
}

// Not parallel: the umask belongs to the process.
func TestLockFileMode(t *testing.T) {
	for _, umask := range []int{0, 0o777} {
		path := filepath.Join(t.TempDir(), "demo")
		old := syscall.Umask(umask)
		l, err := Lock(within10s(t), path)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if got := mode(t, filepath.Join(filepath.Dir(path), ".demo.lock")); got != 0o600 {
			t.Errorf("umask %o: mode %o", umask, got)
		}
		l()
	}
}

func TestLockErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	touch(t, filepath.Join(dir, "file"))
	if err := os.Symlink("file", filepath.Join(dir, ".linked.lock")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir + "/file/demo", dir + "/no/demo", dir + "/linked"} {
		for range 2 { // the first attempt leaves nothing locked
			if _, err := Lock(within10s(t), path); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Lock(%q): %v", path, err)
			}
		}
	}
}

// Lock removes the temporary files of writers that were killed, and nothing else.
func TestLockRemovesTemps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"demo", ".demo.new-123", ".demo.new-456", ".demo.new-x.lock", ".demo.new-", ".demo2.new-1", "[d]emo", ".[d]emo.new-1"} {
		touch(t, filepath.Join(dir, name))
	}
	mustLock(t, filepath.Join(dir, "demo"))()
	if got := entries(t, dir); got != ".[d]emo.new-1 .demo.lock .demo.new-x.lock .demo2.new-1 [d]emo demo" {
		t.Errorf("left: %s", got)
	}
}
