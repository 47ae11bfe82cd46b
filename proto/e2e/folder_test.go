package e2e

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A folderWatch reports events for one name in a folder, with their times (inotify(7)).
type folderWatch struct {
	t    *testing.T
	seen chan time.Time
}

// watchFile watches for one kind of event, such as IN_MOVED_TO.
func watchFile(t *testing.T, path string, kind uint32) folderWatch {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(path), kind); err != nil {
		t.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { events.Close() })
	w := folderWatch{t, make(chan time.Time, 1000)}
	go func() {
		defer close(w.seen)
		buffer := make([]byte, 1<<16)
		for {
			n, err := events.Read(buffer)
			if err != nil {
				return
			}
			now := time.Now()
			for rest := buffer[:n]; len(rest) > 0; {
				end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:])) // the name's length
				if strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00") == filepath.Base(path) {
					w.seen <- now
				}
				rest = rest[end:]
			}
		}
	}()
	return w
}

// next waits for the next event and returns its time.
func (w folderWatch) next() time.Time {
	w.t.Helper()
	select {
	case at, ok := <-w.seen:
		if ok {
			return at
		}
	case <-time.After(time.Minute):
	}
	w.t.Fatal("nothing happens to the file")
	return time.Time{}
}
