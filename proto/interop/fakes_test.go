package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A reply is an answer of a fake provider. A string is sent as it is, anything else
// as JSON.
type reply struct {
	status  int
	kind    string // Content-Type, by default JSON
	content any
	drop    bool // close the connection instead of answering
	hang    bool // never answer
}

type fields map[string]any

func oauthError(status int, code, description string) *reply {
	content := fields{"error": code}
	if description != "" {
		content["error_description"] = description
	}
	return &reply{status: status, content: content}
}

func page(status int) *reply {
	title := http.StatusText(status)
	return &reply{status: status, kind: "text/html",
		content: fmt.Sprintf("<!DOCTYPE html>\n<html><head><title>%s</title></head>\n<body><h1>%[1]s</h1></body></html>\n", title)}
}

// A fake says how a provider differs from a correct one. Whatever is not set is
// correct.
type fake struct {
	discovery *reply
	metadata  func(fields) // changes the discovery document
	register  *reply
	expiresIn int    // of the device code, in seconds
	poll      *reply // to a device code
	polls     int    // number of times; 0: always
	token     func(answer fields, number int)
}

// fakes are the providers <FAKE>/NAME/ of the transcripts.
var fakes = map[string]fake{
	"ok":       {},
	"html":     {discovery: page(http.StatusOK)},
	"notfound": {discovery: page(http.StatusNotFound)},
	"err500":   {discovery: page(http.StatusInternalServerError)},
	"drop":     {discovery: &reply{drop: true}},
	"hang":     {discovery: &reply{hang: true}},
	"noreg":    {metadata: func(m fields) { delete(m, "registration_endpoint") }},
	"nodevice": {metadata: func(m fields) {
		delete(m, "device_authorization_endpoint")
		m["grant_types_supported"] = []string{"authorization_code", "refresh_token"}
	}},
	"regrefused": {register: oauthError(400, "invalid_client_metadata", "Dynamic registration is disabled. Write to support@example.org")},
	"reg401":     {register: oauthError(401, "invalid_token", "An initial access token is required")},
	"regtext":    {register: &reply{status: 403, kind: "text/plain", content: "Registration closed. Contact support@example.org\n"}},
	"reghtml":    {register: page(http.StatusForbidden)},
	"expired":    {poll: oauthError(400, "expired_token", "The device code has expired")},
	"shortcode":  {expiresIn: 3, poll: oauthError(400, "authorization_pending", "")},
	"slowdown":   {poll: oauthError(400, "slow_down", ""), polls: 2},
	"pollerror":  {poll: oauthError(400, "server_error", "database is down")},
	"pollhtml":   {poll: page(http.StatusBadGateway)},
	"rotate":     {token: func(a fields, number int) { a["refresh_token"] = fmt.Sprintf("rt-%d", number) }},
	"noexpiry":   {token: func(a fields, _ int) { delete(a, "expires_in") }},
	"lessscope":  {token: func(a fields, _ int) { a["scope"] = "openid" }},
}

// modes are answers that a token endpoint can be switched to during a test.
var modes = map[string]*reply{
	"invalid_grant": oauthError(400, "invalid_grant", "Refresh token is expired or revoked"),
	"err500":        page(http.StatusInternalServerError),
	"unavailable":   page(http.StatusServiceUnavailable),
	"drop":          {drop: true},
	"hang":          {hang: true},
	"badjson":       {status: 200, content: json.RawMessage(`{"access_token":`)},
	"notoken":       {status: 200, content: fields{"token_type": "Bearer"}},
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// A fakeServer serves all fakes for one test.
type fakeServer struct {
	base string // without a slash at the end

	mu     sync.Mutex
	modes  map[string]string
	polls  map[string]int // since the last device code
	tokens map[string]int
}

// startFakes serves until stop is called.
func startFakes() (server *fakeServer, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s := &fakeServer{base: "http://" + listener.Addr().String(),
		modes: map[string]string{}, polls: map[string]int{}, tokens: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}/.well-known/openid-configuration", s.answer(s.discover))
	mux.HandleFunc("POST /{name}/reg", s.answer(s.register))
	mux.HandleFunc("DELETE /{name}/reg/fake-client", s.answer(forget))
	mux.HandleFunc("POST /{name}/device", s.answer(s.device))
	mux.HandleFunc("POST /{name}/token", s.answer(s.token))
	mux.HandleFunc("POST /{name}/revoke", s.answer(s.revoke))
	h := &http.Server{Handler: s.switchable(mux), ReadHeaderTimeout: time.Minute}
	go h.Serve(listener)
	return s, func() { h.Close() }, nil
}

// switchable handles GET /mode/NAME/MODE, which the user calls, not a program.
func (s *fakeServer) switchable(providers http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.Split(r.URL.Path, "/")
		if len(path) != 4 || path[1] != "mode" {
			providers.ServeHTTP(w, r)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.modes[path[2]] = path[3]
		fmt.Fprintln(w, "ok")
	})
}

// answer writes the answer of an endpoint of the fake in the path.
func (s *fakeServer) answer(endpoint func(name string, f fake, r *http.Request) *reply) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		f, ok := fakes[name]
		if !ok {
			page(http.StatusNotFound).write(w, r)
			return
		}
		s.mu.Lock()
		a := endpoint(name, f, r)
		s.mu.Unlock()
		a.write(w, r)
	}
}

