package cli

import (
	"bytes"
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
// replace anything but a regular file of the user's own that is empty or holds a token, and to write into a directory in
// which others may replace it.
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
	root, name, err := openBearerDir(path)
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

// RemoveBearerFile removes a token file if ours says that the token in it is ours to remove.
func RemoveBearerFile(path string, ours func(token secret.Secret) bool) error {
	root, name, err := openBearerDir(path)
	if err == nil {
		defer root.Close()
		err = removeBearerFile(root, name, ours)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &bearerError{path, reason(err)}
	}
	return nil
}

func removeBearerFile(root *os.Root, name string, ours func(token secret.Secret) bool) error {
	token, err := readBearerFile(root, name)
	defer token.Wipe()
	if err != nil || !ours(token) {
		return err
	}
	return root.Remove(name)
}

func openBearerDir(path string) (root *os.Root, name string, err error) {
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, "", errors.New("the name of a file is expected")
	}
	root, err = os.OpenRoot(filepath.Join(dir, ".")) // a directory that is exchanged meanwhile leads nowhere else
	return root, name, err
}

// maxBearerFile is far more than servers take as a header, in bytes.
const maxBearerFile = 64 << 10

// readBearerFile reads the token of a regular file; an empty file holds the empty one.
func readBearerFile(root *os.Root, name string) (secret.Secret, error) {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return secret.Secret{}, err
	case info.Mode()&fs.ModeSymlink != 0:
		return secret.Secret{}, errors.New("it is a symbolic link")
	case !info.Mode().IsRegular():
		return secret.Secret{}, errors.New("it is not a regular file")
	case info.Size() > maxBearerFile:
		return secret.Secret{}, errNoToken
	}
	text, err := root.ReadFile(name)
	if err != nil {
		return secret.Secret{}, err
	}
	token := bytes.TrimSpace(text)
	if bytes.ContainsFunc(token, notInToken) {
		clear(text)
		return secret.Secret{}, errNoToken
	}
	return secret.New(token), nil
}

var errNoToken = errors.New("it holds something else than a token: remove it, or choose another file")

// notInToken: RFC 6749 appendix A.12, but no blanks, which no header could carry.
func notInToken(r rune) bool { return r <= ' ' || r > '~' }

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

// replaceable refuses what a rename would put away though it is no token file of the user's: a name that was mistyped, or
// that somebody else sent, shall not cost a file.
func replaceable(root *os.Root, name string, user int) error {
	info, err := root.Lstat(name)
	if err == nil && info.Mode().IsRegular() && ownerOf(info) != user {
		return errors.New("it belongs to another user")
	}
	token, err := readBearerFile(root, name)
	token.Wipe()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return reason(err)
}

func ownerOf(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}
