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
	made     []string // what remove takes away; nothing where a service manager keeps the socket
}

// listen makes the socket. Nobody but the user can reach it: the folder is 0700, the socket 0600 (0750 and
// 0660 with a group), whatever the umask.
func listen(path, group string) (*socket, error) {
	defer unix.Umask(unix.Umask(0o077)) // private from the first moment
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	s := &socket{}
	if err := s.makeFolder(path); err != nil {
		return nil, err
	}
	if err := s.bind(gid); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// groupID returns the number of a group, -1 if there is no name.
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

// makeFolder finds the socket's place and makes the folder that is missing: the default is
// $TMPDIR/oidc-XXXXXX/oidc-agent.<pid>, a path that ends in a slash gets the default name, and XXXXXX at the
// end of the folder's name stands for random characters.
func (s *socket) makeFolder(path string) (err error) {
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
	folder, name := filepath.Split(s.path)
	stem, random := strings.CutSuffix(folder, "XXXXXX/")
	if !random {
		err = os.MkdirAll(folder, 0o700)
	} else {
		folder = stem + rand.Text()[:6]
		err = os.Mkdir(folder, 0o700)
		s.path, s.made = filepath.Join(folder, name), []string{folder}
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("directory for the socket: %w", err),
			"Name a directory where you may write by TMPDIR, or the socket's path by -a.")
	}
	return nil
}

// bind listens on the socket's path. The lock keeps two agents that start at once from taking each other's new socket
// for a dead one.
func (s *socket) bind(gid int) error {
	if longest := len(unix.RawSockaddrUnix{}.Path) - 1; len(s.path) > longest {
		return fmt.Errorf("socket path %q is longer than the %d bytes that the system allows", s.path, longest)
	}
	folder, err := lockFolder(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	defer folder.Close()
	if err := makeWay(s.path); err != nil {
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	defer listener.Close()
	listener.SetUnlinkOnClose(false)
	s.made = append([]string{s.path}, s.made...)
	if s.listener, err = listener.File(); err != nil {
		return err
	}
	return s.share(gid)
}

// folderTimeout is how long another agent may take to make its socket in the same folder.
const folderTimeout = 5 * time.Second

// lockFolder opens the socket's folder and locks it, after looking whether others could put something else in the
// socket's place.
func lockFolder(path string) (folder *os.File, err error) {
	if folder, err = os.Open(path); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			folder.Close()
		}
	}()
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		return nil, err
	}
	others := uint32(0o022)
	if int(stat.Gid) == os.Getgid() { // on many systems a group of the user alone, and the umask lets it write
		others = 0o002
	}
	if open := uint32(stat.Mode)&others != 0 && stat.Mode&unix.S_ISVTX == 0; open || int(stat.Uid) != os.Getuid() && stat.Uid != 0 {
		return nil, errors.New("others may write to its directory: choose another place")
	}
	if flock(folder, folderTimeout) != nil {
		return nil, errors.New("another agent is starting there and does not come to an end")
	}
	return folder, nil
}

// flock waits for the lock of a file. A file system without such locks is no reason not to go on.
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

// makeWay removes a socket that a dead agent left behind, and nothing else.
func makeWay(path string) error {
	var there unix.Stat_t
	err := unix.Lstat(path, &there)
	switch {
	case err == unix.ENOENT:
		return nil
	case err != nil:
		return err
	case there.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("something that is not a socket lies there: remove it or choose another path")
	case int(there.Uid) != os.Getuid():
		return errors.New("a socket of another user lies there: choose another path")
	}
	c, err := net.Dial("unix", path)
	switch {
	case err == nil:
		c.Close()
		fallthrough
	case errors.Is(err, unix.EAGAIN): // its queue is full
		return errors.New("an agent listens there already: use it, or end it first")
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("cannot tell whether an agent listens there: %w", err)
}

// share gives the socket its mode, and opens it, and the folder made for it, to a group: its members may reach the
// socket but not put another one in its place.
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

// remove ends the listening and takes away what was made for it.
func (s *socket) remove() {
	if s.listener != nil {
		s.listener.Close()
	}
	for _, path := range s.made {
		os.Remove(path)
	}
	s.made = nil // by now it may be another agent's
}
