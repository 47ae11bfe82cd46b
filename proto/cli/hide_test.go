package cli

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The test binary runs itself with secrets in its arguments, in all forms, and reads its own entry in the process
// list.
func TestConceal(t *testing.T) {
	if os.Getenv("CLI_HIDE_TEST") != "" {
		showConcealed()
	}
	child := exec.Command(os.Args[0], "-test.run=^TestConceal$", "--", "--rt=hunter2", "--rt", "hunter3",
		"--refresh-tok=hunter4", "--user=joe", "--env", "--rt=")
	child.Env = append(os.Environ(), "CLI_HIDE_TEST=1")
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	shown, got, _ := strings.Cut(string(out), "\n")
	if want := "--\x00--rt=*******\x00--rt\x00*******\x00--refresh-tok=*******\x00--user=joe\x00--env\x00--rt=\x00"; !strings.HasSuffix(shown, want) {
		t.Errorf("process list shows %q, want %q", shown, want)
	}
	if want := "[hunter2 hunter3 hunter4 ] joe\n"; got != want {
		t.Errorf("the options have %q, want %q", got, want)
	}
}

func showConcealed() {
	var tokens []string
	var user string
	ignore := func(string) error { return nil }
	p := Program{Name: "x", Options: []Option{
		{Long: "refresh-token", Aliases: []string{"rt"}, Arg: "T", Secret: true, Set: func(value string) error { tokens = append(tokens, value); return nil }},
		{Long: "refresh-token-env", Arg: "N", Optional: true, Whole: true, Set: ignore},
		{Long: "user", Arg: "U", Set: Text(&user)},
		{Long: "env", Arg: "E", Optional: true, Secret: true, Default: "a constant, which it would be a fault to write to", Set: ignore},
	}}
	args := p.Conceal(os.Args[slices.Index(os.Args, "--")+1:])
	if _, err := p.Parse(args); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	shown, err := os.ReadFile("/proc/self/cmdline")
	fmt.Printf("%s\n%v %s\n", shown, tokens, user)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func TestForget(t *testing.T) {
	for _, name := range secretVariables {
		t.Setenv(name, "hunter2")
	}
	t.Setenv("KEPT", "hunter3")
	without := strings.Join(Environ(), "\n")
	Forget()
	for what, environment := range map[string]string{"Environ": without, "Forget": strings.Join(os.Environ(), "\n")} {
		if strings.Contains(environment, "hunter2") || !strings.Contains(environment, "KEPT=hunter3") {
			t.Errorf("%s leaves %s", what, environment)
		}
	}
}
