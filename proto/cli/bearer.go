package cli

import (
	"bytes"
	"cmp"
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

// DefaultBearerFile is the file's place where BEARER_TOKEN_FILE does not say.
func DefaultBearerFile() string {
	return cmp.Or(os.Getenv("XDG_RUNTIME_DIR"), "/tmp") + "/bt_u" + strconv.Itoa(os.Geteuid())
}

// WriteBearerFile puts a token into a file, mode 0600, of which readers see the old one or the new one, whole. It refuses to
// replace anything but a regular file of the user's own that is empty or holds a token, and to write into a directory in
// which others may replace it.
func WriteBearerFile(path string, token secret.Secret) error {
	return writeBearerFile(path, token, os.Geteuid())
}

// writeBearerFile is [WriteBearerFile] for a user.
func writeBearerFile(path string, token secret.Secret, user int) error {
	return inBearerDir(path, func(dir *os.Root, name string) error {
		if err := safeDirectory(dir, user); err != nil {
			return err
		}
		// What was mistyped, or sent by somebody else, shall not cost a file.
		old, err := readBearerFile(dir, name, user)
		old.Wipe()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		temporary := "." + name + "." + strconv.Itoa(os.Getpid())
		dir.Remove(temporary) // of a process that was killed
		err = createBearerFile(dir, temporary, token)
		if err == nil {
			err = dir.Rename(temporary, name)
		}
		if err != nil {
			dir.Remove(temporary)
		}
		return err
	})
}

// RemoveBearerFile removes a token file if ours says that the token in it is ours to remove.
func RemoveBearerFile(path string, ours func(token secret.Secret) bool) error {
	err := inBearerDir(path, func(dir *os.Root, name string) error {
		token, err := readBearerFile(dir, name, os.Geteuid())
		defer token.Wipe()
		if err != nil || !ours(token) {
			return err
		}
		return dir.Remove(name)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bearerError names the file as the user did.
type bearerError struct {
	path string
	err  error
}

func (b *bearerError) Error() string {
	return "token file " + strconv.Quote(b.path) + ": " + b.err.Error()
}
func (b *bearerError) Unwrap() error { return b.err }

// inBearerDir calls with the directory of a token file and its name there: a directory that is exchanged meanwhile leads
// nowhere else.
func inBearerDir(path string, do func(dir *os.Root, name string) error) error {
	parent, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return &bearerError{path, errors.New("the name of a file is expected")}
	}
	dir, err := os.OpenRoot(filepath.Join(parent, "."))
	if err == nil {
		err = do(dir, name)
		dir.Close()
	}
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err // without the name: of the directory we have a relative view
	}
	return &bearerError{path, err}
}

// maxBearerFile is far more than servers take as a header, in bytes.
const maxBearerFile = 64 << 10

// readBearerFile reads the token of a user's regular file; an empty file holds the empty one.
func readBearerFile(dir *os.Root, name string, user int) (secret.Secret, error) {
	info, err := dir.Lstat(name)
	switch {
	case err != nil:
		return secret.Secret{}, err
	case info.Mode()&fs.ModeSymlink != 0:
		return secret.Secret{}, errors.New("it is a symbolic link")
	case !info.Mode().IsRegular():
		return secret.Secret{}, errors.New("it is not a regular file")
	case ownerOf(info) != user:
		return secret.Secret{}, errors.New("it belongs to another user")
	case info.Size() > maxBearerFile:
		return secret.Secret{}, errNoToken
	}
	text, err := dir.ReadFile(name)
	if err != nil {
		return secret.Secret{}, err
	}
	token := bytes.TrimSpace(text)
	// RFC 6749 appendix A.12, but no blanks, which no header could carry.
	if bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		clear(text)
		return secret.Secret{}, errNoToken
	}
	return secret.New(token), nil
}

var errNoToken = errors.New("it holds something else than a token: remove it, or choose another file")

func createBearerFile(dir *os.Root, name string, token secret.Secret) error {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link either
	if err != nil {
		return err
	}
	text := append(append(make([]byte, 0, token.Len()+1), token.Reveal()...), '\n')
	defer clear(text)
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o600), f.Close()) // whatever the umask has left
}

// safeDirectory: who may write to a directory may put another file in the place of ours, unless it is sticky as /tmp is.
func safeDirectory(dir *os.Root, user int) error {
	info, err := dir.Stat(".")
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

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
