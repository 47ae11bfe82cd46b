package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"oidc-agent/proto/secret"
)

// WLCG Bearer Token Discovery (doi:10.5281/zenodo.3937438): a program that needs a token takes the value of BEARER_TOKEN,
// else the contents of the file that BEARER_TOKEN_FILE names, else of bt_uUID in XDG_RUNTIME_DIR, or in /tmp where that is
// not set.
const (
	EnvBearerToken     = "BEARER_TOKEN"
	EnvBearerTokenFile = "BEARER_TOKEN_FILE"
)

// BearerFile returns where programs look for the user's token file.
func BearerFile() string {
	if path := os.Getenv(EnvBearerTokenFile); path != "" {
		return path
	}
	return DefaultBearerFile()
}

// DefaultBearerFile is the file's place where BEARER_TOKEN_FILE does not say.
func DefaultBearerFile() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = "/tmp"
	}
	return dir + "/bt_u" + strconv.Itoa(os.Geteuid())
}

// WriteBearerFile puts a token into a file, mode 0600, of which readers see the old one or the new one, whole. It refuses to
// replace anything but a regular file of the user's own, and to write into a directory in which others may replace it.
func WriteBearerFile(path string, token secret.Secret) error {
	err := writeBearerFile(path, token, os.Geteuid())
	if err != nil {
		return &bearerError{path, err}
	}
	return nil
}

type bearerError struct {
	path string
	err  error
}

func (b *bearerError) Error() string {
	return "token file " + strconv.Quote(b.path) + ": " + b.err.Error()
}
func (b *bearerError) Unwrap() error { return b.err }

// writeBearerFile is [WriteBearerFile] for a user.
func writeBearerFile(path string, token secret.Secret, user int) error {
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return errors.New("the name of a file is expected")
	}
	root, err := os.OpenRoot(filepath.Join(dir, ".")) // a directory that is exchanged meanwhile leads nowhere else
	if err != nil {
		return reason(err)
	}
	defer root.Close()
	if err := safeDirectory(root, user); err != nil {
		return err
	}
	if err := replaceable(root, name, user); err != nil {
		return err
	}
	temporary := "." + name + "." + strconv.Itoa(os.Getpid())
	root.Remove(temporary) // of a process that was killed
	err = createBearerFile(root, temporary, token)
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		root.Remove(temporary)
	}
	return reason(err)
}

func createBearerFile(root *os.Root, name string, token secret.Secret) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link either
	if err != nil {
		return err
	}
	text := append(append(make([]byte, 0, token.Len()+1), token.Reveal()...), '\n')
	defer clear(text)
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o600), f.Close()) // whatever the umask has left
}

// reason is an error without the names in it: of the directory we have a relative view.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// safeDirectory: who may write to a directory may put another file in the place of ours, unless it is sticky as /tmp is.
func safeDirectory(root *os.Root, user int) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	switch owner := ownerOf(info); {
	case info.Mode()&fs.ModeSticky != 0:
		return nil
	case owner != 0 && owner != user:
		return errors.New("the directory belongs to another user")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("others may write to the directory: chmod go-w it, or choose another one")
	}
	return nil
}

// replaceable refuses what a rename would put away though it is no token file of the user's.
func replaceable(root *os.Root, name string, user int) error {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return reason(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link")
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case ownerOf(info) != user:
		return errors.New("it belongs to another user")
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
