package iam

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// deviceCode is a pending device authorization (RFC 8628).
type deviceCode struct {
	userCode string
	grant    *grant // its user is the one who approved it; nil: not approved yet
	expires  time.Time
	denied   bool
	lastPoll time.Time
	interval time.Duration // increased by each slow_down
}

// deviceAuthorization is POST /devicecode (RFC 8628 sections 3.1 and 3.2). The client authenticates as at /token. As at
// IAM it must send client_id in the body too, an error about that has no body, and the response has an interval only
// if the settings do.
func (s *Server) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	id := f.Get("client_id")
	if id == "" {
		return &protocolError{Status: http.StatusBadRequest}
	}
	if s.clients[id] == nil {
		return &protocolError{Status: http.StatusNotFound}
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	if !c.has(grantDeviceCode) {
		return unauthorized("invalid_client", "Unauthorized grant type: %s", grantDeviceCode)
	}
	scope, err := narrow(c.scopes(), f, func(string) string {
		return fmt.Sprintf("One or more requested scope is not allowed for client '%s'", id)
	})
	if err != nil {
		return err
	}
	life := seconds(c.DeviceCodeValiditySeconds, s.settings.DeviceCodeLifetime)
	g := &grant{clientID: id, scope: scope, audience: audience(f, nil)}
	d := &deviceCode{grant: g, expires: s.now().Add(life), interval: s.settings.DeviceInterval}
	d.userCode = rand.Text()[:6] // as long as IAM's; rand.Text uses no 0 and 1, which look like letters
	code := newUUID()
	s.devices[code] = d
	if s.settings.AutoApprove {
		s.decide(d.userCode, s.fallback)
	}
	uri := s.cfg.Issuer + "device"
	answer := map[string]any{
		"device_code": code, "user_code": d.userCode, "verification_uri": uri,
		"verification_uri_complete": uri + "?user_code=" + d.userCode, "expires_in": int64(life / time.Second),
	}
	if d.interval > 0 {
		answer["interval"] = int64(d.interval / time.Second)
	}
	return writeJSON(w, http.StatusOK, answer)
}

// pending returns the pending device code for a user code. Its errors are for the user.
func (s *Server) pending(userCode string) (*deviceCode, error) {
	var d *deviceCode
	for _, one := range s.devices {
		if one.userCode == strings.ToUpper(strings.TrimSpace(userCode)) {
			d = one
		}
	}
	switch {
	case d == nil || s.clients[d.grant.clientID] == nil:
		return nil, fmt.Errorf("there is no code %q", userCode)
	case !s.now().Before(d.expires):
		return nil, fmt.Errorf("the code %q has expired", userCode)
	case d.grant.user != nil:
		return nil, fmt.Errorf("the code %q has already been approved", userCode)
	case d.denied:
		return nil, fmt.Errorf("the code %q has already been denied", userCode)
	}
	return d, nil
}

// decide approves a device code for the user u, or denies it if u is nil.
func (s *Server) decide(userCode string, u *User) error {
	d, err := s.pending(userCode)
	if err != nil {
		return err
	}
	d.denied = u == nil
	if u != nil {
		d.grant.user, d.grant.sub, d.grant.authTime = u, u.Sub, s.now()
	}
	return nil
}

// Approve approves a user code as the default user.
func (s *Server) Approve(userCode string) error { return s.ApproveAs(userCode, "") }

// ApproveAs approves a user code as the named user; "" is the default user.
func (s *Server) ApproveAs(userCode, username string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.fallback
	if username != "" {
		u = s.users[username]
	}
	if u == nil {
		return fmt.Errorf("there is no user %q", username)
	}
	return s.decide(userCode, u)
}

// Deny denies a user code. The client gets access_denied, unless [Settings].SilentDenial is set.
func (s *Server) Deny(userCode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decide(userCode, nil)
}

// UserCodes returns the pending user codes.
func (s *Server) UserCodes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	codes := []string{}
	for _, d := range s.devices {
		if _, err := s.pending(d.userCode); err == nil {
			codes = append(codes, d.userCode)
		}
	}
	return codes
}

// grantDevice handles a poll (RFC 8628 section 3.4). A code gives tokens once.
func (s *Server) grantDevice(c *client, f url.Values) (*issue, error) {
	code := f.Get("device_code")
	d, now := s.devices[code], s.now()
	switch {
	case code == "":
		return nil, badRequest("invalid_request", "Missing device_code")
	case d == nil || d.grant.clientID != c.ClientID:
		return nil, badRequest("invalid_grant", "Invalid device code: %s", code)
	case !now.Before(d.expires):
		return nil, badRequest("expired_token", "Device code has expired: %s", code)
	case d.denied && !s.settings.SilentDenial:
		return nil, badRequest("access_denied", "The user denied the request")
	}
	early := d.interval > 0 && !d.lastPoll.IsZero() && now.Sub(d.lastPoll) < d.interval
	d.lastPoll = now
	if early {
		d.interval += 5 * time.Second // RFC 8628 section 3.5
		return nil, badRequest("slow_down", "Polled too soon for code: %s", code)
	}
	if d.grant.user == nil {
		return nil, badRequest("authorization_pending", "Authorization pending for code: %s", code)
	}
	delete(s.devices, code)
	return s.firstIssue(c, d.grant, f)
}

// devicePage asks for a user code. The complete verification URI fills it in, but the user must still confirm it (RFC
// 8628 section 3.3.1).
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "device", t, map[string]any{"UserCode": r.URL.Query().Get("user_code")})
}

// askAgain shows the page for a user code again, with an error.
func (s *Server) askAgain(w http.ResponseWriter, t session, userCode string, err error) error {
	data := map[string]any{"UserCode": userCode, "Problem": "Cannot continue: " + err.Error() + "."}
	return s.render(w, http.StatusBadRequest, "device", t, data)
}

// deviceVerify shows the request behind a user code.
func (s *Server) deviceVerify(w http.ResponseWriter, r *http.Request, t session) error {
	userCode := r.PostForm.Get("user_code")
	d, err := s.pending(userCode)
	if err != nil {
		return s.askAgain(w, t, userCode, err)
	}
	return s.render(w, http.StatusOK, "approve", t, map[string]any{
		"UserCode": d.userCode, "Client": s.clients[d.grant.clientID].ClientName, "Scopes": d.grant.scope,
	})
}

// deviceApprove completes a device authorization: user_oauth_approval is true or false.
func (s *Server) deviceApprove(w http.ResponseWriter, r *http.Request, t session) error {
	f := r.PostForm
	u, ok := map[string]*User{"true": t.user, "false": nil}[f.Get("user_oauth_approval")]
	if !ok {
		return badRequest("invalid_request", "user_oauth_approval must be true or false")
	}
	if err := s.decide(f.Get("user_code"), u); err != nil {
		return s.askAgain(w, t, f.Get("user_code"), err)
	}
	return s.render(w, http.StatusOK, "done", t, map[string]any{"Approved": u != nil})
}
