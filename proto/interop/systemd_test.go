package interop

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestUnits: systemd accepts the service and socket units without a warning.
func TestUnits(t *testing.T) {
	h := newHome(t)
	for _, name := range []string{"oidc-agent.service", "oidc-agent.socket"} {
		text, err := os.ReadFile(filepath.Join("../../agent", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(h.dir, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify", "oidc-agent.service", "oidc-agent.socket")
	cmd.Dir = h.dir
	cmd.Env = []string{"HOME=" + h.dir, "XDG_RUNTIME_DIR=" + h.dir, "PATH=/usr/bin:/bin", "SYSTEMD_UNIT_PATH=" + h.dir + ":"}
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSocketActivation: systemd's tool passes the socket at the first connection, and oidc-add gets an answer.
// oidc-agent-service then uses that agent.
func TestSocketActivation(t *testing.T) {
	h := newHome(t)
	bin, _ := installed()
	socket := filepath.Join(h.dir, "oidc-agent", "oidc-agent.sock")
	if err := os.Mkdir(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	manager := exec.CommandContext(ctx, "systemd-socket-activate", "--listen="+socket, "--fdname=oidc-agent", "--setenv=HOME="+h.dir,
		filepath.Join(bin, "oidc-agent"), "--console")
	if err := manager.Start(); err != nil {
		t.Fatal(err)
	}
	defer manager.Wait()
	defer manager.Process.Kill()
	for _, err := os.Lstat(socket); err != nil && ctx.Err() == nil; _, err = os.Lstat(socket) {
		time.Sleep(5 * time.Millisecond)
	}
	env := []string{"HOME=" + h.dir, "TMPDIR=" + h.dir, "XDG_RUNTIME_DIR=" + h.dir, "PATH=" + bin + ":/usr/bin:/bin"}
	for line, want := range map[string]string{
		"oidc-add -a && echo found":                                  "found\n",
		"eval $(oidc-agent-service use) >/dev/null; echo $OIDC_SOCK": socket + "\n",
	} {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Env = append(env, "OIDC_SOCK="+socket)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}
