package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/ipc"
)

// Only the user, root and members of the group may connect, even if the socket's modes let everyone in.
func TestAdmit(t *testing.T) {
	t.Parallel()
	const stranger, group = 65534, 1
	many := make([]uint32, 200)
	for i := range many {
		many[i] = uint32(1000 + i)
	}
	cases := []struct {
		name        string
		shared      bool // --with-group
		uid, gid    int
		groups      []uint32
		letIn, root bool
	}{
		{"the user", false, os.Getuid(), os.Getgid(), nil, true, false},
		{"the user, shared", true, os.Getuid(), os.Getgid(), nil, true, false},
		{"a stranger", false, stranger, stranger, nil, false, true},
		{"a stranger with root's group", false, stranger, 0, []uint32{0}, false, true},
		{"a member, not shared", false, stranger, group, []uint32{group}, false, true},
		{"a stranger, shared", true, stranger, stranger, []uint32{7}, false, true},
		{"a member of many others", true, stranger, stranger, many, false, true},
		{"a member", true, stranger, stranger, []uint32{7, group}, true, true},
		{"a member of many", true, stranger, stranger, append(many, group), true, true},
		{"a member by primary group", true, stranger, group, nil, true, true},
	}
	for _, c := range cases {
		if c.root && !asRoot(t) {
			continue
		}
		w := &world{TB: t, log: new(buffer), dir: t.TempDir()}
		w.agent = w.newAgent()
		if c.shared {
			w.agent.settings.Group = aGroup(t).Name
		}
		path := w.serve()
		for dir := path; dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		got := make(chan error)
		go func() { got <- askAs(path, c.uid, c.gid, c.groups) }()
		if err := <-got; (err == nil) != c.letIn {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// askAs sends a request as another user. Its thread keeps that identity, so it must run in a goroutine that ends.
func askAs(path string, uid, gid int, groups []uint32) error {
	if uid != os.Getuid() {
		if err := becomeThread(uid, gid, groups); err != nil {
			return err
		}
	}
	_, err := ipc.Call(path, ipc.Request(ipc.RequestCheck), time.Minute)
	return err
}

// becomeThread changes the user of the current thread alone, as the system calls do.
func becomeThread(uid, gid int, groups []uint32) error {
	runtime.LockOSThread()
	list := append(groups, 0) // never empty, so that it has an address
	for _, call := range [...][4]uintptr{
		{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&list[0])), 0},
		{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
		{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return nil
}
