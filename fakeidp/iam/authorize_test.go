package iam

import (
	"crypto/sha256"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	callback = "http://127.0.0.1:4242/back?x=1"
	// RFC 7636 appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func (p *idp) codeClient(c Client) *rp {
	c.RedirectURIs = []string{callback, "app:/back"}
	return p.addClient(c)
}

// authorizeURL returns a valid request with changes; the value "-" removes a parameter.
func (c *rp) authorizeURL(pairs ...string) string {
	q := values("response_type", "code", "client_id", c.id, "redirect_uri", callback, "scope", "openid offline_access",
		"state", "a state", "nonce", "a nonce", "code_challenge", challenge, "code_challenge_method", "S256")
	for i := 0; i < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			q.Del(pairs[i])
		}
	}
	return "/authorize?" + q.Encode()
}

// back returns the query of the redirect to the client.
func (b *browser) back() url.Values {
	b.t.Helper()
	u, err := url.Parse(b.last.Header.Get("Location"))
	if err != nil || b.last.Status != 303 || !strings.HasPrefix(u.String(), callback) {
		b.t.Fatalf("not sent back: %d %q %s", b.last.Status, b.last.Header.Get("Location"), b.last.Body)
	}
	return u.Query()
}

func (c *rp) exchange(code string, pairs ...string) reply {
	c.t.Helper()
	v := values("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
	all := []string{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	for k := range v {
		if v.Get(k) != "-" {
			all = append(all, k, v.Get(k))
		}
	}
	return c.post("token", all...)
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock})
	for _, client := range []Client{{}, {TokenEndpointAuthMethod: authNone}} {
		c := p.codeClient(client)
		b := p.browser()
		b.open("GET", c.authorizeURL(), "")
		b.signIn("bob")
		b.see(200, "Approve access?")
		b.submit("user_oauth_approval", "true")
		q := b.back()
		if q.Get("state") != "a state" || q.Get("iss") != testIssuer || q.Get("x") != "1" || q.Has("error") {
			t.Errorf("came back with %v", q)
		}
		r := c.exchange(q.Get("code")).want(200, "", "")
		_, id := p.claims(r.text("id_token"))
		if id["nonce"] != "a nonce" || id["sub"] != DefaultUsers()[1].Sub || id["auth_time"] != float64(at.Unix()) || r.text("refresh_token") == "" {
			t.Errorf("id_token %v, answer %s", id, r.Body)
		}
		// Reuse of the code is refused and revokes its tokens.
		c.exchange(q.Get("code")).want(400, "invalid_grant", "Invalid authorization code")
		c.refresh(r.text("refresh_token")).want(401, "invalid_token", "")
	}
}

// code gets a code through the pages, for a user who has signed in.
func (b *browser) code(target string) string {
	b.t.Helper()
	b.open("GET", target, "")
	if strings.Contains(b.at, "/login") {
		b.signIn("alice")
	}
	b.submit("user_oauth_approval", "true")
	return b.back().Get("code")
}

func TestCodeExchangeRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c, other := p.codeClient(Client{}), p.codeClient(Client{})
	b := p.browser()
	short := sha256.Sum256([]byte("short"))
	plain := []string{"code_challenge", verifier, "code_challenge_method", "-"}
	none := []string{"code_challenge", "-", "code_challenge_method", "-"}
	for name, x := range map[string]struct {
		request, exchange []string
		want              string
	}{
		"good":                   {nil, nil, ""},
		"plain":                  {plain, nil, ""},
		"none":                   {none, []string{"code_verifier", "-"}, ""},
		"wrong verifier":         {nil, []string{"code_verifier", strings.Repeat("x", 43)}, "do not match"},
		"verifier and more":      {nil, []string{"code_verifier", verifier + "1"}, "do not match"},
		"no verifier":            {nil, []string{"code_verifier", "-"}, "do not match"},
		"short verifier":         {[]string{"code_challenge", b64(short[:])}, []string{"code_verifier", "short"}, "do not match"},
		"challenge as verifier":  {nil, []string{"code_verifier", challenge}, "do not match"},
		"plain, wrong":           {plain, []string{"code_verifier", challenge}, "do not match"},
		"challenge taken out":    {none, nil, "without an earlier code challenge"},
		"other redirect":         {nil, []string{"redirect_uri", "app:/back"}, "Redirect URI mismatch"},
		"no redirect":            {nil, []string{"redirect_uri", "-"}, "Redirect URI mismatch"},
		"wrong code":             {nil, []string{"code", "abc"}, "Invalid authorization code: abc"},
		"a good one to end with": {nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.exchange(b.code(c.authorizeURL(x.request...)), x.exchange...)
			if x.want == "" {
				r.want(200, "", "")
				return
			}
			r.want(400, "invalid_grant", x.want)
		})
	}
	code := b.code(c.authorizeURL())
	other.exchange(code).want(400, "invalid_grant", "")
	c.exchange(code, "code_verifier", strings.Repeat("x", 43)).want(400, "invalid_grant", "")
	c.exchange(code).want(400, "invalid_grant", "Invalid") // there is one attempt
	code = b.code(c.authorizeURL())
	p.MoveClock(5 * time.Minute)
	c.exchange(code).want(400, "invalid_grant", "expired")
}

func TestAuthorizeRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c, public := p.codeClient(Client{}), p.codeClient(Client{TokenEndpointAuthMethod: authNone})
	s256 := p.codeClient(Client{CodeChallengeMethod: "S256"})
	device := p.codeClient(Client{GrantTypes: []string{grantDeviceCode}})
	suspended := p.codeClient(Client{Active: new(false)})
	for name, x := range map[string]struct{ url, code string }{
		"response type":         {c.authorizeURL("response_type", "token"), "unsupported_response_type"},
		"response mode":         {c.authorizeURL("response_mode", "fragment"), "invalid_request"},
		"request object":        {c.authorizeURL("request", "x"), "request_not_supported"},
		"request_uri":           {c.authorizeURL("request_uri", "x"), "request_uri_not_supported"},
		"scope":                 {c.authorizeURL("scope", "openid scim:read"), "invalid_scope"},
		"repeated":              {c.authorizeURL() + "&scope=openid", "invalid_request"},
		"prompt none and login": {c.authorizeURL("prompt", "none login"), "invalid_request"},
		"not signed in":         {c.authorizeURL("prompt", "none"), "login_required"},
		"max_age":               {c.authorizeURL("max_age", "-1"), "invalid_request"},
		"grant type":            {device.authorizeURL(), "unauthorized_client"},
		"challenge method":      {c.authorizeURL("code_challenge_method", "S512"), "invalid_request"},
		"long challenge":        {c.authorizeURL("code_challenge", strings.Repeat("x", 129)), "invalid_request"},
		"short challenge":       {c.authorizeURL("code_challenge", "abc"), "invalid_request"},
		"public, no PKCE":       {public.authorizeURL("code_challenge", "-"), "invalid_request"},
		"S256 is demanded":      {s256.authorizeURL("code_challenge_method", "plain"), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b := p.browser()
			b.open("GET", x.url, "")
			if q := b.back(); q.Get("error") != x.code || q.Get("state") != "a state" || q.Get("iss") != testIssuer || q.Has("code") {
				t.Errorf("came back with %v", q)
			}
		})
	}
	for name, target := range map[string]string{
		"unknown client": c.authorizeURL("client_id", "nobody"),
		"suspended":      suspended.authorizeURL(),
		"other redirect": c.authorizeURL("redirect_uri", callback+"1"),
		"other port":     c.authorizeURL("redirect_uri", "http://127.0.0.1:4243/back?x=1"),
		"no redirect":    c.authorizeURL("redirect_uri", "-"),
	} {
		t.Run(name, func(t *testing.T) {
			b := p.browser()
			b.open("GET", target, "")
			b.see(400, "problem")
			if b.last.Header.Get("Location") != "" {
				t.Error("redirected")
			}
		})
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock})
	c := p.codeClient(Client{})
	b := p.browser()
	b.open("GET", c.authorizeURL(), "")
	b.signIn("alice")
	b.submit("user_oauth_approval", "false")
	if q := b.back(); q.Get("error") != "access_denied" {
		t.Errorf("came back with %v", q)
	}
	b.open("GET", c.authorizeURL("prompt", "none"), "")
	if q := b.back(); q.Get("error") != "consent_required" {
		t.Errorf("came back with %v", q)
	}
	b.open("GET", c.authorizeURL(), "")
	b.submit("user_oauth_approval", "true", "remember", "true")
	for _, prompt := range []string{"-", "none"} {
		b.open("GET", c.authorizeURL("scope", "openid", "prompt", prompt), "")
		if q := b.back(); q.Get("code") == "" {
			t.Errorf("asked again, prompt %s: %v", prompt, q)
		}
	}
	b.open("GET", c.authorizeURL("prompt", "consent"), "")
	b.see(200, "Approve access?")
	b.open("GET", c.authorizeURL("scope", "openid profile"), "") // more than was remembered
	b.see(200, "Approve access?")

	b.open("GET", c.authorizeURL("prompt", "login"), "")
	b.signIn("alice") // once: after the login it is not asked for again
	b.back()
	p.MoveClock(time.Minute)
	b.open("GET", c.authorizeURL("max_age", "60"), "")
	b.back()
	b.open("GET", c.authorizeURL("max_age", "59"), "")
	b.signIn("alice")
	b.back()
	p.MoveClock(time.Minute)
	b.open("GET", p.codeClient(Client{DefaultMaxAge: 59}).authorizeURL(), "")
	b.see(200, "Sign in")
}

func TestAuthorizeAutoApprove(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{AutoApprove: true}})
	c := p.codeClient(Client{})
	b := p.browser()
	b.open("GET", c.authorizeURL("audience", "https://se.example", "state", "-"), "")
	if q := b.back(); q.Has("state") || b.last.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("came back with %v, %v", q, b.last.Header)
	}
	r := c.exchange(b.back().Get("code")).want(200, "", "")
	if _, claims := p.claims(r.text("access_token")); claims["aud"] != "https://se.example" {
		t.Errorf("aud %v", claims["aud"])
	}
	c = p.codeClient(Client{CodeChallengeMethod: "none"})
	b.open("GET", c.authorizeURL("code_challenge", "-", "code_challenge_method", "-"), "")
	c.exchange(b.back().Get("code"), "code_verifier", "-").want(200, "", "")
}
