package iam

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// deviceCode is a device authorization that waits for its user (RFC 8628).
type deviceCode struct {
	code, userCode string
	clientID       string
	scope          []string
	audience       []string
	expires        time.Time
	user           *User // who approved; nil: nobody yet
	approved       time.Time
	denied         bool
	lastPoll       time.Time
	interval       time.Duration // grows with each slow_down
}

// deviceAuthorization is POST /devicecode (RFC 8628 section 3.1). The client authenticates as at /token;
// IAM wants client_id in the body all the same, and answers without a body when it does not like it.
func (s *Server) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	id := f.Get("client_id")
	if id == "" {
		return &protocolError{Status: http.StatusBadRequest}
	}
	s.mu.Lock()
	known := s.clients[id] != nil
	s.mu.Unlock()
	if !known {
		return &protocolError{Status: http.StatusNotFound}
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	if !c.has(grantDeviceCode) {
		return invalidClient("Unauthorized grant type: %s", grantDeviceCode)
	}
	words, err := parseScope(f.Get("scope"))
	if err != nil {
		return err
	}
	if firstOutside(c.scopes(), words) != "" {
		return invalidScope("One or more requested scope is not allowed for client '%s'", id)
	}
	if len(words) == 0 {
		words = c.scopes()
	}
	return writeJSON(w, http.StatusOK, s.newDeviceCode(c, words, audience(f)))
}

// deviceResponse is RFC 8628 section 3.2, with no interval unless the settings have one: so does IAM.
type deviceResponse struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int64  `json:"expires_in"`         // seconds
	Interval                int64  `json:"interval,omitempty"` // seconds
}

func (s *Server) newDeviceCode(c *client, scope, aud []string) deviceResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowLocked()
	life := seconds(c.DeviceCodeValiditySeconds, s.settings.DeviceCodeLifetime)
	d := &deviceCode{code: newUUID(), userCode: newUserCode(), clientID: c.ClientID, scope: scope, audience: aud,
		expires: now.Add(life), interval: s.settings.DeviceInterval}
	for s.byUserCodeLocked(d.userCode) != nil {
		d.userCode = newUserCode()
	}
	if s.settings.AutoApprove {
		d.user, d.approved = s.fallback, now
	}
	s.devices[d.code] = d
	uri := s.cfg.Issuer + "device"
	return deviceResponse{
		DeviceCode: d.code, UserCode: d.userCode, VerificationURI: uri,
		VerificationURIComplete: uri + "?user_code=" + url.QueryEscape(d.userCode),
		ExpiresIn:               int64(life / time.Second), Interval: int64(d.interval / time.Second),
	}
}

func (s *Server) byUserCodeLocked(userCode string) *deviceCode {
	userCode = strings.ToUpper(strings.TrimSpace(userCode))
	for _, d := range s.devices {
		if d.userCode == userCode {
			return d
		}
	}
	return nil
}

// pendingLocked finds the device code that a user means. The errors are meant for the user.
func (s *Server) pendingLocked(userCode string) (*deviceCode, error) {
	d := s.byUserCodeLocked(userCode)
	switch {
	case d == nil:
		return nil, fmt.Errorf("there is no code %q", userCode)
	case !s.nowLocked().Before(d.expires):
		return nil, fmt.Errorf("the code %q has expired", userCode)
	case d.user != nil:
		return nil, fmt.Errorf("the code %q has already been approved", userCode)
	case d.denied:
		return nil, fmt.Errorf("the code %q has already been denied", userCode)
	}
	return d, nil
}

// decideLocked approves or denies a device code for a user.
func (s *Server) decideLocked(userCode string, u *User, approve bool) error {
	d, err := s.pendingLocked(userCode)
	if err != nil {
		return err
	}
	if approve {
		d.user, d.approved = u, s.nowLocked()
	} else {
		d.denied = true
	}
	return nil
}

// Approve approves a user code, as the default user would on the page.
func (s *Server) Approve(userCode string) error { return s.ApproveAs(userCode, "") }

// ApproveAs approves a user code as the user of this name; "" is the default user.
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
	return s.decideLocked(userCode, u, true)
}

// Deny denies a user code. The client hears access_denied, or nothing with [Settings].SilentDenial.
func (s *Server) Deny(userCode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decideLocked(userCode, nil, false)
}

// UserCodes lists the codes that wait for a decision.
func (s *Server) UserCodes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var codes []string
	for _, d := range s.devices {
		if _, err := s.pendingLocked(d.userCode); err == nil {
			codes = append(codes, d.userCode)
		}
	}
	return codes
}

// grantDeviceLocked is a poll (RFC 8628 section 3.4). A code gives tokens once.
func (s *Server) grantDeviceLocked(c *client, f url.Values) (*issue, error) {
	code := f.Get("device_code")
	d, now := s.devices[code], s.nowLocked()
	switch {
	case code == "":
		return nil, invalidRequest("Missing device_code")
	case d == nil || d.clientID != c.ClientID:
		return nil, invalidGrant("Invalid device code: %s", code)
	case !now.Before(d.expires):
		return nil, refuse(http.StatusBadRequest, "expired_token", "Device code has expired: %s", code)
	case d.denied && !s.settings.SilentDenial:
		return nil, refuse(http.StatusBadRequest, "access_denied", "The user denied the request")
	}
	early := d.interval > 0 && !d.lastPoll.IsZero() && now.Sub(d.lastPoll) < d.interval
	d.lastPoll = now
	if early {
		d.interval += 5 * time.Second // RFC 8628 section 3.5
		return nil, refuse(http.StatusBadRequest, "slow_down", "Polled too soon for code: %s", code)
	}
	if d.user == nil {
		return nil, refuse(http.StatusBadRequest, "authorization_pending", "Authorization pending for code: %s", code)
	}
	delete(s.devices, code)
	g := &grant{clientID: c.ClientID, user: d.user, scope: d.scope, audience: d.audience, authTime: d.approved}
	return s.firstIssueLocked(c, g, audience(f))
}
