package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// These tests run the examples of README.md that others copy into their projects.

// readme returns the README's code block of a language that contains a word.
func readme(t *testing.T, language, word string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == language && strings.Contains(m[2], word) {
			return m[2]
		}
	}
	t.Fatalf("README.md has no block of %q with %q", language, word)
	return ""
}

// ciFiles are stand-ins for what a CI job has: a git server with our project, and its own tests.
const ciFiles = `
-- stubs/git --
#!/bin/sh
mkdir oidc-agent
ln -s "$BIN" oidc-agent/bin
echo '#!/bin/sh' >oidc-agent/build.sh
chmod +x oidc-agent/build.sh
-- your-tests --
#!/bin/sh
cat "$BEARER_TOKEN_FILE"
oidc-agent -k
`

const ciScript = `
chmod 700 stubs/git your-tests
env OIDC_ENCRYPTION_PW=%s BIN=%s PATH=$HOME/stubs:/usr/bin:/bin
sh -c 'sh -e job >log 2>&1 || { cat log; exit 1; }'
cat log
stdout ^eyJ[\w-]+\.[\w-]+\.[\w-]+$
stdout ^Everything setup correctly!$
`

func runCI(t *testing.T, yaml, job, files string) {
	t.Helper()
	bin := binaries(t)
	m := regexp.MustCompile(`OIDC_ENCRYPTION_PW: (\S+)`).FindStringSubmatch(yaml)
	if m == nil {
		t.Fatal("no password")
	}
	script := fmt.Sprintf(ciScript, m[1], bin) + ciFiles + files + "-- job --\n" + job
	if err := run(scriptDir(t), bin, script, patience); err != nil {
		t.Errorf("%v\n%s", err, job)
	}
}

// TestGitHubExample runs each step as a program of its own, as GitHub Actions does; two files join them.
func TestGitHubExample(t *testing.T) {
	t.Parallel()
	yaml := readme(t, "yaml", "runs-on")
	job := "export GITHUB_ENV=$PWD/env GITHUB_PATH=$PWD/path\n"
	files := ""
	steps := regexp.MustCompile(`(?m)^ {8}run: \|\n((?: {10}.*\n)+)`).FindAllStringSubmatch(yaml, -1)
	if len(steps) != 2 {
		t.Fatalf("%d steps", len(steps))
	}
	for i, m := range steps {
		files += fmt.Sprintf("-- step%d --\n%s", i, strings.ReplaceAll(m[1], "          ", ""))
		job += fmt.Sprintf("sh -e step%d\nset -a\n. ./env\nPATH=$(cat path):$PATH\nset +a\n", i)
	}
	runCI(t, yaml, job, files)
}

func TestGitLabExample(t *testing.T) {
	t.Parallel()
	yaml := readme(t, "yaml", "image:")
	_, lines, found := strings.Cut(yaml, "  script:\n")
	if !found {
		t.Fatal("no script")
	}
	runCI(t, yaml, strings.ReplaceAll(lines, "    - ", ""), "")
}

// TestGoExample runs the Go test as a user would: in another module, beside ours.
func TestGoExample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(ours, filepath.Join(dir, "oidc-agent")); err != nil {
		t.Fatal(err)
	}
	yours := filepath.Join(dir, "yours")
	if err := os.Mkdir(yours, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod": readme(t, "", "replace oidc-agent"), "yours_test.go": readme(t, "go", "iam.Start"),
	} {
		if err := os.WriteFile(filepath.Join(yours, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"vet", "."}, {"test", "-count=1", "-v", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = yours
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil || args[0] == "test" && !strings.Contains(string(out), "--- PASS: TestBusyProvider") {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
	if out, err := exec.Command("gofmt", "-l", yours).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v %s", err, out)
	}
}

var controlRow = regexp.MustCompile("(?m)^\\| `([A-Z]+) (/_fake/[\\w-]+)` \\| (?:`(.*?)` )?\\|")

// TestControlTable: the table of the control API has all requests, and its examples work.
func TestControlTable(t *testing.T) {
	t.Parallel()
	bin := binaries(t)
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	issuer := startControlled(t, filepath.Join(bin, "fakeidp"))
	var told []string
	for _, m := range controlRow.FindAllStringSubmatch(string(text), -1) {
		method, path, body := m[1], m[2], m[3]
		told = append(told, method+" "+path)
		if path == "/_fake/approve" || path == "/_fake/deny" {
			send(t, http.MethodPost, issuer+"devicecode", "application/x-www-form-urlencoded",
				url.Values{"client_id": {"me"}, "client_secret": {"mine"}}.Encode())
		}
		if body != "" && !json.Valid([]byte(body)) {
			t.Errorf("%s %s: %s is no JSON", method, path, body)
		}
		send(t, method, strings.TrimSuffix(issuer, "/")+path, "application/json", body)
	}
	slices.Sort(told)
	told = slices.Compact(told)
	if known := controlRequests(t); !slices.Equal(told, known) {
		t.Errorf("the README has %q, fakeidp(1) %q", told, known)
	}
}

func startControlled(t *testing.T, fakeidp string) (issuer string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(`{"clients": [{"client_id": "me", "client_secret": "mine"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(fakeidp, "--control", "--config="+config)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func send(t *testing.T, method, address, mediaType, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		answer, _ := io.ReadAll(resp.Body)
		t.Errorf("%s %s %s: %s %s", method, address, body, resp.Status, answer)
	}
}

// controlRequests returns the requests in the manual page.
func controlRequests(t *testing.T) (known []string) {
	t.Helper()
	manual, err := os.ReadFile(root + "/fakeidp/fakeidp.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\.It Ql ([A-Z, ]+?) (/_fake/[\w-]+)`).FindAllStringSubmatch(string(manual), -1) {
		for method := range strings.SplitSeq(m[1], " , ") {
			known = append(known, method+" "+m[2])
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}
