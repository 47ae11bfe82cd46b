package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// askpassName is the name under which the test binary plays the user who answers windows.
const askpassName = "askpass"

// answers is the directory in which a test leaves the user's answer for an account; see askpass.
var answers string

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case askpassName:
		askpass(os.Args[1])
	case loadName:
		load(os.Args[1:])
	case programName:
		main()
	}
	os.Exit(runTests(m))
}

// runTests gives all tests one configuration directory and one askpass program. Tests use different account names to
// keep apart.
func runTests(m *testing.M) int {
	home, err := os.MkdirTemp("", "agent-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	program, err := os.Executable()
	if err != nil {
		panic(err)
	}
	answers = filepath.Join(home, "answers")
	config, window := filepath.Join(home, "config"), filepath.Join(home, askpassName)
	err = errors.Join(os.Mkdir(answers, 0o700), os.Mkdir(config, 0o700), os.Symlink(program, window))
	for name, value := range map[string]string{
		"HOME": home, "OIDC_CONFIG_DIR": config, "OIDC_ASKPASS": window, "TEST_ANSWERS": answers,
	} {
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err != nil {
		panic(err)
	}
	return m.Run()
}

// askpass plays the user: the answer is in the file with the account name that the question has in quotes. An empty
// one means no. Each question is recorded. A test that makes the file a pipe makes the user think.
func askpass(question string) {
	name := strings.Split(question, "'")[1]
	folder := os.Getenv("TEST_ANSWERS")
	asked, err := os.OpenFile(filepath.Join(folder, name+".asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = asked.WriteString(question + "\n")
		asked.Close()
	}
	answer, errRead := os.ReadFile(filepath.Join(folder, name))
	if err != nil || errRead != nil || len(answer) == 0 {
		os.Exit(1)
	}
	fmt.Printf("%s\n", answer)
	os.Exit(0)
}

// answer leaves what the user will answer. questions returns what the user was asked.
func answer(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(answers, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func questions(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(answers, name+".asked"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(data)))
}

func configDir() string { return os.Getenv("OIDC_CONFIG_DIR") }

// pipe makes the user think about an account's question until the test answers it with the returned function.
func pipe(t *testing.T, name string) (reply func(text string)) {
	t.Helper()
	path := filepath.Join(answers, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// The record of the question is a pipe as well: opening it tells that the window is there.
	if err := unix.Mkfifo(path+".asked", 0o600); err != nil {
		t.Fatal(err)
	}
	return func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// awaitQuestion waits for the question about a pipe's account, and returns it.
func awaitQuestion(t *testing.T, name string) string {
	t.Helper()
	question, err := os.ReadFile(filepath.Join(answers, name+".asked"))
	if err != nil {
		t.Fatal(err)
	}
	return string(question)
}
