package account

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxFile is the largest file that we read and write, in bytes.
const maxFile = 1 << 20

// ErrNotFound: there is no such file. It is an [fs.ErrNotExist] as well.
var ErrNotFound = fmt.Errorf("no such account file: %w", fs.ErrNotExist)

// ReadFile returns the contents of a file of at most 1 MiB. A missing file is [ErrNotFound]; what is no
// file, such as a pipe that would never end, is an error.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a pipe would wait for its writer
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w", path, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%q is larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// WriteFile replaces or makes a file so that a reader, and whoever looks after a crash, finds the old or
// the new contents and nothing else. The file is for the user alone whatever the umask. A link to a file stays a
// link: that file is replaced; one that leads nowhere is replaced itself. When WriteFile returns nil the data is on
// disk; when it returns an error no part of the attempt is left.
func WriteFile(path string, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("writing %q: more than %d bytes, which ReadFile would refuse", path, maxFile)
	}
	real, err := realPath(path)
	if err == nil {
		err = replace(real, data)
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err // it may name a file of ours that nobody knows
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}

// replace writes data to a new file beside path and gives it that name.
func replace(path string, data []byte) (err error) {
	// A rename would replace /dev/null. What is a link here still leads nowhere: that it may replace.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type()&^fs.ModeSymlink != 0 {
		return errors.New("it is not a regular file")
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // a second time at worst
			os.Remove(f.Name())
		}
	}()
	if err := f.Chmod(0o600); err != nil { // the umask may have taken bits away
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil { // NFS reports a full disk here
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// tempPrefix is what the names of temporary files begin with; a number follows. No listing takes a dot-file for an
// account.
func tempPrefix(path string) string { return "." + filepath.Base(path) + ".new-" }

// removeTemps removes what writers who were killed have left beside path. The caller holds the lock of path: whoever
// writes an account's file does so under it, so nobody is at work on them.
func removeTemps(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // what is left does no harm
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), tempPrefix(path))
		if ok && strings.Trim(number, "0123456789") == "" {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// realPath returns the file that path names in the end, without links, so that all who reach it through links meet
// at one place. It need not exist, but its folder must.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// syncDir makes the directory's entries last, without which a crash may undo a rename.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // this file system cannot, and has no better way
	}
	return err
}
