package oidc_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// network connects to providers by their hosts, without sockets. A request to any other host is a fault of the
// client, unless that host is there with nil.
type network struct {
	t     *testing.T
	hosts map[string]*iam.Server
}

func (p *party) add(cfg iam.Config) *iam.Server {
	p.Helper()
	s, err := iam.New(cfg)
	if err != nil {
		p.Fatal(err)
	}
	u, err := url.Parse(cfg.Issuer)
	if err != nil {
		p.Fatal(err)
	}
	p.net.hosts[u.Host] = s
	return s
}

// RoundTrip implements http.RoundTripper.
func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	s, known := n.hosts[r.URL.Host]
	if !known {
		n.t.Errorf("a request to %s", r.URL)
	}
	if s == nil {
		return nil, errors.New("no such host")
	}
	if r.Body == nil {
		r.Body = http.NoBody // as a server has it
	}
	body, pipe := io.Pipe()
	w := &wire{header: http.Header{}, pipe: pipe, begun: make(chan struct{}), left: -1}
	go func() {
		defer r.Body.Close()
		s.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		if w.left > 0 {
			pipe.CloseWithError(io.ErrUnexpectedEOF)
		}
		pipe.Close()
	}()
	select {
	case <-w.begun:
	case <-r.Context().Done():
	}
	if err := r.Context().Err(); err != nil {
		body.Close()
		return nil, err
	}
	return &http.Response{StatusCode: w.status, Header: w.header.Clone(), Body: body, ContentLength: -1, Request: r}, nil
}

// wire is the provider's end of an exchange.
type wire struct {
	header http.Header
	pipe   *io.PipeWriter
	begun  chan struct{} // closed when the header is complete
	once   sync.Once
	status int
	left   int // announced bytes that are not sent yet; negative: none announced
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(status int) {
	w.once.Do(func() {
		if n, err := strconv.Atoi(w.header.Get("Content-Length")); err == nil {
			w.left = n
		}
		w.status = status
		close(w.begun)
	})
}

func (w *wire) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.left -= len(b)
	return w.pipe.Write(b)
}

func (p *party) discover() (err error) {
	if p.at.Metadata == nil {
		p.at.Metadata, err = p.at.Discover(p.Context(), p.issuer, "")
	}
	return err
}

// browse opens the client's authorization URL and returns the query that comes back.
func (p *party) browse(scope, challenge, state, nonce string) (string, error) {
	var err error
	p.lastNonce = nonce
	p.lastURL, err = p.at.AuthorizationURL(oidc.AuthorizationRequest{RedirectURI: redirectURI,
		Scope: scope, State: state, Nonce: nonce, CodeChallenge: challenge})
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.lastURL, nil)
	if err != nil {
		return "", err
	}
	resp, err := p.net.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		text, _ := io.ReadAll(resp.Body)
		return "", fmt.Errorf("status %d, %w: %s", resp.StatusCode, err, text)
	}
	return back.RawQuery, nil
}

// login is the whole code flow.
func (p *party) login() error { return p.loginFor(fullScope) }

func (p *party) loginFor(scope string) error {
	if err := p.discover(); err != nil {
		return err
	}
	verifier, challenge := oidc.NewPKCE()
	query, err := p.browse(scope, challenge, "state", "nonce")
	if err != nil {
		return err
	}
	code, err := p.at.ParseAuthorizationResponse(query, "state")
	if err != nil {
		p.asked("POST token", 0)
		return err
	}
	t, err := p.at.ExchangeCode(p.Context(), code, redirectURI, verifier, oidc.TokenRequest{})
	if err != nil {
		return err
	}
	return p.accept(t, oidc.IDTokenCheck{Nonce: p.lastNonce})
}

// accept takes the tokens of a login with a good id_token.
func (p *party) accept(t *oidc.TokenResponse, check oidc.IDTokenCheck) error {
	if err := p.verify(t, check); err != nil {
		return err
	}
	p.accepted, p.kept = t, t.RefreshToken
	return nil
}

func (p *party) verify(t *oidc.TokenResponse, check oidc.IDTokenCheck) (err error) {
	if t.IDToken.IsEmpty() {
		return nil
	}
	subject, err := p.at.VerifyIDToken(p.Context(), t, check)
	p.subject = cmp.Or(p.subject, subject)
	return err
}

