package cli

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"oidc-agent/proto/secret"
)

// WLCG Bearer Token Discovery (doi:10.5281/zenodo.3937438): a program that needs a token takes the value of
// BEARER_TOKEN, or else the contents of the file that BEARER_TOKEN_FILE names, or else of the file bt_uUID in
// XDG_RUNTIME_DIR, or in /tmp if that is not set.
const (
	EnvBearerToken     = "BEARER_TOKEN"
	EnvBearerTokenFile = "BEARER_TOKEN_FILE"
)

// DefaultBearerFile returns the path of the token file for programs without BEARER_TOKEN_FILE.
func DefaultBearerFile() string {
	return cmp.Or(os.Getenv("XDG_RUNTIME_DIR"), "/tmp") + "/bt_u" + strconv.Itoa(os.Geteuid())
}

// WriteBearerFile writes a token to a file with mode 0600. Readers see the old token or the new one, never a part
// of it. WriteBearerFile refuses to replace anything but a regular file of the user's own that is empty or holds a
// token, and to write to a directory where others could replace the file.
func WriteBearerFile(path string, token secret.Secret) error {
	return writeBearerFile(path, token, os.Geteuid())
}

func writeBearerFile(path string, token secret.Secret, user int) error {
	return withBearerFile(path, user, func(dir *os.Root, name string, _ secret.Secret) error {
		if err := checkDirectory(dir, user); err != nil {
			return err
		}
		temporary := "." + name + "." + strconv.Itoa(os.Getpid())
		dir.Remove(temporary)                                                       // left by a process that was killed
		f, err := dir.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL does not follow links
		if err != nil {
			return err
		}
		_, err = f.Write(token.Reveal())
		_, end := f.WriteString("\n")
		err = errors.Join(err, end, f.Chmod(0o600), f.Close()) // whatever the umask says
		if err == nil {
			err = dir.Rename(temporary, name)
		}
		if err != nil {
			dir.Remove(temporary)
		}
		return err
	})
}

// RemoveBearerFile removes a token file if ours reports that the token in it may be removed. It leaves files alone
// that WriteBearerFile would not replace.
func RemoveBearerFile(path string, ours func(token secret.Secret) bool) {
	_ = withBearerFile(path, os.Geteuid(), func(dir *os.Root, name string, token secret.Secret) error {
		if token.IsEmpty() || !ours(token) {
			return nil
		}
		return dir.Remove(name)
	})
}

// withBearerFile opens the directory of a token file, and calls do with it, with the file's name there, and with
// the token in the file, which is empty if there is none. It fails if the file holds anything but a token, so that
// neither a typing error nor another user's request costs a file. The open directory stays the same even if its
// path is replaced.
func withBearerFile(path string, user int, do func(dir *os.Root, name string, token secret.Secret) error) (err error) {
	defer func() {
		if failed, ok := errors.AsType[*fs.PathError](err); ok {
			err = failed.Err // its path is relative to the directory
		}
		if err != nil {
			err = errors.New("token file " + strconv.Quote(path) + ": " + err.Error())
		}
	}()
	parent, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return errors.New("the name of a file is expected")
	}
	dir, err := os.OpenRoot(filepath.Join(parent, "."))
	if err != nil {
		return err
	}
	defer dir.Close()
	token, err := readBearerFile(dir, name, user)
	if err != nil {
		return err
	}
	defer token.Wipe()
	return do(dir, name, token)
}

// maxBearerFile is the largest token file in bytes, far more than servers accept as a header.
const maxBearerFile = 64 << 10

var errNoToken = errors.New("it does not hold a token: remove it, or choose another file")

// readBearerFile reads the token in a regular file of the user's, or returns the empty one if there is no file.
func readBearerFile(dir *os.Root, name string, user int) (secret.Secret, error) {
	var token secret.Secret
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return token, nil
	case err != nil:
		return token, err
	case info.Mode()&fs.ModeSymlink != 0:
		return token, errors.New("it is a symbolic link")
	case !info.Mode().IsRegular():
		return token, errors.New("it is not a regular file")
	case ownerOf(info) != user:
		return token, errors.New("it belongs to another user")
	case info.Size() > maxBearerFile:
		return token, errNoToken
	}
	text, err := dir.ReadFile(name)
	token = secret.New(bytes.TrimSpace(text))
	// RFC 6749 appendix A.12, but without blanks, which a header could not carry.
	if bytes.ContainsFunc(token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		token.Wipe()
		err = errNoToken
	}
	return token, err
}

// unmapped owns what belongs to nobody inside a container, such as the host's /tmp (user_namespaces(7)).
const unmapped = 65534

// checkDirectory refuses a directory where another user, root apart, could replace a file of the user's: its owner
// can, and everybody who may write to it, unless it is sticky like /tmp.
func checkDirectory(dir *os.Root, user int) error {
	info, err := dir.Stat(".")
	switch {
	case err != nil:
		return err
	case !slices.Contains([]int{0, user, unmapped}, ownerOf(info)):
		return errors.New("the directory belongs to another user")
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return errors.New("others may write to the directory: chmod go-w it, or choose another one")
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
