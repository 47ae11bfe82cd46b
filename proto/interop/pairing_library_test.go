package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/e2e/user"
)

// TestCLibrary: a C program gets tokens from our agent through liboidc-agent, with
// each public function.
func TestCLibrary(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	client := compileClient(t, p)
	p.startAgent()
	p.generate("oidc-gen", "demo")
	cached := p.run("oidc-token", "demo")
	whole := `token: (\S+)\nissuer: ` + p.idp.Issuer() + `\nexpires_at: (\d+)`
	for function, prints := range map[string]string{
		"getAccessToken":        `token: (\S+)`,
		"getAccessToken2":       `token: (\S+)`,
		"getAccessToken3":       `token: (\S+)`,
		"getTokenResponse3":     whole,
		"getAgentTokenResponse": whole,
	} {
		p.checkCalls(client, function, "demo", prints, cached)
	}
	for function, prints := range map[string]string{
		"getAccessTokenForIssuer3":       `token: (\S+)`,
		"getTokenResponseForIssuer3":     whole,
		"getAgentTokenResponseForIssuer": whole,
	} {
		p.checkCalls(client, function, p.idp.Issuer(), prints, cached)
		p.checkCalls(client, function, strings.TrimSuffix(p.idp.Issuer(), "/"), prints, cached)
	}
	checkLibraryErrors(t, p, client)
}

func compileClient(t *testing.T, p *pair) (program string) {
	t.Helper()
	program = filepath.Join(p.dir, "client")
	cc := exec.Command("cc", "-Wall", "-Wextra", "-o", program, "testdata/client.c", "-loidc-agent")
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("cc (a C compiler and liboidc-agent-dev are needed): %v\n%s", err, out)
	}
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// checkCalls calls a function for the cached token, for a new one, for fewer scopes,
// and for an audience.
func (p *pair) checkCalls(client, function, name, prints, cached string) {
	p.t.Helper()
	call := func(args ...string) (token string) {
		p.t.Helper()
		out := p.run(append([]string{client, function, name}, args...)...)
		m := regexp.MustCompile(`^` + prints + `$`).FindStringSubmatch(out)
		if m == nil {
			p.t.Errorf("%s %q prints\n%s", function, args, out)
			return ""
		}
		if len(m) > 2 {
			at, _ := strconv.ParseInt(m[2], 10, 64)
			if left := time.Until(time.Unix(at, 0)); left < time.Minute || left > 24*time.Hour {
				p.t.Errorf("%s: the token expires in %v", function, left)
			}
		}
		return m[1]
	}
	if token := call("60"); token != cached {
		p.t.Errorf("%s does not give the cached token", function)
	}
	if scope := claim(p.t, call("0", otherScope), "scope"); scope != otherScope {
		p.t.Errorf("%s with a scope gives %v", function, scope)
	}
	if function == "getAccessToken" || function == "getAccessToken2" {
		return // these have no audience
	}
	if aud := claim(p.t, call("0", "", "https://a.example.org"), "aud"); aud != "https://a.example.org" {
		p.t.Errorf("%s with an audience gives %v", function, aud)
	}
}

// If an answer has no help text, the old functions of 4.2.6 lose the error string,
// with every agent.
const lostString = "Argument is NULL in function oidc_strcopy"

// checkLibraryErrors checks the error string and the help text.
func checkLibraryErrors(t *testing.T, p *pair, client string) {
	t.Helper()
	for _, c := range []struct{ name, valid, scope, error, help string }{
		{"nosuch", "0", "", "No account configured with that short name", ""},
		{"demo", "0", denied, "invalid_scope: .+", "(?s).*oidc-gen -m demo.*"},
		{"demo", "-1", "", "invalid_(?:grant|token): .+", "(?s).*oidc-gen demo --reauthenticate.*"},
	} {
		if c.valid == "-1" && !p.idp.Revoke(p.printed("oidc-gen", "demo")["refresh_token"].(string)) {
			t.Fatal("the provider does not know the refresh token")
		}
		for function, prints := range map[string]string{
			"getAccessToken3":       `error: ` + c.error,
			"getTokenResponse3":     `error: ` + c.error,
			"getAgentTokenResponse": `error: ` + c.error + `\nhelp: ` + c.help,
		} {
			switch {
			case c.help == "" && function == "getAgentTokenResponse":
				prints = strings.TrimSuffix(prints, `\nhelp: `)
			case c.help == "":
				prints = `error: (?:` + c.error + `|` + lostString + `)`
			}
			r, err := p.try(user.Program{Args: []string{client, function, c.name, c.valid, c.scope}})
			if err != nil || r.Code != 1 || !regexp.MustCompile(`^`+prints+`\n$`).MatchString(r.Stdout) {
				t.Errorf("%s %s %s: %v, exit %d\n%s\nwant\n%s", function, c.name, c.scope, err, r.Code, r.Stdout, prints)
			}
		}
	}
	p.stopAgent()
	r, err := p.try(user.Program{Args: []string{client, "getAgentTokenResponse", "demo", "0"}})
	if err != nil || r.Code != 1 || !strings.HasPrefix(r.Stdout, "error: ") {
		t.Errorf("without an agent: %v, exit %d, %s", err, r.Code, r.Stdout)
	}
}
