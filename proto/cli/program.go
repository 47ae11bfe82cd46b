package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
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

// Sister finds another of our programs: beside this one, else in PATH.
func Sister(name string) (string, error) {
	if own, err := Executable(); err == nil {
		path := filepath.Join(filepath.Dir(own), name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return LookPath(name)
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
	return "", errors.New("command " + strconv.Quote(name) + " not found")
}

// SSHAskpass returns the program of SSH_ASKPASS where ssh(1) would ask with it, else "".
func SSHAskpass() string {
	display := os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY") != ""
	if require := os.Getenv("SSH_ASKPASS_REQUIRE"); require == "force" || require != "never" && display {
		return os.Getenv("SSH_ASKPASS")
	}
	return ""
}
