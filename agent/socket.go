package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/cli"
)

// socket is where the agent listens.
type socket struct {
	listener *os.File
	path     string
	made     []string // what remove deletes; nothing if a service manager keeps the socket
}

// listen makes the socket. Only the user can reach it: the directory has mode 0700 and the socket 0600 (0750 and 0660
// with a group), whatever the umask.
func listen(path, group string) (*socket, error) {
	defer unix.Umask(unix.Umask(0o077)) // private from the first moment
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	s := new(socket)
	if err := s.makeDir(path); err != nil {
		return nil, err
	}
	if err := s.bind(gid); err != nil {
		s.remove()
		return nil, fmt.Errorf("socket path %q: %w", s.path, err)
	}
	return s, nil
}

// groupID returns the id of a group, or -1 if the name is empty.
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return -1, fmt.Errorf("Group does not exist: %q", group)
	}
	return strconv.Atoi(g.Gid)
}

// makeDir sets the socket's path and makes its directory if that is missing. The default is
// $TMPDIR/oidc-XXXXXX/oidc-agent.<pid>. A path that ends in a slash gets the default name, and XXXXXX at the end
// of the directory's name stands for random characters.
func (s *socket) makeDir(path string) (err error) {
	name := "oidc-agent." + strconv.Itoa(os.Getpid())
	switch {
	case path == "":
		path = filepath.Join(os.TempDir(), "oidc-XXXXXX", name)
	case strings.HasSuffix(path, "/"):
		path = filepath.Join(path, name)
	}
	if s.path, err = filepath.Abs(path); err != nil {
		return err
	}
	dir, name := filepath.Split(s.path)
	stem, random := strings.CutSuffix(dir, "XXXXXX/")
	if !random {
		err = os.MkdirAll(dir, 0o700)
	} else {
		dir = stem + rand.Text()[:6]
		err = os.Mkdir(dir, 0o700)
		s.path, s.made = filepath.Join(dir, name), []string{dir}
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("directory for the socket: %w", err),
			"Set TMPDIR to a directory that you may write to, or choose another path with -a.")
	}
	return nil
}

// bind listens on the socket's path. The lock keeps two agents that start at the same time from taking each
// other's new socket for one that a dead agent left behind.
func (s *socket) bind(gid int) error {
	if longest := len(unix.RawSockaddrUnix{}.Path) - 1; len(s.path) > longest {
		return fmt.Errorf("longer than the %d bytes that the system allows", longest)
	}
	dir, err := lockDir(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := removeStale(s.path); err != nil {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		return err
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	s.made = append([]string{s.path}, s.made...)
	if s.listener, err = listener.File(); err != nil {
		return err
	}
	return s.share(gid)
}

// dirTimeout is how long another agent may take to make its socket in the same directory.
const dirTimeout = 5 * time.Second

// lockDir opens and locks the socket's directory. It refuses one where other users could replace the socket.
func lockDir(path string) (dir *os.File, err error) {
	if dir, err = os.Open(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	var stat unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &stat); err != nil {
		return nil, err
	}
	others := uint32(0o022)
	if int(stat.Gid) == os.Getgid() { // on many systems the user is its only member, and the umask lets it write
		others = 0o002
	}
	writable := uint32(stat.Mode)&others != 0 && stat.Mode&unix.S_ISVTX == 0
	if writable || int(stat.Uid) != os.Getuid() && stat.Uid != 0 {
		return nil, errors.New("others may write to its directory: choose another one")
	}
	if flock(dir, dirTimeout) != nil {
		return nil, errors.New("another agent is still starting in the same directory: try again")
	}
	return dir, nil
}

// flock waits for the lock of a file. On a file system without such locks it succeeds.
func flock(f *os.File, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// removeStale removes a socket on which nobody listens. It returns an error if anything else has the path.
func removeStale(path string) error {
	var stat unix.Stat_t
	err := unix.Lstat(path, &stat)
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case stat.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("the file there is not a socket: remove it or choose another path")
	case int(stat.Uid) != os.Getuid():
		return errors.New("the socket there belongs to another user: choose another path")
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		fallthrough
	case errors.Is(err, unix.EAGAIN): // its queue is full
		return errors.New("an agent already listens there: use it, or end it first")
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("cannot tell whether an agent listens there: %w", err)
}

// share sets the modes of the socket and the directory that was made for it. Members of a group may reach the socket,
// but not replace it.
func (s *socket) share(gid int) error {
	modes := [...]fs.FileMode{0o600, 0o700}
	if gid >= 0 {
		modes = [...]fs.FileMode{0o660, 0o750}
	}
	for i, path := range s.made {
		if err := errors.Join(os.Chown(path, -1, gid), os.Chmod(path, modes[i])); err != nil {
			return fmt.Errorf("permissions of the socket: %w", err)
		}
	}
	return nil
}

// remove stops listening and deletes the socket and its directory.
func (s *socket) remove() {
	if s.listener != nil {
		s.listener.Close()
	}
	for _, path := range s.made {
		os.Remove(path)
	}
	s.made = nil // the path may belong to another agent from now on
}
