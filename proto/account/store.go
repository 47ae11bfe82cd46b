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

// maxFile is the size of the largest file that we read or write, in bytes.
const maxFile = 1 << 20

// ErrNotFound means that there is no such file. It wraps [fs.ErrNotExist].
var ErrNotFound = fmt.Errorf("no such account file: %w", fs.ErrNotExist)

// ReadFile returns the contents of a regular file of up to 1 MiB. If the file is missing, the error wraps
// [ErrNotFound].
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // nonblocking, or a pipe would wait for its writer
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

// WriteFile creates or replaces a file atomically: readers find the old or the new contents, even after a crash.
// The file has mode 0600 whatever the umask says. If path is a link, the file that it leads to is replaced; a
// dangling link is itself replaced. When WriteFile returns nil the data is on disk. When it returns an error it
// leaves nothing behind.
func WriteFile(path string, data []byte) error {
	if len(data) > maxFile {
		return fmt.Errorf("writing %q: more than %d bytes", path, maxFile)
	}
	real, err := realPath(path)
	if err == nil {
		err = replace(real, data)
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err // without the name of a temporary file, which the user does not know
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", path, err)
	}
	return nil
}

// replace writes data to a temporary file beside path and renames it.
func replace(path string, data []byte) error {
	// The rename would replace even /dev/null. A link is dangling here, and may be replaced.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type()&^fs.ModeSymlink != 0 {
		return errors.New("it is not a regular file")
	}
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix(path)+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()) // whatever the umask says; NFS reports a full disk in Close
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// tempPrefix returns the beginning of the names of temporary files, which a number follows. A name that starts
// with a dot is never listed as an account.
func tempPrefix(path string) string { return "." + filepath.Base(path) + ".new-" }

// removeTemps removes the temporary files of writers that were killed. The caller holds the lock on path, which
// every writer of the file needs, so none of them is in use.
func removeTemps(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // if it fails, the files stay, which does no harm
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), tempPrefix(path))
		if ok && strings.Trim(number, "0123456789") == "" {
			os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

// realPath returns the absolute path of a file, without links, which is the same for all who use it. The file need
// not exist, but its directory must.
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

// syncDir writes a directory to disk. Without it a crash may undo a rename.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // the file system does not support it
	}
	return err
}
