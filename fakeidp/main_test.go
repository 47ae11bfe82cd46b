package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary builds the program, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fakeidp-test")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fakeidp")
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version=v1.2.3-test", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

// start runs the program and returns it with the first line of its stdout.
func start(t *testing.T, args ...string) (cmd *exec.Cmd, issuer string, rest *bufio.Reader) {
	t.Helper()
	cmd = command(t, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	rest = bufio.NewReader(out)
	line, err := rest.ReadString('\n')
	if err != nil {
		t.Fatalf("no first line: %v", err)
	}
	return cmd, strings.TrimSuffix(line, "\n"), rest
}

func TestServesUntilSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, issuer, rest := start(t)
		if !strings.HasPrefix(issuer, "http://127.0.0.1:") || !strings.HasSuffix(issuer, "/") {
			t.Errorf("first line %q", issuer)
		}
		resp, err := http.Get(issuer + ".well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		var md struct{ Issuer string }
		if err := json.NewDecoder(resp.Body).Decode(&md); err != nil || md.Issuer != issuer {
			t.Errorf("issuer %q, error %v", md.Issuer, err)
		}
		resp.Body.Close() // the connection stays open, but the program must exit
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if more, _ := io.ReadAll(rest); len(more) > 0 {
			t.Errorf("more on stdout: %q", more)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestIssuerOption(t *testing.T) {
	t.Parallel()
	_, issuer, _ := start(t, "--issuer=https://iam.example/x", "--listen=127.0.0.1:0", "--auto-approve", "--rotate", "--access-token-lifetime=20m", "--refresh-token-lifetime=720h", "--alg=ES256")
	if issuer != "https://iam.example/x/" {
		t.Errorf("first line %q", issuer)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	_, issuer, _ := start(t, "--tls", "--ca-out="+file, "--listen=0.0.0.0:0")
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate: %s", pem)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for _, url := range []string{issuer, strings.Replace(issuer, "localhost", "127.0.0.1", 1)} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.HasPrefix(issuer, "https://localhost:") {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	if _, err := http.Get(issuer); err == nil {
		t.Error("trusted without the CA")
	}
}

func TestConfigFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "idp.json")
	if err := os.WriteFile(file, []byte(`{"clients":[{"client_id":"me","client_secret":"mine","grant_types":["client_credentials"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, issuer, _ := start(t, "--config="+file)
	req, err := http.NewRequest("POST", issuer+"token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("me", "mine")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"help":           {[]string{"--help"}, 0, "Usage: fakeidp", ""},
		"version":        {[]string{"--version"}, 0, "fakeidp v1.2.3-test\n", ""},
		"unknown option": {[]string{"--nothing"}, 64, "", "-nothing"},
		"bad duration":   {[]string{"--access-token-lifetime=soon"}, 64, "", "soon"},
		"below zero":     {[]string{"--access-token-lifetime=-5m"}, 64, "", "below zero"},
		"operand":        {[]string{"here"}, 64, "", `"here"`},
		"bad issuer":     {[]string{"--issuer=iam"}, 64, "", `"iam"`},
		"bad profile":    {[]string{"--profile=x"}, 64, "", `"x"`},
		"bad algorithm":  {[]string{"--alg=none"}, 64, "", `"none"`},
		"ca without tls": {[]string{"--ca-out=x"}, 64, "", "--tls"},
		"bad address":    {[]string{"--listen=nowhere"}, 1, "", "nowhere"},
		"no config":      {[]string{"--config=" + dir + "/none"}, 1, "", "none"},
		"broken config":  {[]string{"--config=" + broken}, 1, "", "broken.json"},
		"ca not written": {[]string{"--tls", "--ca-out=" + dir}, 1, "", dir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, x.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != x.code {
				t.Errorf("exit code %d, want %d", code, x.code)
			}
			if !strings.HasPrefix(stdout.String(), x.stdout) || (x.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("stdout %q", &stdout)
			}
			if !strings.Contains(stderr.String(), x.stderr) || (x.stderr != "" && !strings.HasPrefix(stderr.String(), "Error: ")) {
				t.Errorf("stderr %q", &stderr)
			}
		})
	}
}

// TestHelpNamesOptions: every option is in the help.
func TestHelpNamesOptions(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"listen", "issuer", "tls", "ca-out", "auto-approve", "silent-denial", "device-interval", "config", "control",
		"profile", "alg", "access-token-lifetime", "refresh-token-lifetime", "rotate", "version", "help"} {
		if !strings.Contains(help, "--"+name) {
			t.Errorf("--%s is not in the help", name)
		}
	}
}
