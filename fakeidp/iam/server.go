package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Server is one fake IAM. It is an http.Handler; all its exported methods may be called at any time, from any
// goroutine. Those take the mutex; the others want it held, as it is while a request is answered (see serve).
type Server struct {
	// Set by New, read-only afterwards.
	cfg   Config
	base  string // path of the issuer, with its last slash
	words *strings.Replacer
	mux   *http.ServeMux
	keys  *keyring
	http  *http.Server // only with Start

	mu       sync.Mutex // guards what follows
	settings Settings
	offset   time.Duration // how far the clock was moved
	users    map[string]*User
	fallback *User // the default user
	clients  map[string]*client
	devices  map[string]*deviceCode        // by device code
	codes    map[string]*authorizationCode // by code
	tokens   map[string]*token             // access and refresh tokens, by value
	sessions map[string]*session           // by cookie
	sweepAt  int                           // number of all these that starts the next sweep
	consents map[consentKey][]string       // remembered decisions: scopes
	faults   []*Fault
	requests []*Request     // the last ones
	counters map[string]int // of requests, by method and path
}

// New makes a server that does not listen: serve it, or call it from a round tripper. The issuer must be set.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	base, _ := url.Parse(cfg.Issuer) // complete has tried it
	s := &Server{
		cfg:      cfg,
		base:     base.Path,
		words:    newWords(cfg.Issuer),
		settings: cfg.Settings,
		users:    map[string]*User{},
		clients:  map[string]*client{},
		devices:  map[string]*deviceCode{},
		codes:    map[string]*authorizationCode{},
		tokens:   map[string]*token{},
		sessions: map[string]*session{},
		consents: map[consentKey][]string{},
		counters: map[string]int{},
	}
	for _, u := range cfg.Users {
		if u.Username == "" {
			return nil, errors.New("a user needs a username")
		}
		if s.users[u.Username] != nil {
			return nil, fmt.Errorf("user %q: there are two of them", u.Username)
		}
		u.Sub = cmp.Or(u.Sub, newUUID())
		s.users[u.Username] = &u
	}
	s.fallback = s.users[cfg.Users[0].Username]
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

// Start makes a server that listens. Without an issuer in the configuration it calls itself by its address. Close ends
// it.
func Start(cfg Config) (*Server, error) {
	l, err := cfg.Listener, error(nil)
	if l == nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	cfg.Issuer = cmp.Or(cfg.Issuer, "http://"+l.Addr().String()+"/")
	s, err := New(cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go s.http.Serve(l) // ends with Close
	return s, nil
}

// grace is how long requests that are being answered may go on after Close.
const grace = time.Second

// Close ends a server that Start began, and waits for the answers that it is giving, but not for long.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if s.http.Shutdown(ctx) == nil {
		return nil
	}
	return s.http.Close()
}

// Issuer is the URL that the server calls itself; it ends in a slash.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// Now is the time on the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return s.cfg.Now().Add(s.offset) }

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

// routes lists every address of the server.
func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pageFiles, "pages/style.css")
	})
	for pattern, h := range map[string]http.Handler{
		"GET /.well-known/openid-configuration":       api(s.metadata),
		"GET /.well-known/oauth-authorization-server": api(s.metadata),
		"GET /jwk":                             api(s.jwks),
		"POST " + registrationPath:             api(s.register),
		"GET " + registrationPath + "/{id}":    s.managed(s.readClient),
		"PUT " + registrationPath + "/{id}":    s.managed(s.updateClient),
		"DELETE " + registrationPath + "/{id}": s.managed(s.deleteClient),

		"POST /devicecode": api(s.deviceAuthorization),
		"POST /token":      s.client(s.giveTokens),
		"GET /userinfo":    api(s.userinfo),
		"POST /userinfo":   api(s.userinfo),
		"POST /introspect": s.client(s.introspect),
		"POST /revoke":     s.client(s.revoke),

		"GET /{$}":             s.page(s.homePage),
		"GET /about":           s.page(s.aboutPage),
		"GET /login":           s.page(s.loginPage),
		"POST /login":          s.page(s.login),
		"POST /logout":         s.page(s.logout),
		"GET /device":          s.member(s.devicePage),
		"POST /device/verify":  s.member(s.deviceVerify),
		"POST /device/approve": s.member(s.deviceApprove),
		"GET /authorize":       s.page(s.authorizePage),
		"POST /authorize":      s.member(s.authorizeDecision),

		"GET /dashboard":                      s.member(s.dashboard),
		"POST /dashboard/tokens/revoke":       s.member(s.revokeOwn),
		"GET /dashboard/clients/new":          s.member(s.newClientPage),
		"POST /dashboard/clients":             s.member(s.makeClient),
		"GET /dashboard/clients/{id}":         s.owner(s.clientPage),
		"POST /dashboard/clients/{id}/secret": s.owner(s.newSecret),
		"POST /dashboard/clients/{id}/delete": s.owner(s.deleteOwn),
	} {
		m.Handle(pattern, h)
	}
	if s.cfg.Control {
		s.controlRoutes(m)
	}
	return m
}
