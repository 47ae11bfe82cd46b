package interop

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"oidc-agent/fakeidp/iam"
)

// TestPages uses all pages of fakeidp, with and without a mouse, with and without
// JavaScript, and at the width of a phone.
func TestPages(t *testing.T) {
	for name, x := range map[string]struct {
		keyboard bool
		args     []string
	}{
		"click":                        {false, []string{"--width=360"}},
		"click, without JavaScript":    {false, []string{"--width=360", "--no-javascript"}},
		"keyboard":                     {true, []string{"--width=360"}},
		"keyboard, without JavaScript": {true, []string{"--width=360", "--no-javascript"}},
		"desktop":                      {false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPageWorld(t)
			c := startChromium(t, x.keyboard, x.args...)
			p.prefix = name
			p.connectDevice(t, c)
			id, secret := p.makeClient(t, c)
			p.codeFlow(t, c, id, secret)
			c.use("Sign out", "Sign in")
		})
	}
}

// pageWorld is a fakeidp with a registered client, and the client's own web page.
type pageWorld struct {
	idp      *iam.Server
	callback *httptest.Server
	prefix   string // of screenshots
}

func newPageWorld(t *testing.T) *pageWorld {
	t.Helper()
	idp, err := iam.Start(iam.Config{Alg: iam.ES256, Clients: []iam.Client{{ClientID: "known", ClientSecret: "known", ClientName: "A known program"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	callback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!DOCTYPE html><link rel=icon href='data:,'><title>Client</title><p>The client has you back"))
	}))
	t.Cleanup(callback.Close)
	return &pageWorld{idp: idp, callback: callback}
}

// status sends a form as a client and returns the status of the answer.
func (p *pageWorld) status(t *testing.T, path, id, secret string, form url.Values) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", p.idp.Issuer()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(id, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (p *pageWorld) connectDevice(t *testing.T, c *chromium) {
	t.Helper()
	d := fetch(t, p.idp.Issuer()+"devicecode", "known", "known", url.Values{"client_id": {"known"}, "scope": {"openid storage.read:/data"}})
	c.open(d["verification_uri_complete"].(string), "Sign in")
	c.picture(p.prefix + "-login")
	c.fill("Username", "alice")
	c.fill("Password", "wrong")
	c.use("Sign in", "Wrong username or password")
	if !c.keyboard {
		c.order(map[string]string{"click": "Password"}) // the name is already filled in
	}
	c.fill("Password", "alice")
	c.use("Sign in", "Connect a device")
	c.use("Continue", "Approve a device?")
	if !strings.Contains(c.seen.Text, d["user_code"].(string)) || !strings.Contains(c.seen.Text, "A known program") {
		t.Errorf("who asks, and for what code? %s", c.seen.Text)
	}
	c.picture(p.prefix + "-approve")
	c.use("Approve", "Device approved")
	c.picture(p.prefix + "-approved")
	fetch(t, p.idp.Issuer()+"token", "known", "known",
		url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {d["device_code"].(string)}})
}

// makeClient creates a client on the dashboard, which then has its second secret.
func (p *pageWorld) makeClient(t *testing.T, c *chromium) (id, secret string) {
	t.Helper()
	c.use("Dashboard", "Your clients")
	c.use("New client", "Client authentication")
	c.picture(p.prefix + "-newclient")
	c.fill("Name", "My own program")
	c.fill("Redirect URIs, one per line", p.callback.URL+"/back")
	c.tick("Client credentials: tokens for the client itself")
	c.tick("storage.read:/")
	c.use("Create the client", "not shown again")
	c.picture(p.prefix + "-client")
	const notice = "This is the client's secret. Copy it now: it is not shown again."
	id, first := c.below("Client ID"), c.below(notice)
	ask := url.Values{"grant_type": {"client_credentials"}, "scope": {"storage.read:/"}}
	fetch(t, p.idp.Issuer()+"token", id, first, ask)
	c.use("Regenerate the secret", "not shown again")
	secret = c.below(notice)
	fetch(t, p.idp.Issuer()+"token", id, secret, ask)
	if got := p.status(t, "token", id, first, ask); got != http.StatusUnauthorized {
		t.Errorf("the old secret: status %d", got)
	}
	return id, secret
}

// codeFlow signs in to that client and then revokes its tokens.
func (p *pageWorld) codeFlow(t *testing.T, c *chromium, id, secret string) {
	t.Helper()
	// RFC 7636 appendix B.
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	c.open(p.idp.Issuer()+"authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {p.callback.URL + "/back"}, "state": {"xyz"},
		"scope": {"openid offline_access storage.read:/"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode(), "Approve access?")
	c.picture(p.prefix + "-consent")
	c.tick("Remember this decision")
	c.use("Approve", "The client has you back")
	back, err := url.Parse(c.seen.URL)
	if err != nil || back.Query().Get("state") != "xyz" || back.Query().Get("iss") != p.idp.Issuer() {
		t.Fatalf("the browser was sent to %s", c.seen.URL)
	}
	tokens := fetch(t, p.idp.Issuer()+"token", id, secret, url.Values{"grant_type": {"authorization_code"},
		"code": {back.Query().Get("code")}, "redirect_uri": {p.callback.URL + "/back"}, "code_verifier": {verifier}})
	c.open(p.idp.Issuer(), "Your tokens")
	c.picture(p.prefix + "-dashboard")
	c.use("Revoke this Access token of My own program", "Your tokens")
	p.gone(t, id, secret, tokens["access_token"])
	c.use("Revoke this Refresh token of My own program", "Your tokens")
	p.gone(t, id, secret, tokens["refresh_token"])
}

// gone checks with the server that a token is not valid.
func (p *pageWorld) gone(t *testing.T, id, secret string, token any) {
	t.Helper()
	state := fetch(t, p.idp.Issuer()+"introspect", id, secret, url.Values{"token": {token.(string)}})
	if state["active"] != false {
		t.Errorf("a token that was revoked: %v", state)
	}
}
