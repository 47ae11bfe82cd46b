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
// the new contents and nothing else. The file is for the user alone whatever the umask. A link stays a
// link: the file that it points to is replaced. When WriteFile returns nil the data is on disk; when it
// returns an error no part of the attempt is left.
func WriteFile(path string, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("writing %q: more than %d bytes, which ReadFile would refuse", path, maxFile)
	}
	path, err := resolve(path)
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %q: it is not a regular file", path) // rename would replace /dev/null
	}
	temp, err := writeTemp(path, data)
	if failed := new(fs.PathError); errors.As(err, &failed) {
		err = failed.Err // it names a file of ours that nobody knows
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// writeTemp writes data to a new file beside path. Its name starts with a dot, so no listing takes it
// for an account.
func writeTemp(path string, data []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			f.Close() // a second time at worst
			os.Remove(f.Name())
		}
	}()
	if err = f.Chmod(0o600); err != nil { // the umask may have taken bits away
		return "", err
	}
	if _, err = f.Write(data); err != nil {
		return "", err
	}
	if err = f.Sync(); err != nil {
		return "", err
	}
	return f.Name(), f.Close() // NFS reports a full disk here
}

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

// tempPrefix is what the names of temporary files begin with; a number follows.
func tempPrefix(path string) string { return "." + filepath.Base(path) + ".new-" }

// resolve follows the links that path names, as far as they go: the last may point to nothing yet.
func resolve(path string) (string, error) {
	for range 40 { // Linux's own limit
		target, err := os.Readlink(path)
		if err != nil { // no link, or nothing
			return path, nil
		}
		if filepath.IsAbs(target) {
			path = target
		} else {
			path = filepath.Dir(path) + "/" + target // Join would take ".." out, wrongly where a folder is a link
		}
	}
	return path, syscall.ELOOP
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

// Rename gives an account's file another name. A file that has that name already is never replaced; the
// error is then an [fs.ErrExist]. The short name inside the file stays: its key is elsewhere.
func (d Dir) Rename(old, new string) error {
	from, err := d.File(old)
	if err != nil {
		return err
	}
	to, err := d.File(new)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("renaming account %q: %q: %w", old, new, fs.ErrExist)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("renaming account %q: %w", old, notFound(err))
	}
	return syncDir(d.path)
}

// Remove deletes an account's file. Its lock file stays: whoever waits for the lock has it open.
func (d Dir) Remove(name string) error {
	path, err := d.File(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing account %q: %w", name, notFound(err))
	}
	return syncDir(d.path)
}

// notFound says ErrNotFound where the system says that a file is missing.
func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return err
}
