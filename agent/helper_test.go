package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

const (
	clientID, clientSecret = "the-client", "the client's +secret%"
	filePassword           = "the password of the file"
)

// fileKey is one key for the files of all tests: to derive it takes its time.
var fileKey = sync.OnceValue(func() *crypt.Key {
	key, err := crypt.NewKey(fileKeyPassword(), crypt.FormatScrypt)
	if err != nil {
		panic(err)
	}
	return key
})

func fileKeyPassword() secret.Secret { return secret.FromString(filePassword) }

// buffer is a log that tests read.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// world is a provider with a client, and an agent.
type world struct {
	testing.TB
	idp   *iam.Server
	agent *agent
	log   *buffer
	dir   string // for account files
}

// newWorld starts a provider on loopback, whose client has the redirect URIs, and an agent. At the end the agent's log
// must not hold a secret.
func newWorld(t testing.TB, settings iam.Settings, redirectURIs ...string) *world {
	t.Helper()
	client := theClient()
	client.RedirectURIs = redirectURIs
	idp, err := iam.Start(iam.Config{Alg: iam.ES256, Settings: settings, Clients: []iam.Client{client}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	w := &world{TB: t, idp: idp, log: new(buffer), dir: t.TempDir()}
	w.agent = w.newAgent()
	t.Cleanup(w.checkLog)
	t.Cleanup(func() { w.agent.accounts.take(func(*loaded) bool { return true }) }) // with their timers
	return w
}

// bubbleWorld is a world without sockets, for synctest: the agent's requests are calls of the provider. Such
// tests are not parallel, for the lock of issuer.config must not be waited for across bubbles.
func bubbleWorld(t testing.TB, settings iam.Settings) *world {
	t.Helper()
	idp, err := iam.New(iam.Config{Alg: iam.ES256, Issuer: "http://127.0.0.1:1/", Settings: settings, Clients: []iam.Client{theClient()}})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, idp: idp, log: new(buffer), dir: t.TempDir()}
	w.agent = w.newAgent()
	client, err := oidc.NewClient(oidc.Options{Transport: direct{idp}})
	if err != nil {
		t.Fatal(err)
	}
	setClient(w.agent, "", client)
	w.agent.boot = bubbleBoot(time.Now())
	t.Cleanup(w.checkLog)
	return w
}

// bubbleBoot is the clock that counts from the start, as time goes in a bubble.
func bubbleBoot(start time.Time) func() time.Duration {
	return func() time.Duration { return time.Hour + time.Since(start) }
}

// setClient makes an agent reach providers in its own way.
func setClient(a *agent, certPath string, c *oidc.Client) {
	a.providers.clients.Store(caFile{certPath, stampOf(certPath)}, c)
}

func theClient() iam.Client {
	return iam.Client{
		ClientID: clientID, ClientSecret: clientSecret,
		GrantTypes: []string{"password", "refresh_token", "authorization_code", "urn:ietf:params:oauth:grant-type:device_code"},
	}
}

// direct is a transport that calls a handler.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	recorder, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		d.ServeHTTP(recorder, r)
	}()
	select {
	case <-done:
		return recorder.Result(), nil
	case <-r.Context().Done():
		<-done // the fake looks at the context as well
		return nil, r.Context().Err()
	}
}

// shipped are the settings of an agent without options and without a `config` file.
var shipped = settings{AgentConfig: account.AgentConfig{
	Autoload: true, AutoReauthenticate: true, CustomURIScheme: true, Webserver: true,
}}

// newAgent makes one more agent, as on another machine that shares the directory.
func (w *world) newAgent() *agent {
	return newAgent(shipped, "/run/agent.sock", &logger{stderr: w.log, debug: true})
}

func (w *world) checkLog() {
	text := w.log.String()
	for _, request := range w.idp.Requests() {
		form := request.Form()
		for _, name := range []string{"refresh_token", "device_code", "code", "code_verifier", "password", "client_secret"} {
			if value := form.Get(name); len(value) >= 8 && strings.Contains(text, value) {
				w.Errorf("the log shows a %s: %s", name, text)
			}
		}
	}
	for _, secret := range []string{clientSecret, filePassword} {
		if strings.Contains(text, secret) {
			w.Errorf("the log shows a secret: %s", text)
		}
	}
}

// post sends a form to the provider, as somebody else would.
func (w *world) post(path string, form url.Values) map[string]any {
	w.Helper()
	r := httptest.NewRequest("POST", w.idp.Issuer()+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(clientSecret))
	recorder := httptest.NewRecorder()
	w.idp.ServeHTTP(recorder, r)
	var reply map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &reply); err != nil {
		w.Fatalf("%s: %v: %s", path, err, recorder.Body)
	}
	return reply
}

const allScopes = "openid profile offline_access storage.read:/"

