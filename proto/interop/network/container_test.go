package network

import (
	"os"
	"strings"
	"testing"

	"oidc-agent/proto/e2e/user"
)

// TestContainer: a root with nothing but the static oidc-token and the socket: no /etc, /proc, /dev or /tmp.
func TestContainer(t *testing.T) {
	t.Parallel()
	near, _, variables := sites(t)
	socket := near.socket(variables)
	for name, more := range map[string][]string{
		"no namespaces but the mounts": nil,
		"no network, no processes":     {"--unshare-all"},
		"a user namespace":             {"--unshare-all", "--unshare-user", "--uid", "1234", "--gid", "1234"},
	} {
		box := append([]string{"bwrap", "--clearenv", "--setenv", "OIDC_SOCK", "/agent.sock", "--bind", socket, "/agent.sock",
			"--ro-bind", near.bin + "/oidc-token", "/oidc-token"}, append(more, "/oidc-token", "demo")...)
		if got := near.run(box...); strings.Count(got, ".") != 2 {
			t.Errorf("%s: no token: %q", name, got)
		}
	}
	wantText(t, near.fail("bwrap", "--clearenv", "--setenv", "OIDC_SOCK", "/agent.sock",
		"--ro-bind", near.bin+"/oidc-token", "/oidc-token", "/oidc-token", "demo"), "/agent.sock")
}

// TestStranger: another user who maps to the agent's user ID in a user namespace is still that other user.
func TestStranger(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "near.example", "")
	open := m.dir + "/open"
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(open, user.Ordinary, user.Ordinary); err != nil {
		t.Fatal(err)
	}
	as := func(id string) []string {
		return []string{"HOME=" + open, "OIDC_SOCK=" + open + "/agent.sock", "setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups"}
	}
	m.start("^OIDCD_PID=", append(as("65534"), "oidc-agent", "--console", "-a", open+"/agent.sock")...)
	if err := os.Chmod(open+"/agent.sock", 0o777); err != nil { // the mistake against which the agent checks its peers
		t.Fatal(err)
	}
	box := []string{"bwrap", "--bind", "/", "/", "--unshare-user", "--uid", "65534", "--gid", "65534", m.bin + "/oidc-add", "--loaded"}
	own, foreign := m.command(append(as("65534"), box...)...), m.command(append(as("65533"), box...)...)
	if _, stderr, err := try(own); err != nil {
		t.Errorf("the user himself: %v %s", err, stderr)
	}
	if stdout, stderr, err := try(foreign); err == nil {
		t.Errorf("a stranger is let in: %s", stdout)
	} else {
		wantText(t, stderr, "the connection was closed without an answer")
	}
}
