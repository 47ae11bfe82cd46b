package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/cli"
)

// socket is where the agent listens, and the folder that it made for that and removes again.
type socket struct {
	listener *os.File
	path     string
	folder   string // "" where the folder was there before
	foreign  bool   // a service manager made it, and keeps its file
}

// listen makes the socket. Nobody but the user can reach it: the folder is 0700, the socket 0600 (0750 and
// 0660 with a group), whatever the umask.
func listen(path, group string) (*socket, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	path, made, err := socketFolder(path)
	if err != nil {
		return nil, err
	}
	s := &socket{path: path, folder: made}
	if err := s.bind(gid); err != nil {
		if s.listener != nil {
			s.remove()
		} else if made != "" {
			os.Remove(made)
		}
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
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1, fmt.Errorf("group %q: gid %q: %w", group, g.Gid, err)
	}
	return gid, nil
}

// socketFolder finds the socket's place and makes the folder that is missing: the default is
// $TMPDIR/oidc-XXXXXX/oidc-agent.<pid>, a path that ends in a slash gets the default name, and XXXXXX at the
// end of the folder's name stands for random characters.
func socketFolder(path string) (whole, made string, err error) {
	name := "oidc-agent." + strconv.Itoa(os.Getpid())
	switch {
	case path == "":
		path = filepath.Join(os.TempDir(), "oidc-XXXXXX", name)
	case strings.HasSuffix(path, "/"):
		path = filepath.Join(path, name)
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", "", err
	}
	folder := filepath.Dir(path)
	if stem, ok := strings.CutSuffix(folder, "XXXXXX"); ok {
		for range 100 {
			folder = stem + rand.Text()[:6]
			if err = os.Mkdir(folder, 0o700); !errors.Is(err, fs.ErrExist) {
				break
			}
		}
		if err != nil {
			return "", "", cli.WithHint(fmt.Errorf("directory for the socket: %w", err),
				"Name a directory where you may write by TMPDIR, or the socket's path by -a.")
		}
		return filepath.Join(folder, filepath.Base(path)), folder, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", "", fmt.Errorf("directory for the socket: %w", err)
	}
	return path, "", nil
}

// bind listens on the socket's path with the mode set from the first moment. The lock keeps two agents that start at
// once from taking each other's new socket for a dead one.
func (s *socket) bind(gid int) error {
	if len(s.path) >= len(unix.RawSockaddrUnix{}.Path) {
		return fmt.Errorf("socket path %q is longer than the %d bytes that the system allows", s.path, len(unix.RawSockaddrUnix{}.Path)-1)
	}
	folder, err := lockFolder(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	defer folder.Close()
	if err := makeWay(s.path); err != nil {
		return err
	}
	fd, err := newSocket()
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	listener := os.NewFile(uintptr(fd), s.path)
	if err := bindPrivate(fd, s.path); err != nil {
		listener.Close()
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	s.listener = listener
	if err := unix.Listen(fd, maxBacklog); err != nil {
		return fmt.Errorf("socket path %q: %w", s.path, err)
	}
	return s.share(gid)
}

// maxBacklog is how many connections may wait to be accepted; the system cuts it down to net.core.somaxconn.
const maxBacklog = 1<<16 - 1

// folderTimeout is how long another agent may take to make its socket in the same folder.
const folderTimeout = 5 * time.Second

// lockFolder opens the socket's folder and locks it, after looking whether others could put something else in the
// socket's place.
func lockFolder(path string) (*os.File, error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		folder.Close()
		return nil, err
	}
	others := uint32(0o022)
	if int(stat.Gid) == os.Getgid() { // on many systems a group of the user alone, and the umask lets it write
		others = 0o002
	}
	if open := uint32(stat.Mode)&others != 0 && stat.Mode&unix.S_ISVTX == 0; open || int(stat.Uid) != os.Getuid() && stat.Uid != 0 {
		folder.Close()
		return nil, errors.New("others may write to its directory: choose another place")
	}
	if err := flock(folder, folderTimeout); err != nil {
		folder.Close()
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
	there, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket: %w", err)
	case there.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("socket path %q: something that is not a socket lies there: remove it or choose another path", path)
	}
	if owner, ok := there.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("socket path %q: a socket of another user lies there: choose another path", path)
	}
	fd, err := newSocket()
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case unix.ECONNREFUSED:
		return os.Remove(path)
	case nil, unix.EAGAIN: // EAGAIN: its queue is full
		return fmt.Errorf("socket path %q: an agent listens there already: use it, or end it first", path)
	default:
		return fmt.Errorf("socket path %q: cannot tell whether an agent listens there: %w", path, err)
	}
}

// share gives the socket its mode where the umask has taken from it, and opens it, and the folder made for it, to a
// group: its members may reach the socket but not put another one in its place.
func (s *socket) share(gid int) error {
	socketMode, folderMode := fs.FileMode(0o600), fs.FileMode(0o700)
	if gid >= 0 {
		socketMode, folderMode = 0o660, 0o750
	}
	for _, entry := range [...]struct {
		path string
		mode fs.FileMode
	}{{s.folder, folderMode}, {s.path, socketMode}} {
		if entry.path == "" {
			continue
		}
		if err := errors.Join(os.Chown(entry.path, -1, gid), os.Chmod(entry.path, entry.mode)); err != nil {
			return fmt.Errorf("permissions of the socket: %w", err)
		}
	}
	return nil
}

// remove takes the socket and its folder away.
func (s *socket) remove() {
	s.listener.Close()
	if s.foreign {
		return
	}
	os.Remove(s.path)
	if s.folder != "" {
		os.Remove(s.folder)
	}
}
