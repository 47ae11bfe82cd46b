package main

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

// freePort returns a port of the loopback on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// codeWorld is a world whose client has the redirect URIs, and whose user approves.
func codeWorld(t *testing.T, uris ...string) *world {
	return newWorld(t, iam.Settings{AutoApprove: true}, uris...)
}

// startCode starts a code flow.
func (w *world) startCode(name string, uris []string, change func(*cjson.Object)) *cjson.Object {
	c := w.config(name)
	c.RedirectURIs = uris
	r := cjson.New().SetText("request", "gen").SetObject("config", c.Object()).SetText("flow", "code")
	if change != nil {
		change(r)
	}
	return w.must(w.agent, r)
}

// browse sends a browser to the provider and returns where the provider sends it back.
func (w *world) browse(uri string) string {
	w.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := client.Get(uri)
	if err != nil {
		w.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusSeeOther {
		w.Fatalf("the provider answered %s to %s", r.Status, uri)
	}
	return r.Header.Get("Location")
}

// get is the browser at the agent's web server.
func get(t testing.TB, uri string) (int, string) {
	t.Helper()
	r, err := http.Get(uri)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func listening(port string) bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func lookup(started *cjson.Object) *cjson.Object {
	return cjson.New().SetText("request", "state_lookup").SetText("state", started.Text("state"))
}

func TestCodeFlow(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uris := []string{"http://localhost:" + port, "edu.kit.data.oidc-agent:/redirect"}
	extra := `[{"parameter":"hint","value":"x","for_account":["code"],"request":["auth_url"]}]`
	if err := os.WriteFile(filepath.Join(configDir(), "custom_parameters.config"), []byte(extra), 0o600); err != nil {
		t.Fatal(err)
	}
	w := codeWorld(t, uris...)
	started := w.startCode("code", uris, func(r *cjson.Object) {
		r.SetObject("config", r.Object("config").SetText("audience", "https://a.example"))
	})
	state := started.Text("state")
	asked, err := url.Parse(started.Text("uri"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": uris[0], "scope": allScopes,
		"prompt": "consent", "state": state, "audience": "https://a.example", "hint": "x", "code_challenge_method": "S256",
		"nonce": w.agent.login(state, true).nonce,
	} {
		if got := asked.Query().Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if !strings.HasPrefix(state, "0:0") || !strings.HasSuffix(state, ":15:L3J1bi9hZ2VudC5zb2Nr") || len(state) != 3+24+len(":15:L3J1bi9hZ2VudC5zb2Nr") {
		t.Errorf("state %q", state)
	}
	onlyLoopback(t, port)

	reply := ask(w.agent, lookup(started))
	if reply.Text("status") != "NotFound" || reply.Text("info") != "No loaded account info found for state="+state {
		t.Errorf("answered %s", reply.Compact())
	}
	back := w.browse(started.Text("uri"))
	for _, wrong := range []string{
		strings.Replace(back, state[:10], "0:0wrong", 1), strings.Replace(back, "state=", "x=", 1),
		strings.Replace(back, "iss=", "iss=x", 1), strings.Replace(back, "iss=", "x=", 1), strings.Replace(back, "code=", "x=", 1), uris[0] + "/?state=" + url.QueryEscape(state),
	} {
		if wrong == back {
			wrong += "&state=wrong"
		}
		if status, page := get(t, wrong); status != http.StatusBadRequest || !strings.Contains(page, "still waits for the right one") {
			t.Errorf("%s: %d %s", wrong, status, page)
		}
	}
	if status, _ := get(t, uris[0]+"/favicon.ico"); status != http.StatusNotFound {
		t.Errorf("another path: %d", status)
	}
	status, page := get(t, back)
	if status != http.StatusOK || !strings.Contains(page, "Success") {
		t.Errorf("%d %s", status, page)
	}
	reply = w.must(w.agent, lookup(started))
	if c := reply.Object("config"); c == nil || c.Text("refresh_token") == "" || c.Text("client_secret") != clientSecret {
		t.Errorf("answered %s", reply.Compact())
	}
	reply = ask(w.agent, lookup(started))
	if reply.Text("status") != "FoundButReceived" || reply.Text("info") != "Account config already retrieved" {
		t.Errorf("answered %s", reply.Compact())
	}
	if listening(port) {
		t.Error("the web server is still there")
	}
	w.must(w.agent, forced("code"))
}

// onlyLoopback checks that nobody listens on the port at any other address of this machine.
func onlyLoopback(t *testing.T, port string) {
	t.Helper()
	if !listening(port) {
		t.Error("nobody listens")
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip := address.(*net.IPNet).IP
		if ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		if conn, err := net.Dial("tcp", net.JoinHostPort(ip.String(), port)); err == nil {
			conn.Close()
			t.Errorf("the agent listens at %s", ip)
		}
	}
}

// A browser that comes twice with the same code does not cost the tokens.
func TestCodeTwice(t *testing.T) {
	t.Parallel()
	uri := "http://localhost:" + freePort(t) + "/back"
	w := codeWorld(t, uri)
	started := w.startCode("twice", []string{uri}, nil)
	back := w.browse(started.Text("uri"))
	var both sync.WaitGroup
	for range 10 {
		both.Go(func() {
			if r, err := http.Get(back); err == nil { // or the server has ended
				r.Body.Close()
			}
		})
	}
	both.Wait()
	if n := w.grants(); n != 1 {
		t.Errorf("the code was presented %d times", n)
	}
	w.must(w.agent, lookup(started))
	w.must(w.agent, forced("twice"))
}

// A provider's refusal ends the flow, and the terminal is told.
func TestCodeRefused(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uri := "http://127.0.0.1:" + port + "/"
	w := codeWorld(t, uri)
	started := w.startCode("refused", []string{uri}, nil)
	if state := started.Text("state"); !strings.HasPrefix(state, "1:0") {
		t.Errorf("state %q does not tell of the slash", state)
	}
	refused := uri + "?error=access_denied&error_description=User+denied+access&state=" + url.QueryEscape(started.Text("state")) +
		"&iss=" + url.QueryEscape(w.idp.Issuer())
	if status, page := get(t, refused); status != http.StatusBadRequest || !strings.Contains(page, "The login has failed") {
		t.Errorf("%d %s", status, page)
	}
	want(t, ask(w.agent, lookup(started)), "access_denied: User denied access")
	if listening(port) {
		t.Error("the web server is still there")
	}
	// A provider without this flow leaves nothing behind.
	w.idp.Fail(iam.Fault{Path: ".well-known/openid-configuration", Times: 1, Set: map[string]any{"authorization_endpoint": nil}})
	c := w.config("refused")
	c.RedirectURIs = []string{uri}
	want(t, ask(w.agent, w.gen("refused", "code", nil).SetObject("config", c.Object())), "the provider's metadata has no authorization_endpoint")
	if listening(port) {
		t.Error("a web server for nothing")
	}
	// So does an exchange that fails.
	started = w.startCode("refused", []string{uri}, nil)
	back := w.browse(started.Text("uri"))
	w.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 400, Body: `{"error":"invalid_grant","error_description":"no"}`})
	if status, page := get(t, back); status != http.StatusBadRequest || !strings.Contains(page, "The login has failed") {
		t.Errorf("%d %s", status, page)
	}
	want(t, ask(w.agent, lookup(started)), "invalid_grant: no")
}

// Without a web server the user copies the URL that the browser was sent to.
func TestCodeExchange(t *testing.T) {
	t.Parallel()
	uri := "http://localhost:4242"
	w := codeWorld(t, uri, "edu.kit.data.oidc-agent:/redirect")
	started := w.startCode("copied", []string{uri}, func(r *cjson.Object) { r.SetBool("no_webserver", true) })
	back := w.browse(started.Text("uri"))
	exchange := func(uri string) *cjson.Object {
		return ask(w.agent, cjson.New().SetText("request", "code_exchange").SetText("redirect_uri", uri))
	}
	for uri, failure := range map[string]string{
		"http://localhost:4242?code=abc":               "redirected uri did not contain state parameter",
		"http://localhost:4242?state=abc":              "redirected uri did not contain code parameter",
		"http://localhost:4242?code=abc&state=0:wrong": "wrong state",
		strings.Replace(back, "?", "/%zz?", 1):         "redirected uri is malformed", // and no code is logged
	} {
		want(t, exchange(uri), failure)
	}
	reply := exchange(back)
	if reply.Object("config") == nil || reply.Object("config").Text("refresh_token") == "" {
		t.Errorf("answered %s", reply.Compact())
	}
	want(t, exchange(back), "wrong state")
	if reply := ask(w.agent, lookup(started)); reply.Text("status") != "FoundButReceived" {
		t.Errorf("answered %s", reply.Compact())
	}
	want(t, askText(w.agent, `{"request":"state_lookup","state":"x"}`), "state malformed")

	// A device code is no state, and a state is no device code.
	device := w.must(w.agent, w.gen("copied2", "device", nil))
	code := device.Object("oidc_device").Text("device_code")
	want(t, exchange("http://localhost:4242?code=abc&state="+code), "wrong state")
	started = w.startCode("copied3", []string{uri}, func(r *cjson.Object) { r.SetBool("no_webserver", true) })
	want(t, ask(w.agent, poll(cjson.New().SetObject("oidc_device", cjson.New().SetText("device_code", started.Text("state"))))), "wrong device code")

	// With only_at the result is a token.
	started = w.startCode("copied4", []string{uri}, func(r *cjson.Object) { r.SetBool("no_webserver", true).SetBool("only_at", true) })
	if state := started.Text("state"); !strings.HasPrefix(state, "0:1") {
		t.Errorf("state %q does not tell of only_at", state)
	}
	if claims(t, exchange(w.browse(started.Text("uri"))))["sub"] == nil {
		t.Error("no token")
	}
}

// If no port is free, the browser comes back by a custom scheme, if that is allowed.
func TestRedirectURIs(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy, free := "http://localhost:"+strconv.Itoa(taken.Addr().(*net.TCPAddr).Port), "http://localhost:"+freePort(t)
	const scheme = "edu.kit.data.oidc-agent:/redirect"
	for _, c := range []struct {
		name string
		uris []string
		off  *login
		want string
	}{
		{"first free", []string{busy, scheme, free}, new(login), free},
		{"none free", []string{busy, scheme, "other:/"}, new(login), scheme},
		{"no scheme", []string{busy, scheme}, &login{noScheme: true}, ""},
		{"no web server", []string{scheme, busy, free}, &login{noWebserver: true}, busy},
		{"not ours", []string{"http://example.org:1234", "https://example.org", "https://localhost"}, new(login), ""},
		{"no URI", []string{"http://localhost:%zz"}, new(login), ""},
		{"none", nil, new(login), ""},
	} {
		uri, listeners, err := (&agent{settings: shipped}).openCallback(c.uris, c.off)
		closeAll(listeners)
		off := &agent{settings: settings{AgentConfig: account.AgentConfig{CustomURIScheme: !c.off.noScheme, Webserver: !c.off.noWebserver}}}
		again, more, _ := off.openCallback(c.uris, new(login))
		closeAll(more)
		if again != uri {
			t.Errorf("%s: %q where the agent was started so", c.name, again)
		}
		if uri != c.want || (err == nil) != (c.want != "") || (len(listeners) > 0) != (c.want == free) {
			t.Errorf("%s: %q, %d listeners, %v", c.name, uri, len(listeners), err)
		}
	}
}

// oidc-gen may end the web server.
func TestTermHTTPServer(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	uri := "http://localhost:" + port
	w := codeWorld(t, uri)
	started := w.startCode("term", []string{uri}, nil)
	for range 2 {
		w.must(w.agent, cjson.New().SetText("request", "term_http_server").SetText("state", started.Text("state")))
	}
	if listening(port) {
		t.Error("the web server is still there")
	}
	w.must(w.agent, askRequest(`{"request":"term_http_server","state":"0:0nosuch"}`))
	// The flow itself can still be finished by hand.
	w.must(w.agent, cjson.New().SetText("request", "code_exchange").SetText("redirect_uri", w.browse(started.Text("uri"))))
}

// While the agent is locked, a browser that comes back is told what to do, and may come again.
func TestCodeWhileLocked(t *testing.T) {
	t.Parallel()
	uri := "http://localhost:" + freePort(t)
	w := codeWorld(t, uri)
	started := w.startCode("codelocked", []string{uri}, nil)
	back := w.browse(started.Text("uri"))
	w.must(w.agent, askRequest(`{"request":"lock","password":"x"}`))
	if status, page := get(t, back); status != http.StatusServiceUnavailable || !strings.Contains(page, "oidc-add -X") {
		t.Errorf("%d %s", status, page)
	}
	w.must(w.agent, askRequest(`{"request":"unlock","password":"x"}`))
	if status, page := get(t, back); status != http.StatusOK {
		t.Errorf("%d %s", status, page)
	}
	l := w.agent.login(started.Text("state"), true)
	if l.result.IsEmpty() {
		t.Error("what came of the flow does not wait sealed")
	}
	w.must(w.agent, lookup(started))
}
