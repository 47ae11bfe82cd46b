package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/ipc/box"
	"oidc-agent/proto/secret"
)

// What an agent keeps. While it is unlocked, it has access tokens and id tokens in plain text, to hand them out.
const (
	accessToken  = "access token"
	refreshToken = "refresh token"
	clientSecret = "client secret"
	password     = "password"
	fileKey      = "file key"
)

const (
	manyAccounts = 100
	byOidcAdd    = 4 // so many of them, because each costs a key derivation
)

// TestMemory searches the memory of an agent that has loaded a hundred accounts and refreshed each of them, for all
// secrets.
func TestMemory(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	key, plain := newFileKey(t)
	for name, serve := range map[string]func(*httptest.Server){
		"http":   (*httptest.Server).Start,
		"https":  (*httptest.Server).StartTLS,
		"http 2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemoryStory(t, serve, key, plain)
			m.loadAll()
			for range 2 {
				m.refreshAll()
			}
			// Only logged: the last exchange of each connection is still in the 4 KiB buffers of net/http and in the
			// record buffer of crypto/tls, and with HTTP/2 the Basic secret in the table of headers. So is what the
			// garbage collector has not yet freed: strings of headers, the buffers of io.Copy.
			found := m.look("just used")
			if !slices.ContainsFunc(found, func(t trace) bool { return t.kind == accessToken }) {
				t.Error("the search does not even find access tokens")
			}
			m.ask(ipc.Request(ipc.RequestLock).SetText(ipc.KeyPassword, lockPassword))
			found = m.look("locked")
			for range 5 { // on a busy machine goroutines may take a moment to end; the agent waits for that too
				if len(found) == 0 {
					break
				}
				time.Sleep(time.Second)
				found = m.look("locked for a second more")
			}
			m.mustNotHold(found, accessToken, refreshToken, clientSecret, password, fileKey)
			m.ask(ipc.Request(ipc.RequestUnlock).SetText(ipc.KeyPassword, lockPassword))
			found = m.look("unlocked")
			m.mustNotHold(found, accessToken, refreshToken, clientSecret, password, fileKey)
		})
	}
}

const (
	filePassword = "correct horse battery staple of the files"
	lockPassword = "a password for nothing but the lock"
)

// newFileKey returns the key of all account files, and the secret part of its text.
func newFileKey(t *testing.T) (key *crypt.Key, secrets []string) {
	key, err := crypt.NewKey(secret.FromString(filePassword), crypt.FormatScrypt)
	if err != nil {
		t.Fatal(err)
	}
	text := string(key.Marshal().Reveal())
	derived := text[strings.LastIndex(text, ":")+1:]
	raw, err := base64.StdEncoding.DecodeString(derived)
	if err != nil {
		t.Fatal(err)
	}
	return key, []string{derived, string(raw)}
}

// A memoryStory is one agent, its provider, and all secrets that they exchange.
type memoryStory struct {
	*testing.T
	script   *script
	idp      *iam.Server
	key      *crypt.Key
	accounts []*cjson.Object // as in the files
	mu       sync.Mutex      // guards the vault while the provider answers
	vault    vault
}

func newMemoryStory(t *testing.T, serve func(*httptest.Server), key *crypt.Key, keySecrets []string) *memoryStory {
	m := &memoryStory{T: t, key: key}
	m.vault.add(password, filePassword)
	m.vault.add(password, lockPassword)
	for _, s := range keySecrets {
		m.vault.add(fileKey, s)
	}
	provider := httptest.NewUnstartedServer(m)
	serve(provider)
	t.Cleanup(provider.Close)
	config := iam.Config{Issuer: provider.URL, Alg: iam.ES256, Settings: iam.Settings{Rotate: true}}
	for i := range manyAccounts {
		config.Clients = append(config.Clients, m.client(i))
	}
	var err error
	if m.idp, err = iam.New(config); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"pw": filePassword}
	if provider.Certificate() != nil {
		files["ca.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}))
	}
	dir := scriptDir(t)
	for i, c := range config.Clients {
		a := m.account(fmt.Sprintf("account%03d", i), c)
		if provider.Certificate() != nil {
			a.SetText("cert_path", filepath.Join(dir, "home", "ca.pem"))
		}
		m.accounts = append(m.accounts, a)
		text, err := key.Encrypt(m.Context(), a.Layout())
		if err != nil {
			t.Fatal(err)
		}
		files[".config/oidc-agent/"+a.Text("name")] = string(text)
	}
	if m.script, err = newScript(dir, binaries(t), files); err != nil {
		t.Fatal(err)
	}
	m.script.patience = patience
	t.Cleanup(func() {
		if err := m.script.close(); err != nil {
			t.Error(err)
		}
	})
	if err := startAgent(m.script, []string{"--no-autoload"}); err != nil {
		t.Fatal(err)
	}
	return m
}

// client adds a client: half of them send their secret in the header, half in the body.
func (m *memoryStory) client(i int) iam.Client {
	c := iam.Client{
		ClientID: fmt.Sprintf("client%03d", i), ClientSecret: rand.Text() + rand.Text(), GrantTypes: []string{"password", "refresh_token"},
		TokenEndpointAuthMethod: []string{"client_secret_basic", "client_secret_post"}[i%2],
	}
	m.vault.add(clientSecret, c.ClientSecret)
	m.vault.add(clientSecret, base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret)))
	return c
}

