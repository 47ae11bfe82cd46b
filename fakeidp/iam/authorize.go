package iam

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authorizationRequest is a request at the authorization endpoint (RFC 6749 section 4.1.1, Core section 3.1.2.1).
type authorizationRequest struct {
	query       url.Values
	client      *client
	redirectURI string
	scope       []string
	prompt      []string
}

// authorizationCode is what the client exchanges for tokens (RFC 6749 section 4.1.2).
type authorizationCode struct {
	request *authorizationRequest
	grant   *grant
	expires time.Time
	used    bool
}

type consentKey struct{ username, clientID string }

// authorizationRequest checks a request. An error goes back to the client, but one without a request is shown to the
// user: the server does not know the client or the redirect URI then (RFC 6749 section 4.1.2.1).
func (s *Server) authorizationRequest(q url.Values) (*authorizationRequest, error) {
	c := s.clients[q.Get("client_id")]
	if c == nil || !isTrue(c.Active) {
		return nil, badRequest("Unknown client", "No client %q is registered.", q.Get("client_id"))
	}
	a := &authorizationRequest{query: q, client: c, redirectURI: q.Get("redirect_uri"), prompt: strings.Fields(q.Get("prompt"))}
	if !q.Has("redirect_uri") && len(c.RedirectURIs) == 1 {
		a.redirectURI = c.RedirectURIs[0]
	}
	// By string equality, as at IAM. RFC 8252 section 7.3 would allow any port on loopback.
	if !slices.Contains(c.RedirectURIs, a.redirectURI) {
		return nil, badRequest("Invalid redirect URI",
			"Invalid redirect: %s does not match one of the registered values.", a.redirectURI)
	}
	_, badAge := a.maxAge()
	err := single(q)
	switch {
	case err != nil:
		return a, err
	case q.Has("request"):
		return a, badRequest("request_not_supported", "Request objects are not supported")
	case q.Has("request_uri"):
		return a, badRequest("request_uri_not_supported", "Request objects are not supported")
	case q.Get("response_type") != "code":
		return a, badRequest("unsupported_response_type", "Unsupported response type: %s", q.Get("response_type"))
	case !slices.Contains([]string{"", "query"}, q.Get("response_mode")):
		return a, badRequest("invalid_request", "Unsupported response mode: %s", q.Get("response_mode"))
	case !c.has(grantAuthorizationCode):
		return a, badRequest("unauthorized_client", "Unauthorized grant type: %s", grantAuthorizationCode)
	case slices.Contains(a.prompt, "none") && len(a.prompt) > 1:
		return a, badRequest("invalid_request", "prompt: none cannot be combined with other values") // Core section 3.1.2.1
	case badAge != nil:
		return a, badRequest("invalid_request", "max_age must be a number of seconds")
	}
	if a.scope, err = clientScope(c, q); err != nil {
		return a, err
	}
	return a, a.checkChallenge()
}

// maxAge returns how old a login may be; negative: any age.
func (a *authorizationRequest) maxAge() (time.Duration, error) {
	if !a.query.Has("max_age") {
		return cmp.Or(time.Duration(a.client.DefaultMaxAge)*time.Second, -1), nil
	}
	n, err := strconv.ParseUint(a.query.Get("max_age"), 10, 31)
	return time.Duration(n) * time.Second, err
}

// challenge returns the code challenge and its method, by default plain (RFC 7636 section 4.3).
func (a *authorizationRequest) challenge() (challenge, method string) {
	return a.query.Get("code_challenge"), cmp.Or(a.query.Get("code_challenge_method"), "plain")
}

// checkChallenge requires PKCE of clients without a secret (RFC 9700 section 2.1.1).
func (a *authorizationRequest) checkChallenge() error {
	challenge, method := a.challenge()
	demanded := strings.TrimPrefix(a.client.CodeChallengeMethod, "none")
	switch {
	case challenge == "" && (demanded != "" || a.client.TokenEndpointAuthMethod == authNone):
		return badRequest("invalid_request", "code_challenge required")
	case challenge == "":
		return nil
	case method != "plain" && method != "S256":
		return badRequest("invalid_request", "transform algorithm not supported")
	case demanded != "" && method != demanded:
		return badRequest("invalid_request", "code_challenge_method: the client registered %s", demanded)
	case !validVerifier(challenge):
		return badRequest("invalid_request", "code_challenge must be 43 to 128 unreserved characters")
	}
	return nil
}

// validVerifier checks the syntax of a verifier, which is that of a challenge too (RFC 7636 sections 4.1, 4.2).
func validVerifier(v string) bool {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	return len(v) >= 43 && len(v) <= 128 && strings.Trim(v, unreserved) == ""
}