func (a *reply) write(w http.ResponseWriter, r *http.Request) {
	switch {
	case a.drop:
		panic(http.ErrAbortHandler)
	case a.hang:
		<-r.Context().Done()
		return
	}
	kind := a.kind
	if kind == "" {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(a.status)
	switch content := a.content.(type) {
	case nil:
	case string:
		fmt.Fprint(w, content)
	case json.RawMessage: // broken on purpose
		w.Write(content)
	default:
		json.NewEncoder(w).Encode(content)
	}
}

func (s *fakeServer) discover(name string, f fake, _ *http.Request) *reply {
	if f.discovery != nil {
		return f.discovery
	}
	issuer := s.base + "/" + name + "/"
	m := fields{
		"issuer": issuer, "authorization_endpoint": issuer + "auth", "token_endpoint": issuer + "token",
		"registration_endpoint": issuer + "reg", "device_authorization_endpoint": issuer + "device",
		"userinfo_endpoint": issuer + "me", "revocation_endpoint": issuer + "revoke", "jwks_uri": issuer + "jwks",
		"scopes_supported":                 []string{"openid", "profile", "offline_access", "storage.read:/"},
		"response_types_supported":         []string{"code", "token"},
		"grant_types_supported":            []string{"authorization_code", "refresh_token", "password", deviceGrant},
		"code_challenge_methods_supported": []string{"plain", "S256"},
	}
	if f.metadata != nil {
		f.metadata(m)
	}
	return &reply{status: http.StatusOK, content: m}
}

func (s *fakeServer) register(name string, f fake, r *http.Request) *reply {
	if f.register != nil {
		return f.register
	}
	answer := fields{}
	json.NewDecoder(r.Body).Decode(&answer) // members that are not understood are not repeated
	answer["client_id"], answer["client_secret"] = "fake-client-"+name, "fake-secret-"+name
	answer["client_id_issued_at"], answer["client_secret_expires_at"] = 0, 0
	answer["registration_access_token"] = "fake-registration-token"
	answer["registration_client_uri"] = s.base + "/" + name + "/reg/fake-client"
	return &reply{status: http.StatusCreated, content: answer}
}

// forget deletes a client (RFC 7592 section 2.3).
func forget(string, fake, *http.Request) *reply { return &reply{status: http.StatusNoContent} }

func (s *fakeServer) device(name string, f fake, _ *http.Request) *reply {
	s.polls[name] = 0
	expiresIn := 60
	if f.expiresIn != 0 {
		expiresIn = f.expiresIn
	}
	uri := s.base + "/" + name + "/activate"
	return &reply{status: http.StatusOK, content: fields{
		"device_code": "fake-device-code", "user_code": "FAKE-CODE", "verification_uri": uri,
		"verification_uri_complete": uri + "?user_code=FAKE-CODE", "expires_in": expiresIn, "interval": 1,
	}}
}

func (s *fakeServer) revoke(name string, _ fake, _ *http.Request) *reply {
	switch s.modes[name] {
	case "norevoke":
		return oauthError(503, "temporarily_unavailable", "try again later")
	case "drop":
		return &reply{drop: true}
	}
	return &reply{status: http.StatusOK, content: fields{}}
}

func (s *fakeServer) token(name string, f fake, r *http.Request) *reply {
	r.ParseForm()
	if a := s.refuse(name, f, r.PostForm); a != nil {
		return a
	}
	s.tokens[name]++
	scope := r.PostForm.Get("scope")
	if scope == "" {
		scope = "openid profile offline_access storage.read:/"
	}
	answer := fields{"access_token": "fake-access-token", "token_type": "Bearer", "expires_in": 3600,
		"refresh_token": "rt-1", "scope": scope}
	if f.token != nil {
		f.token(answer, s.tokens[name])
	}
	return &reply{status: http.StatusOK, content: answer}
}

// refuse returns the error why there is no token.
func (s *fakeServer) refuse(name string, f fake, form url.Values) *reply {
	grant := form.Get("grant_type")
	switch a := modes[s.modes[name]]; {
	case a != nil && s.modes[name] == "invalid_grant" && grant == deviceGrant:
		return oauthError(400, "authorization_pending", "")
	case a != nil:
		return a
	case grant == deviceGrant && f.poll != nil && (f.polls == 0 || s.polls[name] < f.polls):
		s.polls[name]++
		return f.poll
	case grant == "refresh_token" && !strings.HasPrefix(form.Get("refresh_token"), "rt-"):
		return oauthError(400, "invalid_grant", "Unknown refresh token")
	case grant == "password" && form.Get("password") != "right":
		return oauthError(400, "invalid_grant", "Bad username or password")
	}
	return nil
}

// TestFakesAreUsed compares the table with the transcripts, in both directions.
func TestFakesAreUsed(t *testing.T) {
	named := regexp.MustCompile(`<FAKE>/(\w+)/(\w*)`)
	used := map[string]bool{}
	for _, tr := range loadTranscripts(t, recordings) {
		lines := []string{}
		for _, s := range tr.setup {
			lines = append(lines, s.line)
		}
		for _, c := range tr.commands {
			lines = append(lines, c.line)
		}
		for _, m := range named.FindAllStringSubmatch(strings.Join(lines, "\n"), -1) {
			used[m[1]] = true
			if _, ok := fakes[m[1]]; !ok && m[1] != "mode" {
				t.Errorf("%s: there is no fake %q", tr.name, m[1])
			}
		}
	}
	for name := range fakes {
		if !used[name] {
			t.Errorf("no transcript uses the fake %q", name)
		}
	}
}
