package network

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sshd starts OpenSSH's server on 192.0.2.2 and returns the ssh command for near.
func sshd(near, far *machine, more string) (ssh []string) {
	far.t.Helper()
	hostKey, userKey := filepath.Join(far.dir, "host"), filepath.Join(near.dir, "user")
	for _, key := range []string{hostKey, userKey} {
		must(far.t, far.command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key))
	}
	public, err := os.ReadFile(userKey + ".pub")
	if err != nil {
		far.t.Fatal(err)
	}
	host, err := os.ReadFile(hostKey + ".pub")
	if err != nil {
		far.t.Fatal(err)
	}
	config := far.write("sshd_config", strings.Join([]string{"Port 22", "ListenAddress 192.0.2.2", "HostKey " + hostKey,
		"AuthorizedKeysFile " + far.write("authorized_keys", string(public)), "StrictModes no", "PermitRootLogin prohibit-password",
		"PidFile none", "MaxSessions 100", more, ""}, "\n"))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // its chroot directory, usually made at boot
		far.t.Fatal(err)
	}
	far.start("^Server listening", "/usr/sbin/sshd", "-D", "-e", "-f", config)
	return []string{"ssh", "-F", "none", "-i", userKey, "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
		"-o", "UserKnownHostsFile=" + near.write("known_hosts", "192.0.2.2 "+string(host))}
}

// sites returns a desk with an agent and a loaded account, and a remote machine that can reach only the desk.
func sites(t *testing.T) (near, far *machine, variables []string) {
	t.Helper()
	near, far = newMachine(t, "idp.example", "127.0.0.1 idp.example\n"), newMachine(t, "far.example", "")
	link(near, far, "192.0.2.1/24", "192.0.2.2/24")
	ca := near.provider("127.0.0.1:443")
	_, variables = near.agent()
	near.run(generate(variables, "--cp="+ca)...)
	return near, far, variables
}

// TestForwarding: the agent's socket, forwarded by ssh -R.
func TestForwarding(t *testing.T) {
	t.Parallel()
	near, far, variables := sites(t)
	ssh := sshd(near, far, "StreamLocalBindUnlink yes")
	remote := filepath.Join(far.dir, "oidc.sock")
	there := append(append([]string{}, variables...), append(ssh, "-R", remote+":"+near.socket(variables), "root@192.0.2.2")...)
	program := "OIDC_SOCK=" + remote + " " + near.bin + "/oidc-token demo"
	if got := near.run(append(there, program)...); strings.Count(got, ".") != 2 {
		t.Errorf("no token on the far side: %q", got)
	}
	// ssh has ended and left the socket's file: a clear error there, and the next ssh works.
	if _, err := os.Lstat(remote); err != nil {
		t.Fatalf("no stale socket to be tried: %v", err)
	}
	for { // the server takes a moment to notice
		conn, err := net.Dial("unix", remote)
		if err != nil {
			break
		}
		io.Copy(io.Discard, conn)
		conn.Close()
	}
	said := far.fail("OIDC_SOCK="+remote, "oidc-token", "demo")
	wantText(t, said, remote, "nobody listens on its socket")
	if got := near.run(append(there, program)...); strings.Count(got, ".") != 2 {
		t.Errorf("no token on the far side: %q", got)
	}
	// The concurrent steps of a job, through one ssh.
	forward := near.command(append(there, "echo ready; exec cat")...)
	end, err := forward.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	near.watch(forward, "^ready")
	var steps sync.WaitGroup
	for range 64 {
		steps.Go(func() {
			if got, stderr, err := try(far.command("OIDC_SOCK="+remote, "oidc-token", "demo")); err != nil || strings.Count(got, ".") != 2 {
				t.Errorf("a step: %v %s", err, stderr)
			}
		})
	}
	steps.Wait()
}

// TestStaleForwarding: with a server that keeps old sockets, ssh reports it, and no client gets a wrong agent.
func TestStaleForwarding(t *testing.T) {
	t.Parallel()
	near, far, variables := sites(t)
	ssh := sshd(near, far, "")
	remote := filepath.Join(far.dir, "oidc.sock")
	there := append(ssh, "-R", remote+":"+near.socket(variables), "root@192.0.2.2")
	program := "OIDC_SOCK=" + remote + " " + near.bin + "/oidc-token demo"
	near.run(append(there, program)...)
	wantText(t, near.fail(append(there, program)...), "remote port forwarding failed for listen path "+remote)
	near.run(append(ssh, "root@192.0.2.2", "rm -f "+remote)...) // what the README says to do
	near.run(append(there, program)...)
}

// socket is the agent's.
func (m *machine) socket(variables []string) string {
	m.t.Helper()
	for _, v := range variables {
		if path, ok := strings.CutPrefix(v, "OIDC_SOCK="); ok {
			return path
		}
	}
	m.t.Fatal("no OIDC_SOCK")
	return ""
}
