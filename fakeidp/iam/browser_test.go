package iam

import (
	"cmp"
	"html"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browser is a browser with cookies. It follows redirects within the issuer and fills in forms.
type browser struct {
	*idp
	last reply
	at   string // URL of the last page
}

func (p *idp) browser() *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	b := *p
	h := *p.http
	h.Jar = jar
	b.http = &h
	return &browser{idp: &b}
}

// open opens a URL, follows redirects within the issuer, and returns the last answer.
func (b *browser) open(method, target, body string) reply {
	b.t.Helper()
	for range 10 {
		base, err := url.Parse(cmp.Or(b.at, b.Issuer()))
		if err != nil {
			b.t.Fatal(err)
		}
		u, err := base.Parse(target)
		if err != nil {
			b.t.Fatal(err)
		}
		b.at = u.String()
		b.last = b.request(method, b.at, body, "Content-Type", formType)
		target = b.last.Header.Get("Location")
		if target == "" || (strings.Contains(target, "://") && !strings.HasPrefix(target, b.Issuer())) {
			return b.last
		}
		method, body = "GET", ""
	}
	b.t.Fatal("too many redirects")
	return reply{}
}

var (
	formTag  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	inputTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form returns the page's first form whose action has this ending, with its hidden fields.
func (b *browser) form(ending string) (action string, fields url.Values) {
	b.t.Helper()
	for _, m := range formTag.FindAllStringSubmatch(b.last.Body, -1) {
		if !strings.HasSuffix(m[1], ending) {
			continue
		}
		fields = url.Values{}
		for _, in := range inputTag.FindAllStringSubmatch(m[2], -1) {
			fields.Set(in[1], html.UnescapeString(in[2]))
		}
		return html.UnescapeString(m[1]), fields
	}
	b.t.Fatalf("no form %q at %s: %d %s", ending, b.at, b.last.Status, b.last.Body)
	return "", nil
}

// submit fills in the page's first form.
func (b *browser) submit(pairs ...string) reply {
	b.t.Helper()
	return b.submitTo("", pairs...)
}

func (b *browser) submitTo(ending string, pairs ...string) reply {
	b.t.Helper()
	action, fields := b.form(ending)
	for i := 0; i < len(pairs); i += 2 {
		fields.Add(pairs[i], pairs[i+1])
	}
	return b.open("POST", action, fields.Encode())
}

func (b *browser) see(status int, text string) {
	b.t.Helper()
	if b.last.Status != status || !strings.Contains(b.last.Body, text) {
		b.t.Fatalf("at %s: status %d, want %d; %q missing in %s", b.at, b.last.Status, status, text, b.last.Body)
	}
}

// signIn fills in the login page.
func (b *browser) signIn(name string) reply {
	b.t.Helper()
	b.see(200, "Sign in")
	return b.submit("username", name, "password", name)
}

func TestDevicePages(t *testing.T) {
	t.Parallel()
	for decision, want := range map[string]string{"true": "", "false": "access_denied"} {
		p := newIDP(t, Config{})
		c := p.addClient(Client{ClientName: `<b>"name"</b>`})
		d := c.post("devicecode", "scope", "openid storage.read:/<x>")
		b := p.browser()
		b.open("GET", d.text("verification_uri_complete"), "")
		b.signIn("bob")
		b.see(200, `value="`+d.text("user_code")+`"`)
		b.submit("user_code", "AAAAAA")
		b.see(400, "there is no code")
		b.submit("user_code", " "+strings.ToLower(d.text("user_code"))+" ")
		b.see(200, "Approve a device?")
		if strings.Contains(b.last.Body, "<b>") || strings.Contains(b.last.Body, "<x>") {
			t.Fatalf("not escaped: %s", b.last.Body)
		}
		b.submit("user_oauth_approval", decision)
		b.see(200, "Device "+map[string]string{"true": "approved", "false": "denied"}[decision])
		r := c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code"))
		if want != "" {
			r.want(400, want, "")
			continue
		}
		if _, claims := p.claims(r.want(200, "", "").text("access_token")); claims["sub"] != DefaultUsers()[1].Sub {
			t.Errorf("sub %v is not bob's", claims["sub"])
		}
		b.open("GET", "/device", "")
		b.submit("user_code", d.text("user_code"))
		b.see(400, "there is no code") // used up
	}
}

func TestLoginPage(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	b := p.browser()
	b.open("GET", "/device", "")
	planted := b.last.Header.Get("Set-Cookie")
	b.submit("username", "alice", "password", "wrong")
	b.see(401, "Wrong username or password")
	b.submit("username", "alice", "password", "alice")
	b.see(200, "Connect a device")
	if planted != "" && strings.HasPrefix(b.last.Header.Get("Set-Cookie"), strings.SplitN(planted, ";", 2)[0]) {
		t.Error("the session kept its id through the login")
	}
	if len(p.sessions) != 1 {
		t.Errorf("%d sessions after the login", len(p.sessions))
	}
	b.open("GET", "/", "")
	b.see(200, "Welcome, Alice Adams")
	if err := p.Suspend("alice", "", true); err != nil {
		t.Fatal(err)
	}
	b.open("GET", "/dashboard", "")
	b.see(200, "Sign in")
	b.submit("username", "alice", "password", "alice")
	b.see(401, "Wrong username or password")
	if err := p.Suspend("alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.submit("username", "alice", "password", "alice")
	p.MoveClock(8 * time.Hour)
	b.open("GET", "/dashboard", "")
	b.signIn("alice")
	b.see(200, "Welcome, Alice Adams")
	b.submitTo("/logout")
	b.see(200, "Sign in")
	b.open("GET", "/device", "")
	b.see(200, "Sign in")
}

func TestLoginNext(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Issuer: "https://iam.example/iam"})
	for param, want := range map[string]string{
		"/iam/device?user_code=X": "/iam/device?user_code=X",
		"":                        "/iam/",
		"https://evil.example/":   "/iam/",
		"//evil.example/iam/":     "/iam/",
		`/iam/\evil.example`:      "/iam/",
		`\\evil.example`:          "/iam/",
		"/other/":                 "/iam/",
		"javascript:alert(1)":     "/iam/",
	} {
		if got := p.next(param); got != want {
			t.Errorf("next(%q) = %q, want %q", param, got, want)
		}
	}
	p = newIDP(t, Config{})
	for _, param := range []string{"//evil.example/", "///evil.example/", `/\evil.example/`} {
		if got := p.next(param); got != "/" {
			t.Errorf("next(%q) = %q", param, got)
		}
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	d := p.addClient(Client{}).post("devicecode", "scope", "openid")
	b := p.browser()
	b.open("GET", "/device", "")
	b.signIn("alice")
	approve := "user_oauth_approval=true&user_code=" + d.text("user_code")
	b.open("POST", "/device/approve", approve) // another site's form has the cookie, but not the token
	b.see(403, "no longer valid")
	b.open("POST", "/device/approve", approve+"&csrf=x")
	b.see(403, "no longer valid")

	anonymous := p.browser()
	anonymous.open("GET", "/login", "")
	_, fields := anonymous.form("")
	anonymous.open("POST", "/device/approve", approve+"&csrf="+fields.Get("csrf"))
	anonymous.see(403, "not signed in")
	if len(p.UserCodes()) != 1 {
		t.Error("somebody decided")
	}
	for _, h := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
		if b.last.Header.Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
	if r := p.request("GET", "style.css", ""); r.Status != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/css") {
		t.Errorf("style: %d %s", r.Status, r.Header.Get("Content-Type"))
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://iam.example/x":  "Path=/x/; HttpOnly; Secure; SameSite=Lax",
		"http://127.0.0.1:8080/": "Path=/; HttpOnly; SameSite=Lax",
	} {
		p := newIDP(t, Config{Issuer: issuer})
		if got := p.request("GET", "login", "").Header.Get("Set-Cookie"); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s", issuer, got)
		}
	}
}
