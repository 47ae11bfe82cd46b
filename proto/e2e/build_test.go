package e2e

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"oidc-agent/proto/e2e/user"
)

const root = "../.." // of the repository

// installed builds the programs, once for all tests.
var installed = sync.OnceValues(func() (string, error) {
	dir, err := user.Install(root)
	toRemove = dir
	return dir, err
})

var toRemove string

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8") // scripts mostly wait for a login
	code := m.Run()
	if toRemove != "" {
		code = max(code, leftovers(toRemove))
		os.RemoveAll(toRemove)
	}
	os.Exit(code)
}

// leftovers kills programs that the tests have left running, and reports them.
func leftovers(bin string) (code int) {
	killAll(func(commandLine, _ string) bool {
		if !strings.HasPrefix(commandLine, bin+"/") {
			return false
		}
		fmt.Fprintln(os.Stderr, "left running:", strings.ReplaceAll(commandLine, "\x00", " "))
		code = 1
		return true
	})
	return code
}

func binaries(t *testing.T) string {
	t.Helper()
	dir, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
