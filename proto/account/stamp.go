package account

import (
	"fmt"
	"os"
	"path/filepath"
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

// IssuersStamp is the [Stamp] of all that LoadIssuers reads.
func IssuersStamp(d Dir) string { return Stamp(issuersPaths(d.path, etc)...) }

func issuersPaths(dirs ...string) (paths []string) {
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		more := filepath.Join(dir, issuerDir)
		paths = append(paths, filepath.Join(dir, issuerFile), filepath.Join(dir, pubClientsFile), more)
		entries, _ := os.ReadDir(more)
		for _, entry := range entries {
			paths = append(paths, filepath.Join(more, entry.Name()))
		}
	}
	return paths
}
