package account

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Stamp is a text that changes when one of the files does. Of a directory it tells when entries come and go.
func Stamp(paths ...string) string {
	var b strings.Builder
	for _, path := range paths {
		var s unix.Stat_t
		err := unix.Stat(path, &s)
		// A file that was replaced has another inode; one that was written in place another time of change.
		fmt.Fprintln(&b, path, err, s.Dev, s.Ino, s.Size, s.Mtim, s.Ctim)
	}
	return b.String()
}
