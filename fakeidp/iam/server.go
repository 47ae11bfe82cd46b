package iam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Server is a fake IAM. It is an http.Handler. Its exported methods are safe for concurrent use: they lock the
// mutex. The others expect it to be locked, as it is while a request is handled (see handle).
type Server struct {
	// Set by New, read-only afterwards.
	cfg  Config
	base string // path of the issuer, with its final slash
	mux  *http.ServeMux
	keys *keyring
	http *http.Server // set by Start

	mu       sync.Mutex // guards what follows
	settings Settings
	offset   time.Duration // set by MoveClock
	users    map[string]*User
	fallback *User // the default user
	clients  map[string]*client
	devices  map[string]*deviceCode        // by device code
	codes    map[string]*authorizationCode // by code
	tokens   map[string]*token             // access and refresh tokens, by value
	sessions map[string]*session           // by cookie
	sweepAt  int                           // number of all these at which sweep runs next
	consents map[consentKey][]string       // scopes of remembered decisions
	faults   []*Fault
	requests []*Request     // the last ones
	counters map[string]int // of requests, by method and path
}

// New makes a server that does not listen. The issuer must be set.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	base, _ := url.Parse(cfg.Issuer) // never fails: complete has parsed it
	s := &Server{
		cfg:      cfg,
		base:     base.Path,
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
			return nil, errors.New("a user has no username")
		}
		if s.users[u.Username] != nil {
			return nil, fmt.Errorf("user %q: defined twice", u.Username)
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

// Start makes a server that listens, until Close. By default the issuer is the address it listens on.
func Start(cfg Config) (*Server, error) {
	l := cfg.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listening on loopback: %w", err)
		}
	}
	cfg.Issuer = cmp.Or(cfg.Issuer, "http://"+l.Addr().String()+"/")
	s, err := New(cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	// Serve ends with Close, or when the caller closes cfg.Listener. It retries an Accept that fails for the moment.
	go s.http.Serve(l)
	return s, nil
}

// grace is how long Close waits for requests that are still being handled.
const grace = time.Second

// Close stops a server that Start started. It waits for a moment until running requests are answered.
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

// Issuer returns the issuer URL, which ends in a slash.
func (s *Server) Issuer() string { return s.cfg.Issuer }

// Now returns the time of the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return s.cfg.Now().Add(s.offset) }

// MoveClock moves the server's clock by d, which may be negative.
func (s *Server) MoveClock(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// Change applies change to the settings. Existing tokens keep their lifetime.
func (s *Server) Change(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
	s.settings = s.settings.complete()
}

// routes lists all endpoints and pages of the server.
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
