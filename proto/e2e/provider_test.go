package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
)

// A provider is fakeidp inside the test, which records what happens to refresh tokens. It rotates them, and reuse of one
// revokes all tokens of the login (RFC 9700 section 4.14.2).
type provider struct {
	*iam.Server
	web *httptest.Server

	mu        sync.Mutex
	idle      sync.Cond
	open      map[net.Conn]bool
	presented map[string]int                 // how often each refresh token was used
	last      string                         // the refresh token that was used last
	newest    string                         // the one that was issued last
	left      time.Time                      // when it was sent
	nodes     []string                       // the client's address of each refresh
	meet      func(http.ResponseWriter) bool // called for each refresh; true: it has answered the request
}

// siteClient is the client's ID and also its secret.
const siteClient = "site"

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{open: map[net.Conn]bool{}, presented: map[string]int{}}
	p.idle.L = &p.mu
	p.web = httptest.NewUnstartedServer(p)
	p.web.Config.ConnState = p.count
	var err error
	p.Server, err = iam.New(iam.Config{
		Issuer: "http://" + p.web.Listener.Addr().String() + "/", Alg: iam.ES256, Settings: iam.Settings{Rotate: true},
		Clients: []iam.Client{{ClientID: siteClient, ClientSecret: siteClient, Scope: "openid offline_access", GrantTypes: []string{"password", "refresh_token"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.web.Start()
	t.Cleanup(p.web.Close)
	return p
}

// count records the open connections.
func (p *provider) count(c net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch state {
	case http.StateNew:
		p.open[c] = true
	case http.StateClosed:
		delete(p.open, c)
		p.idle.Broadcast()
	}
}

// settle waits until all connections are closed and their requests done. Connections that are not yet accepted are
// accepted before the one that settle makes.
func (p *provider) settle() {
	c, err := net.Dial("tcp", p.web.Listener.Addr().String())
	if err != nil {
		panic(err)
	}
	io.WriteString(c, "GET /jwk HTTP/1.0\r\n\r\n")
	io.Copy(io.Discard, c)
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.open) > 0 {
		p.idle.Wait()
	}
}

// ServeHTTP answers like fakeidp and records the refresh tokens.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	token := form.Get("refresh_token")
	if err != nil || token == "" {
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.Server.ServeHTTP(w, r)
		return
	}
	p.mu.Lock()
	meet := p.meet
	p.mu.Unlock()
	if meet != nil && meet(w) {
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context())) // finish the request even if the client is dead
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	p.mu.Lock() // one at a time, so that newest is the newest
	p.presented[token]++
	p.last, p.nodes = token, append(p.nodes, r.RemoteAddr)
	p.Server.ServeHTTP(answer, r)
	if next := refreshTokenIn(answer); next != "" {
		p.newest = next
	}
	p.left = time.Now()
	p.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

func refreshTokenIn(r *httptest.ResponseRecorder) string {
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	json.Unmarshal(r.Body.Bytes(), &answer)
	return answer.RefreshToken
}

// newLogin returns a new refresh token, as after a login in a browser.
func (p *provider) newLogin() string {
	form := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {"openid offline_access"}}
	r := httptest.NewRequest("POST", "/token", strings.NewReader(form.Encode()))
	r.SetBasicAuth(siteClient, siteClient)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	p.Server.ServeHTTP(w, r)
	token := refreshTokenIn(w)
	if token == "" {
		panic("no login: " + w.Body.String())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest = token
	return token
}

// accepts reports whether an access token is valid.
func (p *provider) accepts(token string) bool {
	r := httptest.NewRequest("GET", "/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	p.Server.ServeHTTP(w, r)
	return w.Code == http.StatusOK
}

// onRefresh sets a function to call with each refresh, before the provider handles it.
func (p *provider) onRefresh(meet func(http.ResponseWriter) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.meet = meet
}

// tokens returns the refresh token that was used last and the one that was issued last.
func (p *provider) tokens() (last, newest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.newest
}

// refreshes returns how many refresh tokens were used, and how many of them more than once.
func (p *provider) refreshes() (all, twice int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.presented {
		all += times
		if times > 1 {
			twice++
		}
	}
	return all, twice
}

// leftAt returns when the newest refresh token was sent.
func (p *provider) leftAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}