// refreshToken gets a refresh token from the provider, as a login would.
func (w *world) refreshToken() string {
	w.Helper()
	reply := w.post("token", url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {allScopes}})
	token, ok := reply["refresh_token"].(string)
	if !ok {
		w.Fatalf("no refresh token: %v", reply)
	}
	w.idp.ForgetRequests()
	return token
}

// config is an account without a refresh token.
func (w *world) config(name string) *account.Account {
	return &account.Account{
		Name: name, ClientName: "oidc-agent:" + name, IssuerURL: w.idp.Issuer(), AuthScope: allScopes,
		ClientID: clientID, ClientSecret: secret.FromString(clientSecret),
	}
}

// account is one that is ready for use.
func (w *world) account(name string) *account.Account {
	w.Helper()
	c := w.config(name)
	c.RefreshToken = secret.FromString(w.refreshToken())
	c.Extra().SetText("registration_access_token", "rat-of-"+name)
	return c
}

// write encrypts an account into a file and returns its path.
func (w *world) write(path string, c *account.Account) {
	w.Helper()
	data, err := fileKey().Encrypt(w.Context(), c.Object().Compact())
	if err == nil {
		err = account.WriteFile(path, data)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// read returns what an account's file says.
func (w *world) read(path string) *account.Account {
	w.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		w.Fatal(err)
	}
	text, err := fileKey().Decrypt(w.Context(), data)
	if err != nil {
		w.Fatal(err)
	}
	c, err := account.Parse(text.Reveal())
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) tokenInFile(path string) string { return string(w.read(path).RefreshToken.Reveal()) }

// tokenInMemory is the refresh token that the agent would use next.
func (w *world) tokenInMemory(a *agent, name string) string {
	w.Helper()
	l := a.accounts.find(name)
	if l == nil {
		w.Fatalf("account %q is not loaded", name)
	}
	c, err := a.withSecrets(l)
	if err != nil {
		w.Fatal(err)
	}
	return string(c.RefreshToken.Reveal())
}

// addRequest is what oidc-add sends; path is "" for an account whose file's key nobody gave.
func addRequest(c *account.Account, path string) *cjson.Object {
	r := cjson.New().SetText("request", "add").SetObject("config", c.Object())
	if path != "" {
		r.SetObject("file_key", keyOf(path))
	}
	return r
}

func keyOf(path string) *cjson.Object {
	return cjson.New().SetText("file", path).SetSecret("key", fileKey().Marshal())
}

// load adds an account that has a file in the world's directory, and returns the file.
func (w *world) load(name string) (path string) {
	w.Helper()
	path = filepath.Join(w.dir, name)
	c := w.account(name)
	w.write(path, c)
	w.must(w.agent, addRequest(c, path))
	return path
}

// ask sends a request to an agent.
func ask(a *agent, r *cjson.Object) *cjson.Object {
	reply, err := cjson.Parse(a.answerInTime(r.Compact()))
	if err != nil {
		panic(err)
	}
	return reply
}

// askText is ask for a request that a test writes out.
func askText(a *agent, text string) *cjson.Object {
	reply, err := cjson.Parse(a.answerInTime([]byte(text)))
	if err != nil {
		panic(err)
	}
	return reply
}

// must is ask for a request that succeeds.
func (w *world) must(a *agent, r *cjson.Object) *cjson.Object {
	w.Helper()
	reply := ask(a, r)
	if s := reply.Text("status"); s != "success" && s != "accepted" {
		w.Fatalf("%s: %s", r.Text("request"), reply.Compact())
	}
	return reply
}

// want checks status and error of an answer; a text that ends in dots is the beginning of one.
func want(t *testing.T, reply *cjson.Object, failure string) {
	t.Helper()
	begin, open := strings.CutSuffix(failure, "...")
	got := reply.Text("error")
	if reply.Text("status") != "failure" || got != failure && !(open && strings.HasPrefix(got, begin)) {
		t.Errorf("answered %s, want the failure %q", reply.Compact(), failure)
	}
}

// token is an access_token request, with more members: name, value, ...
func tokenFor(name string, more ...string) *cjson.Object {
	r := cjson.New().SetText("request", "access_token").SetText("account", name)
	for i := 0; i < len(more); i += 2 {
		r.SetText(more[i], more[i+1])
	}
	return r
}

func forced(name string) *cjson.Object { return tokenFor(name, "min_valid_period", "-1") }

// grants is how often the token endpoint was asked since the requests were forgotten.
func (w *world) grants() int { return w.idp.Counters()["POST token"] }

// lastGrant is the form of the last request at the token endpoint.
func (w *world) lastGrant() url.Values {
	w.Helper()
	for _, r := range slices.Backward(w.idp.Requests()) {
		if r.Path == "token" {
			return r.Form()
		}
	}
	w.Fatal("no request at the token endpoint")
	return nil
}
