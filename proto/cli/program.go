package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
)

// Executable returns the path of the running program. Unlike [os.Executable] it works in a chroot without /proc.
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

// Sister finds another of our programs, beside the running one or in PATH.
func Sister(name string) (string, error) {
	if own, err := Executable(); err == nil {
		path := filepath.Join(filepath.Dir(own), name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return LookPath(name)
}

// LookPath finds a program in PATH, as a shell does.
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

// SSHAskpass returns $SSH_ASKPASS if ssh(1) would use it to ask, or else "".
func SSHAskpass() string {
	display := os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY") != ""
	if require := os.Getenv("SSH_ASKPASS_REQUIRE"); require == "force" || require != "never" && display {
		return os.Getenv("SSH_ASKPASS")
	}
	return ""
}
