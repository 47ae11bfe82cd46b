package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"oidc-agent/proto/e2e/user"
)

// storage is the resource server for which provider.mjs issues JWTs.
const storage = "https://storage.example.org"

// startProvider starts npm's oidc-provider and returns its issuer.
func startProvider(t *testing.T, args ...string) string {
	t.Helper()
	return startNode(t, append([]string{"provider.mjs"}, args...)...)
}

// nodeTimeout is how long a script may take to print its issuer.
const nodeTimeout = time.Minute

// startNode starts a script and waits until it prints its issuer. If it prints nothing it is restarted: in rare cases
// node 20 hangs while it generates a key.
func startNode(t *testing.T, script ...string) string {
	t.Helper()
	for range 3 {
		cmd := exec.Command("node", script...)
		stderr := &bytes.Buffer{}
		cmd.Stderr = stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatalf("node (npm's oidc-provider is a peer that must be there): %v", err)
		}
		silent := time.AfterFunc(nodeTimeout, func() { cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "http") {
				silent.Stop()
				t.Cleanup(func() {
					cmd.Process.Signal(syscall.SIGTERM)
					cmd.Wait()
				})
				return lines.Text()
			}
		}
		err = cmd.Wait()
		if silent.Stop() {
			t.Fatalf("%q does not start (npm ci?): %v\n%s", script, err, stderr)
		}
		t.Logf("%q said nothing for %v", script, nodeTimeout)
	}
	t.Fatalf("%q says nothing", script)
	return ""
}

var deviceCode = regexp.MustCompile(`visit:\s+(\S+)\s+And enter the code: (\S+)`)

// approve approves the code on the screen, as a user would.
func approve(ctx context.Context, s *user.Session) error {
	m, err := s.Find(ctx, deviceCode)
	if err != nil {
		return err
	}
	return user.NewBrowser("alice", "alice").Approve(ctx, m[1], m[2], true)
}

// fetch makes a request with basic authentication or, if id is empty, with the secret
// as bearer token. The status must be 200.
func fetch(t *testing.T, address, id, secret string, form url.Values) map[string]any {
	t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case id != "":
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) // RFC 6749 section 2.3.1
	case secret != "":
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, address, resp.Status, text)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	return answer
}

// verifyJWT checks an RS256 signature against the keys that discovery names
// and returns the claims. It shares no code with our own programs.
func verifyJWT(t *testing.T, issuer, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	var header struct{ Alg, Kid string }
	decodePart(t, parts[0], &header)
	if header.Alg != "RS256" {
		t.Fatalf("alg %q, want RS256", header.Alg)
	}
	metadata := fetch(t, issuer+"/.well-known/openid-configuration", "", "", nil)
	jwks := fetch(t, metadata["jwks_uri"].(string), "", "", nil)
	key, err := rsaKey(jwks, header.Kid)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature); err != nil {
		t.Fatalf("signature: %v", err)
	}
	var claims map[string]any
	decodePart(t, parts[1], &claims)
	return claims
}

func decodePart(t *testing.T, part string, into any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func rsaKey(jwks map[string]any, kid string) (*rsa.PublicKey, error) {
	keys, _ := jwks["keys"].([]any)
	for _, k := range keys {
		jwk := k.(map[string]any)
		if jwk["kid"] != kid || jwk["kty"] != "RSA" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(jwk["n"].(string))
		if err != nil {
			return nil, err
		}
		e, err := base64.RawURLEncoding.DecodeString(jwk["e"].(string))
		if err != nil {
			return nil, err
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	}
	return nil, fmt.Errorf("no RSA key %q", kid)
}
