package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// background is a program that waits for its user.
type background struct {
	t    *testing.T
	done chan error
}

// start starts a program in the background and returns its first output that
// matches a pattern.
func (h *home) start(pattern *regexp.Regexp, args ...string) (*background, []string) {
	h.t.Helper()
	found, s := make(chan []string, 1), &background{h.t, make(chan error, 1)}
	go func() {
		r, err := h.try(user.Program{Args: args, User: func(ctx context.Context, session *user.Session) error {
			m, err := session.Find(ctx, pattern)
			if err == nil {
				found <- m
			}
			return err
		}})
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("exit %d", r.Code)
		}
		if err != nil {
			err = errors.Join(err, errors.New(r.Stdout+r.Stderr))
		}
		s.done <- err
	}()
	select {
	case m := <-found:
		return s, m
	case err := <-s.done:
		h.t.Fatalf("%q: %v", args, err)
		return nil, nil
	}
}

// wait waits for the program's end, which must be a success.
func (s *background) wait() {
	s.t.Helper()
	if err := <-s.done; err != nil {
		s.t.Fatal(err)
	}
}

// toVisit is the line with the URL to open.
var toVisit = regexp.MustCompile(`URL in a Browser of your choice:\n(\S+)\n`)

// TestCodeFlowInBrowser is oidc-gen -w code from beginning to end: login, consent,
// and the agent's local web server.
func TestCodeFlowInBrowser(t *testing.T) {
	t.Parallel()
	p, h := newPageWorld(t), newHome(t)
	h.startAgent()
	gen, m := h.start(toVisit, "oidc-gen", "-w", "code", "--no-url-call", "--prompt=none", "--pw-env",
		"--issuer="+p.idp.Issuer(), "--scope=openid profile offline_access storage.read:/", "demo")
	c := startChromium(t, true)
	c.open(m[1], "Sign in")
	c.signIn("Approve access?")
	c.use("Approve", "You are logged in")
	gen.wait()
	c.picture("agent-done")
	checkPKCE(t, p.idp)
	checkFake(t, p.idp, h)

	// The user denies access.
	gen, m = h.start(toVisit, "oidc-gen", "-w", "code", "--no-url-call", "--prompt=none", "--pw-env",
		"--issuer="+p.idp.Issuer(), "--scope=openid offline_access", "denied")
	c.open(m[1], "Approve access?")
	c.use("Deny", "The login has failed")
	if err := <-gen.done; err == nil || !strings.Contains(err.Error(), "access_denied") {
		t.Errorf("oidc-gen, after the user said no: %v", err)
	}
}

// checkPKCE checks the challenge and the verifier that fakeidp received.
func checkPKCE(t *testing.T, idp *iam.Server) {
	t.Helper()
	var method, verifier string
	for _, r := range idp.Requests() {
		switch q, _ := url.ParseQuery(r.Query); r.Path {
		case "authorize":
			if q.Has("code_challenge") {
				method = q.Get("code_challenge_method")
			}
		case "token":
			verifier = r.Form().Get("code_verifier")
		}
	}
	if method != "S256" || len(verifier) < 43 {
		t.Errorf("challenge method %q, verifier %q", method, verifier)
	}
}

// checkFake checks with the provider that the account's token is valid and belongs to alice.
func checkFake(t *testing.T, idp *iam.Server, h *home) {
	t.Helper()
	info := fetch(t, idp.Issuer()+"userinfo", "", h.run("oidc-token", "demo"), nil)
	if info["sub"] != iam.DefaultUsers()[0].Sub {
		t.Errorf("userinfo: %v", info)
	}
}

// TestManualClient is oidc-gen --manual with a client from the dashboard: once with
// the code flow, once with a device code that is entered on the dashboard.
func TestManualClient(t *testing.T) {
	for _, flow := range []string{"code", "device"} {
		t.Run(flow, func(t *testing.T) {
			t.Parallel()
			p, h := newPageWorld(t), newHome(t)
			redirectURIs := freeRedirectURIs(t)
			c := startChromium(t, false)
			c.open(p.idp.Issuer()+"dashboard", "Sign in")
			c.signIn("Your clients")
			c.use("New client", "Client authentication")
			c.fill("Name", "by hand")
			c.fill("Redirect URIs, one per line", strings.Join(redirectURIs, "\n"))
			c.tick("storage.read:/")
			c.use("Create the client", "not shown again")
			id, secret := c.below("Client ID"), c.below("it is not shown again.")

			h.startAgent()
			pattern := map[string]*regexp.Regexp{"code": toVisit, "device": deviceCode}[flow]
			gen, m := h.start(pattern, "oidc-gen", "--manual", "-w", flow, "--no-url-call", "--prompt=none", "--pw-env",
				"--issuer="+p.idp.Issuer(), "--client-id="+id, "--client-secret="+secret, "--redirect-uri="+strings.Join(redirectURIs, " "),
				"--scope=openid offline_access storage.read:/", "demo")
			if flow == "code" {
				c.open(m[1], "Approve access?")
				c.use("Approve", "You are logged in")
			} else {
				c.use("Dashboard", "Your clients")
				c.fill("Code that your device or program shows you", m[2])
				c.use("Continue", "Approve a device?")
				c.use("Approve", "Device approved")
			}
			gen.wait()
			checkFake(t, p.idp, h)
			if got := h.account("demo")["client_id"]; got != id {
				t.Errorf("client_id %v, want %s", got, id)
			}
		})
	}
}

// freeRedirectURIs returns three redirect URIs with ports that were just free. They are registered before the agent
// listens there, and the kernel may give a port to an outgoing connection in the meantime. The agent takes the first
// that is still free.
func freeRedirectURIs(t *testing.T) []string {
	t.Helper()
	var uris []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		uris = append(uris, fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port))
	}
	return uris
}
