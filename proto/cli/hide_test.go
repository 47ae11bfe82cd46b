package cli

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// The test binary runs itself with a secret in its arguments and looks at its own entry in the process list.
func TestHide(t *testing.T) {
	if os.Getenv("CLI_HIDE_TEST") != "" {
		Hide(os.Args[len(os.Args)-1][len("--rt="):])
		shown, err := os.ReadFile("/proc/self/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.Write(shown)
		os.Exit(0)
	}
	Hide("a constant, which would be a fault to write to")
	child := exec.Command(os.Args[0], "-test.run=^TestHide$", "--", "--rt=hunter2")
	child.Env = append(os.Environ(), "CLI_HIDE_TEST=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if bytes.Contains(out, []byte("hunter2")) || !bytes.Contains(out, []byte("--rt=*******")) {
		t.Errorf("process list shows %q, want the token hidden", out)
	}
}
