package iam

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"
)

// Server is one fake IAM. It is an http.Handler; all its methods may be called at any time, from any goroutine.
type Server struct {
	// Set by New, read-only afterwards.
	cfg  Config
	base string // path of the issuer, with its last slash
	mux  *http.ServeMux
	keys *keyring
	http *http.Server // only with Start

	mu       sync.Mutex // guards what follows
	settings Settings
	offset   time.Duration // how far the clock was moved
	users    map[string]*User
	fallback *User // the default user
	clients  map[string]*client
	devices  map[string]*deviceCode        // by device code
	codes    map[string]*authorizationCode // by code
	refresh  map[string]*refreshToken      // by value
	access   map[string]*accessToken       // by value
	sessions map[string]*session           // by cookie
	consents map[consentKey][]string       // remembered decisions: scopes
	pruneAt  int                           // number of access tokens that starts the next sweep
	faults   faults
}

// New makes a server that does not listen: serve it, or call it from a round tripper. The issuer must be set.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		base:     u.Path,
		settings: cfg.Settings,
		users:    map[string]*User{},
		clients:  map[string]*client{},
		devices:  map[string]*deviceCode{},
		codes:    map[string]*authorizationCode{},
		refresh:  map[string]*refreshToken{},
		access:   map[string]*accessToken{},
		sessions: map[string]*session{},
		consents: map[consentKey][]string{},
		pruneAt:  1024,
	}
	for _, u := range cfg.Users {
		if err := s.addUser(u); err != nil {
			return nil, err
		}
	}
	for _, c := range cfg.Clients {
		if err := s.AddClient(c); err != nil {
			return nil, err
		}
	}
	if s.keys, err = newKeyring(cfg.Alg, cfg.Key); err != nil {
		return nil, err
	}
	s.mux = s.routes()
	return s, nil
}

// Start makes a server and lets it listen on a port of 127.0.0.1 that the kernel chooses. Without an issuer
// in the configuration it calls itself by that address. Close ends it.
func Start(cfg Config) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	if cfg.Issuer == "" {
		cfg.Issuer = "http://" + l.Addr().String() + "/"
	}
	s, err := New(cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(l) // ends with Close
	return s, nil
}

// Close ends a server that Start began, with its connections.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	return s.http.Close()
}

// Issuer is the URL that the server calls itself; it ends in a slash.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// Ready waits until there is a key to sign with: until then requests that need one wait, too.
func (s *Server) Ready(ctx context.Context) error { return s.keys.wait(ctx) }

// Now is the time on the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nowLocked()
}

func (s *Server) nowLocked() time.Time { return s.cfg.Now().Add(s.offset) }

// MoveClock moves the server's clock, forward or back, by d.
func (s *Server) MoveClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// Change applies change to the settings. Tokens that exist keep the lifetime they were born with.
func (s *Server) Change(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
	s.settings = s.settings.complete()
}

func (s *Server) addUser(u User) error {
	if u.Username == "" {
		return errors.New("a user needs a username")
	}
	if s.users[u.Username] != nil {
		return fmt.Errorf("user %q: there are two of them", u.Username)
	}
	u.Sub = orDefault(u.Sub, newUUID())
	s.users[u.Username] = &u
	if s.fallback == nil {
		s.fallback = &u
	}
	return nil
}

// ServeHTTP answers a request. A proxy in front may pass the issuer's path or strip it: both work.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if below, ok := strings.CutPrefix(p, s.base); ok {
		p = "/" + below
	}
	// The mux would redirect //jwk to /jwk and so forgive a client that doubles slashes.
	if path.Clean(p) != p {
		http.NotFound(w, r)
		return
	}
	if p != r.URL.Path {
		u := *r.URL
		u.Path, u.RawPath = p, ""
		r = r.Clone(r.Context())
		r.URL = &u
	}
	s.serve(w, r)
}

// routes lists every address of the server.
func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	for pattern, h := range map[string]http.Handler{
		"GET /.well-known/openid-configuration":       api(s.metadata),
		"GET /.well-known/oauth-authorization-server": api(s.metadata),
		"GET /jwk":                             api(s.jwks),
		"POST " + registrationPath:             api(s.register),
		"GET " + registrationPath + "/{id}":    api(s.readClient),
		"PUT " + registrationPath + "/{id}":    api(s.updateClient),
		"DELETE " + registrationPath + "/{id}": api(s.deleteClient),

		"POST /devicecode": api(s.deviceAuthorization),
		"POST /token":      api(s.token),
		"GET /userinfo":    api(s.userinfo),
		"POST /userinfo":   api(s.userinfo),
		"POST /introspect": api(s.introspect),
		"POST /revoke":     api(s.revoke),

		"GET /{$}":             s.page(s.homePage),
		"GET /style.css":       http.HandlerFunc(serveStyle),
		"GET /about":           s.page(s.aboutPage),
		"GET /login":           s.page(s.loginPage),
		"POST /login":          s.page(s.login),
		"POST /logout":         s.page(s.logout),
		"GET /device":          s.member(s.devicePage),
		"POST /device/verify":  s.page(s.deviceVerify),
		"POST /device/approve": s.page(s.deviceApprove),
		"GET /authorize":       s.page(s.authorizePage),
		"POST /authorize":      s.page(s.authorizeDecision),

		"GET /dashboard":                      s.member(s.dashboard),
		"POST /dashboard/tokens/revoke":       s.action(s.revokeOwn),
		"GET /dashboard/clients/new":          s.member(s.newClientPage),
		"POST /dashboard/clients":             s.page(s.makeClient),
		"GET /dashboard/clients/{id}":         s.member(s.clientPage),
		"POST /dashboard/clients/{id}/secret": s.action(s.newSecret),
		"POST /dashboard/clients/{id}/delete": s.action(s.deleteOwn),
	} {
		m.Handle(pattern, h)
	}
	if s.cfg.Control {
		s.controlRoutes(m)
	}
	return m
}
