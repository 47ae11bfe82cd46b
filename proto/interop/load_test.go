package interop

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
)

const loadClients = 200

// TestLoad has 200 concurrent clients request tokens of fakeidp, each again as soon as it has an answer. No request
// may fail. With LOAD=10s, a duration, it runs that long, also with npm's oauth2-mock-server, and prints the table of
// the README.
func TestLoad(t *testing.T) {
	long := os.Getenv("LOAD")
	if long == "" {
		runLoad(t, startFakeidp(t, iam.ES256), iam.ES256, time.Second)
		runLoad(t, startFakeidp(t, iam.RS256), iam.RS256, time.Second)
		return
	}
	duration, err := time.ParseDuration(long)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s, %d CPUs, %d clients for %s\n\n", runtime.Version(), runtime.NumCPU(), loadClients, duration)
	fmt.Println("| tokens per second | RS256 | ES256 |\n| --- | --- | --- |")
	for _, peer := range []struct {
		name  string
		start func(*testing.T, string) *served
	}{{"fakeidp", startFakeidp}, {"oauth2-mock-server " + npmVersion(t, "oauth2-mock-server"), startMockServer}} {
		rs := runLoad(t, peer.start(t, iam.RS256), iam.RS256, duration)
		es := runLoad(t, peer.start(t, iam.ES256), iam.ES256, duration)
		fmt.Printf("| %s | %.0f | %.0f |\n", peer.name, rs, es)
	}
}

// served is a server in another process.
type served struct {
	issuer string
	stop   func()
}

func startFakeidp(t *testing.T, alg string) *served {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	config := struct {
		Clients []iam.Client `json:"clients"`
	}{}
	for i := range loadClients {
		config.Clients = append(config.Clients, iam.Client{ClientID: clientName(i), ClientSecret: "words", GrantTypes: []string{"client_credentials"}})
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clients.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return startServer(t, exec.Command(filepath.Join(bin, "fakeidp"), "--alg="+alg, "--config="+file))
}

func startMockServer(t *testing.T, alg string) *served {
	t.Helper()
	return startServer(t, exec.Command("node", "mockserver.mjs", alg))
}

// startServer returns when the server has printed its issuer.
func startServer(t *testing.T, cmd *exec.Cmd) *served {
	t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	t.Cleanup(stop)
	issuer, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q does not start: %v", cmd.Args, err)
	}
	return &served{strings.TrimSpace(issuer), stop}
}

func clientName(i int) string { return fmt.Sprintf("client-%d", i) }

// runLoad returns the tokens per second and stops the server. A failed request is an error.
func runLoad(t *testing.T, s *served, alg string, duration time.Duration) float64 {
	t.Helper()
	defer s.stop()
	transport := &http.Transport{MaxIdleConnsPerHost: loadClients}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	if err := askToken(c, s.issuer, clientName(0), alg); err != nil { // waits for the key
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	tokens := make([]int, loadClients)
	failures := make(chan error, loadClients)
	begin := time.Now()
	for i := range loadClients {
		clients.Go(func() {
			for time.Since(begin) < duration {
				if err := askToken(c, s.issuer, clientName(i), alg); err != nil {
					failures <- err // the client stops
					return
				}
				tokens[i]++
			}
		})
	}
	clients.Wait()
	took := time.Since(begin)
	close(failures)
	for err := range failures {
		t.Errorf("%s: %v", alg, err)
	}
	sum := 0
	for i, n := range tokens {
		sum += n
		if n == 0 {
			t.Errorf("%s has got no token in %s", clientName(i), duration)
		}
	}
	return float64(sum) / took.Seconds()
}

func askToken(c *http.Client, issuer, id, alg string) error {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"words"}, "scope": {"storage.read:/"}}
	resp, err := c.PostForm(issuer+"token", form)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	header, _, _ := strings.Cut(answer.AccessToken, ".")
	if text, _ := base64.RawURLEncoding.DecodeString(header); !strings.Contains(string(text), `"`+alg+`"`) {
		return fmt.Errorf("header %q, want %s", text, alg)
	}
	return nil
}

// npmVersion returns the version of a package in package.json.
func npmVersion(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Dependencies map[string]string }
	if err := json.Unmarshal(text, &file); err != nil || file.Dependencies[name] == "" {
		t.Fatalf("package.json: %s: %v", name, err)
	}
	return file.Dependencies[name]
}