// refresh requests a new access token. It keeps a new refresh token, whatever is wrong with the rest.
func (p *party) refresh() error { return p.refreshFor(oidc.TokenRequest{}) }

func (p *party) refreshFor(request oidc.TokenRequest) error {
	p.accepted = nil
	t, err := p.at.Refresh(p.Context(), p.kept, request)
	if t != nil && !t.RefreshToken.IsEmpty() {
		p.kept = t.RefreshToken
	}
	if err != nil {
		return err
	}
	err = p.verify(t, oidc.IDTokenCheck{Subject: p.subject, Refreshed: true})
	if err == nil {
		p.accepted = t
	}
	return err
}

// refreshing is a login at a provider that misbehaves only at the refresh.
func refreshing(by ...string) func(*party) error {
	return func(p *party) error {
		p.rotating()
		if err := p.login(); err != nil {
			p.Fatal(err)
		}
		old := p.kept
		for _, name := range by {
			p.misbehave(name)
		}
		err := p.refresh()
		if err != nil && old.Equal(p.kept) {
			p.Error("the new refresh token is lost")
		}
		return err
	}
}

func (p *party) rotating() { p.idp.Change(func(s *iam.Settings) { s.Rotate = true }) }

// device is the whole device flow. It polls as oidc-gen does, which the agent tells to slow down after a temporary
// failure, too (RFC 8628 section 3.5).
func (p *party) device() error {
	if err := p.discover(); err != nil {
		return err
	}
	d, err := p.at.AuthorizeDevice(p.Context(), fullScope)
	if err != nil {
		return err
	}
	expires, wait := time.Now().Add(seconds(d.ExpiresIn)), seconds(d.Interval)
	for {
		time.Sleep(wait) // the bubble's clock
		if !time.Now().Before(expires) {
			return errors.New("nobody has approved in time")
		}
		t, err := p.at.PollDevice(p.Context(), d.DeviceCode, oidc.TokenRequest{})
		if err == nil {
			return p.accept(t, oidc.IDTokenCheck{})
		}
		refused, _ := errors.AsType[*oidc.Error](err)
		_, passes := oidc.Temporary(err)
		switch {
		case refused != nil && refused.Code == oidc.CodeAuthorizationPending:
		case passes || refused != nil && refused.Code == oidc.CodeSlowDown:
			wait += 5 * time.Second
		default:
			return err
		}
	}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// polling is a device flow with polls at these seconds after its start.
func polling(at ...int) func(*party) error {
	return func(p *party) error {
		err := p.device()
		var start time.Time
		var polls []int
		for _, r := range p.idp.Requests() {
			switch r.Path {
			case "devicecode":
				start = r.Time
			case "token":
				polls = append(polls, int(r.Time.Sub(start)/time.Second))
			}
		}
		if !slices.Equal(polls, at) {
			p.Errorf("polls after %v s, want %v", polls, at)
		}
		return err
	}
}

// register registers the client that the party then uses.
func (p *party) register() (r registered, err error) {
	if err := p.discover(); err != nil {
		return r, err
	}
	raw, err := p.at.Register(p.Context(), oidc.Registration{ClientName: "relying party", Scope: fullScope,
		GrantTypes: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{redirectURI}}, secret.Secret{})
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, err
	}
	p.at.ClientID, p.at.ClientSecret, p.at.AuthMethod = r.ID, secret.FromString(r.Secret), r.AuthMethod
	return r, nil
}

// registered is what oidc-gen uses of a registration response.
type registered struct {
	ID           string   `json:"client_id"`
	Secret       string   `json:"client_secret"`
	AuthMethod   string   `json:"token_endpoint_auth_method"`
	URI          string   `json:"registration_client_uri"`
	Token        string   `json:"registration_access_token"`
	RedirectURIs []string `json:"redirect_uris"`
}

func (p *party) registerAndLogin() error {
	if _, err := p.register(); err != nil {
		return err
	}
	return p.login()
}

// last returns the last request to a path.
func (p *party) last(path string) iam.Request {
	p.Helper()
	for _, r := range slices.Backward(p.idp.Requests()) {
		if r.Path == path {
			return r
		}
	}
	p.Fatalf("no request to %s", path)
	return iam.Request{}
}
