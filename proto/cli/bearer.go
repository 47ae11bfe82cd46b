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
	return withBearerFile(path, user, func(dir *os.Root, name string, _ secret.Secret) error {
		if err := checkDirectory(dir, user); err != nil {
			return err
		}
		temporary := "." + name + "." + strconv.Itoa(os.Getpid())
		dir.Remove(temporary)                                                       // of a process that was killed
		f, err := dir.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link either
		if err != nil {
			return err
		}
		_, err = f.Write(token.Reveal())
		_, end := f.WriteString("\n")
		err = errors.Join(err, end, f.Chmod(0o600), f.Close()) // whatever the umask has left
		if err == nil {
			err = dir.Rename(temporary, name)
		}
		if err != nil {
			dir.Remove(temporary)
		}
		return err
	})
}

// RemoveBearerFile removes a token file if ours says that the token in it is ours to remove. What it does not like stays.
func RemoveBearerFile(path string, ours func(token secret.Secret) bool) {
	_ = withBearerFile(path, os.Geteuid(), func(dir *os.Root, name string, token secret.Secret) error {
		if token.IsEmpty() || !ours(token) {
			return nil
		}
		return dir.Remove(name)
	})
}

// withBearerFile calls with the directory of a token file, the file's name there, and the token in it, empty where there
// is none: what was mistyped, or sent by somebody else, shall not cost a file. A directory that is exchanged meanwhile
// leads nowhere else.
func withBearerFile(path string, user int, do func(dir *os.Root, name string, token secret.Secret) error) error {
	err := errors.New("the name of a file is expected")
	if parent, name := filepath.Split(path); name != "" && name != "." && name != ".." {
		var dir *os.Root
		if dir, err = os.OpenRoot(filepath.Join(parent, ".")); err == nil {
			defer dir.Close()
			var token secret.Secret
			if token, err = readBearerFile(dir, name, user); err == nil {
				defer token.Wipe()
				err = do(dir, name, token)
			}
		}
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err // without the name: of the directory we have a relative view
	}
	if err != nil {
		err = errors.New("token file " + strconv.Quote(path) + ": " + err.Error())
	}
	return err
}

// maxBearerFile is far more than servers take as a header, in bytes.
const maxBearerFile = 64 << 10

var errNoToken = errors.New("it holds something else than a token: remove it, or choose another file")

// readBearerFile reads the token of a user's regular file, the empty one where there is no file.
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
	// RFC 6749 appendix A.12, but no blanks, which no header could carry.
	if bytes.ContainsFunc(token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		token.Wipe()
		err = errNoToken
	}
	return token, err
}

// checkDirectory: who may write to a directory may put another file in the place of ours, unless it is sticky as /tmp is.
func checkDirectory(dir *os.Root, user int) error {
	info, err := dir.Stat(".")
	switch {
	case err != nil || info.Mode()&fs.ModeSticky != 0:
		return err
	case ownerOf(info) != 0 && ownerOf(info) != user:
		return errors.New("the directory belongs to another user")
	case info.Mode().Perm()&0o022 != 0:
		return errors.New("others may write to the directory: chmod go-w it, or choose another one")
	}
	return nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