// back redirects the browser to the client, with state and iss (RFC 9207 section 2).
func (s *Server) back(w http.ResponseWriter, r *http.Request, a *authorizationRequest, answer url.Values) error {
	if state := a.query.Get("state"); state != "" {
		answer.Set("state", state)
	}
	answer.Set("iss", s.cfg.Issuer)
	separator := "?"
	if strings.Contains(a.redirectURI, "?") {
		separator = "&" // the URI's own query is kept (RFC 6749 section 3.1.2)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, a.redirectURI+separator+answer.Encode(), http.StatusSeeOther)
	return nil
}

func (s *Server) backWithError(w http.ResponseWriter, r *http.Request, a *authorizationRequest, err error) error {
	if a == nil {
		return err
	}
	p := asProtocolError(err)
	return s.back(w, r, a, url.Values{"error": {p.Code}, "error_description": {p.Description}})
}

// authorizePage is GET /authorize: login, consent, and back to the client.
func (s *Server) authorizePage(w http.ResponseWriter, r *http.Request, t session) error {
	q := r.URL.Query()
	a, err := s.authorizationRequest(q)
	if err != nil {
		return s.backWithError(w, r, a, err)
	}
	if s.settings.AutoApprove {
		t.user, t.authTime = s.fallback, s.now()
		return s.giveCode(w, r, a, t)
	}
	silent := slices.Contains(a.prompt, "none")
	maxAge, _ := a.maxAge()
	late := maxAge >= 0 && s.now().Sub(t.authTime) > maxAge
	switch mustLogin := t.user == nil || late || slices.Contains(a.prompt, "login"); {
	case mustLogin && silent:
		return s.backWithError(w, r, a, badRequest("login_required", "The user is not signed in"))
	case mustLogin:
		// The login that follows satisfies prompt=login: remove it, or the user would have to log in again.
		q.Set("prompt", strings.Join(slices.DeleteFunc(a.prompt, func(p string) bool { return p == "login" }), " "))
		return s.toLogin(w, r, q.Encode())
	case s.consented(a, t.user):
		return s.giveCode(w, r, a, t)
	case silent:
		return s.backWithError(w, r, a, badRequest("consent_required", "The user has not approved this client"))
	}
	return s.render(w, http.StatusOK, "consent", t, map[string]any{
		"Client": a.client.ClientName, "Scopes": a.scope, "Request": r.URL.RawQuery, "RedirectURI": a.redirectURI,
	})
}

// consented reports whether a remembered decision of the user covers this request.
func (s *Server) consented(a *authorizationRequest, u *User) bool {
	remembered := s.consents[consentKey{u.Username, a.client.ClientID}]
	return len(remembered) > 0 && firstOutside(remembered, a.scope) == "" && !slices.Contains(a.prompt, "consent")
}

// authorizeDecision handles the form of the consent page. The form repeats the request, which is checked again.
func (s *Server) authorizeDecision(w http.ResponseWriter, r *http.Request, t session) error {
	f := r.PostForm
	q, err := url.ParseQuery(f.Get("request"))
	if err != nil {
		return badRequest("invalid_request", "request: %v", err)
	}
	a, err := s.authorizationRequest(q)
	if err != nil {
		return s.backWithError(w, r, a, err)
	}
	if f.Get("user_oauth_approval") != "true" {
		return s.backWithError(w, r, a, badRequest("access_denied", "User denied access"))
	}
	if f.Get("remember") == "true" {
		s.consents[consentKey{t.user.Username, a.client.ClientID}] = a.scope
	}
	return s.giveCode(w, r, a, t)
}

func (s *Server) giveCode(w http.ResponseWriter, r *http.Request, a *authorizationRequest, t session) error {
	code := rand.Text()
	s.codes[code] = &authorizationCode{
		request: a,
		grant: &grant{
			clientID: a.client.ClientID, user: t.user, sub: t.user.Sub, scope: a.scope, audience: audience(a.query, nil),
			nonce: a.query.Get("nonce"), authTime: t.authTime,
		},
		expires: s.now().Add(s.settings.AuthorizationCodeLifetime),
	}
	return s.back(w, r, a, url.Values{"code": {code}})
}

// grantCode exchanges a code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
func (s *Server) grantCode(c *client, f url.Values) (*issue, error) {
	text := f.Get("code")
	code := s.codes[text]
	switch {
	case text == "":
		return nil, badRequest("invalid_request", "An authorization code must be supplied.")
	case code == nil || code.grant.clientID != c.ClientID:
		return nil, badRequest("invalid_grant", "Invalid authorization code: %s", text)
	case code.used:
		code.grant.dead = true // RFC 6749 section 4.1.2
		return nil, badRequest("invalid_grant", "Invalid authorization code: %s", text)
	case !s.now().Before(code.expires):
		return nil, badRequest("invalid_grant", "Authorization code has expired: %s", text)
	}
	code.used = true // whatever happens next: there is one attempt, as at IAM
	a := code.request
	if uri := f.Get("redirect_uri"); uri != a.redirectURI && (a.query.Has("redirect_uri") || uri != "") {
		return nil, badRequest("invalid_grant", "Redirect URI mismatch.")
	}
	if err := a.verify(f.Get("code_verifier")); err != nil {
		return nil, err
	}
	return s.firstIssue(c, code.grant, f)
}

// verify compares the verifier with the challenge. A verifier without a challenge is refused: an attacker may have
// removed the challenge from the request (RFC 9700 section 4.8.2).
func (a *authorizationRequest) verify(verifier string) error {
	challenge, method := a.challenge()
	transformed := verifier
	if method == "S256" {
		digest := sha256.Sum256([]byte(verifier))
		transformed = b64(digest[:])
	}
	switch {
	case challenge == "" && verifier == "":
		return nil
	case challenge == "":
		return badRequest("invalid_grant", "A code verifier was sent without an earlier code challenge")
	case !validVerifier(verifier) || !sameText(transformed, challenge):
		return badRequest("invalid_grant", "Code challenge and verifier do not match")
	}
	return nil
}
