package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is where the agent listens, and the folder that it made for that and removes again.
type socket struct {
	listener *net.UnixListener
	path     string
	folder   string // "" where the folder was there before
}

// listen makes the socket. Nobody but the user can reach it: the folder is 0700, the socket 0600 (0770 and
// 0660 with a group).
func listen(path, group string) (*socket, error) {
	gid := -1
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return nil, fmt.Errorf("Group does not exist: %q", group)
		}
		if gid, err = strconv.Atoi(g.Gid); err != nil {
			return nil, fmt.Errorf("group %q: gid %q: %w", group, g.Gid, err)
		}
	}
	path, made, err := socketFolder(path)
	if err != nil {
		return nil, err
	}
	s := &socket{path: path, folder: made}
	if err := s.bind(gid); err != nil {
		if made != "" {
			os.Remove(made)
		}
		return nil, err
	}
	return s, nil
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
			folder = stem + randomName(6)
			if err = os.Mkdir(folder, 0o700); !errors.Is(err, fs.ErrExist) {
				break
			}
		}
		if err != nil {
			return "", "", fmt.Errorf("folder for the socket: %w", err)
		}
		return filepath.Join(folder, filepath.Base(path)), folder, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", "", fmt.Errorf("folder for the socket: %w", err)
	}
	return path, "", nil
}

// bind listens on the socket's path with the mode set from the first moment.
func (s *socket) bind(gid int) error {
	if len(s.path) >= len(unix.RawSockaddrUnix{}.Path) {
		return fmt.Errorf("socket path %q is longer than the %d bytes that the system allows", s.path, len(unix.RawSockaddrUnix{}.Path)-1)
	}
	if err := makeWay(s.path); err != nil {
		return err
	}
	old := syscall.Umask(0o177)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	syscall.Umask(old)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // the daemon removes it at its end, the launcher must not
	s.listener = listener
	if gid < 0 {
		return nil
	}
	return s.share(gid)
}

// share opens the socket, and the folder made for it, to a group.
func (s *socket) share(gid int) error {
	for _, entry := range [...]struct {
		path string
		mode fs.FileMode
	}{{s.folder, 0o770}, {s.path, 0o660}} {
		if entry.path == "" {
			continue
		}
		if err := os.Chown(entry.path, -1, gid); err != nil {
			return fmt.Errorf("open the socket to the group: %w", err)
		}
		if err := os.Chmod(entry.path, entry.mode); err != nil {
			return fmt.Errorf("open the socket to the group: %w", err)
		}
	}
	return nil
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
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return fmt.Errorf("socket path %q: an agent listens there already: use it, or end it first", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("socket path %q: cannot tell whether an agent listens there: %w", path, err)
	}
	return os.Remove(path)
}

// remove takes the socket and its folder away.
func (s *socket) remove() {
	s.listener.Close()
	os.Remove(s.path)
	if s.folder != "" {
		os.Remove(s.folder)
	}
}
