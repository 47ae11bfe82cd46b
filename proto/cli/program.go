package cli

import (
	"errors"
	"os"
	"path/filepath"
)

// Executable returns the file of the program that runs. [os.Executable] asks /proc, which a chroot may lack.
func Executable() (string, error) {
	path, err := os.Executable()
	if err == nil {
		return path, nil
	}
	if found, lost := LookPath(os.Args[0]); lost == nil {
		return filepath.Abs(found)
	}
	return "", err
}

// LookPath finds a program as a shell does.
func LookPath(name string) (string, error) {
	if filepath.Base(name) != name {
		return name, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errors.New("command not found")
}
