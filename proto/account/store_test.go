package account

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// entries returns the names in a directory.
func entries(t *testing.T, dir string) string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range found {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// Not parallel: the umask belongs to the process.
func TestWriteFileMode(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		path := filepath.Join(t.TempDir(), "demo")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		old := syscall.Umask(umask)
		err := WriteFile(path, []byte("new"))
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if got := mode(t, path); got != 0o600 {
			t.Errorf("umask %o: mode %o", umask, got)
		}
		if got := contents(t, path); got != "new" {
			t.Errorf("umask %o: contents %q", umask, got)
		}
		if got := entries(t, filepath.Dir(path)); got != "demo" {
			t.Errorf("umask %o: left behind %q", umask, got)
		}
	}
}

// A link to a file stays a link, even if it leads through other links and linked directories. A dangling link is
// replaced, so that it does not prevent a login from being saved.
func TestWriteFileKeepsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := mkdir(t, dir, "deep", "real")
	for link, target := range map[string]string{
		"demo": "folder/second", "folder": "deep/real", "deep/real/second": "../target", "loop": "loop",
		"new": "no/such/folder",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	touch(t, filepath.Join(dir, "deep", "target"))
	if err := WriteFile(filepath.Join(dir, "demo"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "demo")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("no link any more: %v, %v", info.Mode(), err)
	}
	if got := contents(t, filepath.Join(dir, "deep", "target")); got != "new" {
		t.Errorf("the target has %q", got)
	}
	if got := entries(t, real); got != "second" {
		t.Errorf("in the folder: %q", got)
	}
	if err := WriteFile(filepath.Join(dir, "new"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, filepath.Join(dir, "new")); got != "new" {
		t.Errorf("instead of a dangling link: %q", got)
	}
	if err := WriteFile(filepath.Join(dir, "loop"), nil); err == nil {
		t.Errorf("a loop of links was written")
	}
}

func TestWriteFileErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	touch(t, filepath.Join(dir, "file"))
	mkdir(t, dir, "folder")
	fifo := filepath.Join(t.TempDir(), "fifo") // not a device: if the test fails as root, it is replaced
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fifo, filepath.Join(dir, "pipe")); err != nil {
		t.Fatal(err)
	}
	before := entries(t, dir)
	for _, path := range []string{dir + "/file/demo", dir + "/no/demo", dir + "/folder", dir + "/pipe", "/proc/demo"} {
		if err := WriteFile(path, []byte("x")); err == nil || !strings.Contains(err.Error(), path) && path != dir+"/pipe" {
			t.Errorf("WriteFile(%q): %v", path, err)
		} else if strings.Contains(err.Error(), ".new-") {
			t.Errorf("WriteFile(%q) names the temporary file: %v", path, err)
		}
	}
	if err := WriteFile(dir+"/big", make([]byte, 1<<20+1)); err == nil {
		t.Error("wrote more than can be read")
	}
	if after := entries(t, dir); after != before {
		t.Errorf("left behind: %q, before: %q", after, before)
	}
	if got := entries(t, filepath.Join(dir, "folder")); got != "" {
		t.Errorf("in the folder: %q", got)
	}
}

// When the disk becomes full, here simulated by a limit on the size of files, the old contents stay and nothing
// else. Not parallel: the limit belongs to the process.
func TestWriteFileFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo")
	if err := WriteFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = 4096
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, make([]byte, 10_000))
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("got %v, want EFBIG", err)
	}
	if got := contents(t, path); got != "old" {
		t.Errorf("the file has %d bytes", len(got))
	}
	if got := entries(t, filepath.Dir(path)); got != "demo" {
		t.Errorf("left behind: %q", got)
	}
}

// A reader finds the old or the new contents at any time.
func TestWriteFileIsAtomic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo")
	texts := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 50_000)}
	if err := WriteFile(path, texts[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := 0; i < 50 && err == nil; i++ {
			err = WriteFile(path, texts[i%2])
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		data, err := ReadFile(path)
		if err != nil || !bytes.Equal(data, texts[0]) && !bytes.Equal(data, texts[1]) {
			t.Errorf("read %d bytes, %v", len(data), err)
			<-done
			return
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "demo")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(path); err != nil || len(data) != 1<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if err := os.WriteFile(path, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("too large: %v", err)
	}
	_, err := ReadFile(filepath.Join(dir, "no"))
	if !errors.Is(err, ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, dir} {
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	d := Dir{t.TempDir()}
	for _, name := range []string{"demo", "other"} {
		touch(t, filepath.Join(d.path, name))
	}
	if err := d.Remove("demo"); err != nil {
		t.Error(err)
	}
	if err := d.Remove("demo"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removing twice: %v", err)
	}
	if err := d.Remove(".."); err == nil {
		t.Error("the parent was removed")
	}
	if got := entries(t, d.path); got != "other" {
		t.Errorf("left: %q", got)
	}
}