// account returns the account of a user who has logged in.
func (m *memoryStory) account(name string, c iam.Client) *cjson.Object {
	form := url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {"openid offline_access"}}
	if c.TokenEndpointAuthMethod == "client_secret_post" {
		form.Set("client_id", c.ClientID)
		form.Set("client_secret", c.ClientSecret)
	}
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.TokenEndpointAuthMethod == "client_secret_basic" {
		r.SetBasicAuth(c.ClientID, c.ClientSecret)
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		m.Fatalf("%s: %d %s", name, w.Code, w.Body)
	}
	answer, err := cjson.Parse(w.Body.Bytes())
	if err != nil {
		m.Fatal(err)
	}
	return cjson.New().SetText("name", name).SetText("issuer_url", m.idp.Issuer()).
		SetText("client_id", c.ClientID).SetText("client_secret", c.ClientSecret).
		SetText("token_endpoint_auth_method", c.TokenEndpointAuthMethod).
		SetText("refresh_token", answer.Text("refresh_token")).SetText("auth_scope", "openid offline_access")
}

// ServeHTTP is the provider. It records all tokens.
func (m *memoryStory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := httptest.NewRecorder()
	m.idp.ServeHTTP(recorder, r)
	var tokens map[string]any
	if strings.HasSuffix(r.URL.Path, "/token") && json.Unmarshal(recorder.Body.Bytes(), &tokens) == nil {
		m.mu.Lock()
		for name, kind := range map[string]string{"access_token": accessToken, "id_token": accessToken, "refresh_token": refreshToken} {
			if token, ok := tokens[name].(string); ok {
				m.vault.add(kind, token)
			}
		}
		m.mu.Unlock()
	}
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	io.Copy(w, recorder.Body)
}

// loadAll loads the accounts in every possible way: with oidc-add and each source of the password, with a C client's
// requests with and without the password, plain and encrypted, and with our own requests with the file's key.
func (m *memoryStory) loadAll() {
	m.script.env["OIDC_ENCRYPTION_PW"] = filePassword
	for i, source := range []string{"--pw-env", "--pw-file=pw", "--pw-cmd=cat pw", "--pw-store"} {
		args := []string{"oidc-add", "--pw-env", source, m.accounts[i].Text("name")}
		if strings.HasPrefix(source, "--pw-file") || strings.HasPrefix(source, "--pw-cmd") {
			args = append(args[:1], args[2:]...)
		}
		if err := m.script.program(args, false); err != nil {
			m.Fatalf("%q: %v\n%s", args, err, m.script.shown())
		}
	}
	for i, a := range m.accounts[byOidcAdd:] {
		r := ipc.Request(ipc.RequestAdd).SetObject(ipc.KeyConfig, a)
		switch i {
		case 0, 1:
			r.SetObject(ipc.KeyPwEntry, cjson.New().SetInt("type", 9).SetText("password", filePassword))
		default:
			r.SetObject(ipc.KeyFileKey, cjson.New().SetText(ipc.KeyFile, m.script.path(".config/oidc-agent/"+a.Text("name"))).
				SetSecret(ipc.KeyKey, m.key.Marshal()))
		}
		m.ask(r)
	}
}

// ask sends a request to the agent, every other time encrypted, as C clients do.
func (m *memoryStory) ask(r *cjson.Object) *cjson.Object {
	m.Helper()
	call := ipc.Call
	if len(r.Compact())%2 == 0 {
		call = box.Call
	}
	answer, err := call(m.script.env["OIDC_SOCK"], r, patience)
	if err == nil {
		err = ipc.Check(answer)
	}
	if err != nil {
		m.Fatalf("%s: %v\n%s", r.Text(ipc.KeyRequest), err, m.script.log())
	}
	return answer
}

func (m *memoryStory) refreshAll() {
	var all sync.WaitGroup
	for _, a := range m.accounts {
		all.Go(func() {
			m.ask(ipc.Request(ipc.RequestAccessToken).SetText(ipc.KeyAccount, a.Text("name")).SetInt(ipc.KeyMinValidPeriod, -1))
		})
	}
	all.Wait()
}

// look searches the agent's memory and logs the findings.
func (m *memoryStory) look(when string) []trace {
	m.Helper()
	pid, err := strconv.Atoi(m.script.env["OIDCD_PID"])
	if err != nil {
		m.Fatal(err)
	}
	found, err := m.vault.search(pid)
	if err != nil {
		m.Fatal(err)
	}
	n := map[string]int{}
	for _, t := range found {
		n[t.kind]++
	}
	m.Logf("%s: pieces of %d bytes: %v", when, pieceLength, n)
	return found
}

func (m *memoryStory) mustNotHold(found []trace, kinds ...string) {
	m.Helper()
	found = slices.DeleteFunc(slices.Clone(found), func(t trace) bool { return !slices.Contains(kinds, t.kind) })
	for _, t := range found[:min(len(found), 5)] {
		m.Error(t)
	}
	if m.Failed() {
		m.Log(m.script.log())
	}
}
