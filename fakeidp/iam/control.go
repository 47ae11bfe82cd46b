package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// controlRoutes adds the control API: what a Go test does with methods, by HTTP. Posts are JSON, and must
// say so: a page in somebody's browser cannot.
func (s *Server) controlRoutes(m *http.ServeMux) {
	for pattern, h := range map[string]api{
		"POST /_fake/approve":    s.controlDecide(s.ApproveAs),
		"POST /_fake/deny":       s.controlDecide(func(code, _ string) error { return s.Deny(code) }),
		"GET /_fake/codes":       s.controlGet(func() any { return map[string]any{"user_codes": append([]string{}, s.UserCodes()...)} }),
		"POST /_fake/clock":      s.controlClock,
		"GET /_fake/settings":    s.controlGet(s.readSettings),
		"POST /_fake/settings":   s.controlSettings,
		"POST /_fake/revoke":     s.controlRevoke,
		"POST /_fake/suspend":    s.controlSuspend,
		"POST /_fake/rotate-key": s.controlRotateKey,
		"POST /_fake/faults":     s.controlFault,
		"DELETE /_fake/faults":   s.controlDelete(s.ClearFaults),
		"GET /_fake/switches":    s.controlGet(func() any { return s.Switches() }),
		"POST /_fake/switch":     s.controlSwitch,
		"GET /_fake/requests":    s.controlGet(func() any { return s.Requests() }),
		"DELETE /_fake/requests": s.controlDelete(s.ForgetRequests),
		"GET /_fake/counters":    s.controlGet(func() any { return s.Counters() }),
	} {
		m.Handle(pattern, h)
	}
}

func badControl(err error) error { return refuse(http.StatusBadRequest, "bad_request", "%v", err) }

func controlBody(r *http.Request, to any) error {
	if mediaType(r) != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "bad_request", "Content-Type: application/json is wanted")
	}
	if err := decodeStrictly(r.Body, to); err != nil && !errors.Is(err, io.EOF) {
		return badControl(err)
	}
	return nil
}

func (s *Server) controlGet(get func() any) api {
	return func(w http.ResponseWriter, r *http.Request) error { return writeJSON(w, http.StatusOK, get()) }
}

func (s *Server) controlDelete(act func()) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		act()
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// controlDecide takes {"user_code": ..., "username": ...}. Without a code it means the only one that waits.
func (s *Server) controlDecide(decide func(code, username string) error) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		var b struct {
			UserCode string `json:"user_code"`
			Username string `json:"username"`
		}
		if err := controlBody(r, &b); err != nil {
			return err
		}
		if waiting := s.UserCodes(); b.UserCode == "" && len(waiting) == 1 {
			b.UserCode = waiting[0]
		}
		if err := decide(b.UserCode, b.Username); err != nil {
			return badControl(err)
		}
		return writeJSON(w, http.StatusOK, map[string]any{"user_code": b.UserCode})
	}
}

// controlClock takes {"move": "25m"} and answers the time.
func (s *Server) controlClock(w http.ResponseWriter, r *http.Request) error {
	var b struct{ Move string }
	if err := controlBody(r, &b); err != nil {
		return err
	}
	d, err := time.ParseDuration(orDefault(b.Move, "0s"))
	if err != nil {
		return badControl(err)
	}
	s.MoveClock(d)
	return writeJSON(w, http.StatusOK, map[string]any{"now": s.Now()})
}

// names are the settings by name: durations, and switches.
func (t *Settings) names() (map[string]*time.Duration, map[string]*bool) {
	return map[string]*time.Duration{
			"access_token_lifetime":       &t.AccessTokenLifetime,
			"refresh_token_lifetime":      &t.RefreshTokenLifetime,
			"id_token_lifetime":           &t.IDTokenLifetime,
			"device_code_lifetime":        &t.DeviceCodeLifetime,
			"authorization_code_lifetime": &t.AuthorizationCodeLifetime,
			"device_interval":             &t.DeviceInterval,
		}, map[string]*bool{
			"rotate":                     &t.Rotate,
			"auto_approve":               &t.AutoApprove,
			"silent_denial":              &t.SilentDenial,
			"strict_auth_method":         &t.StrictAuthMethod,
			"rotate_registration_tokens": &t.RotateRegistrationTokens,
			"conformance":                &t.Conformance,
		}
}

func (s *Server) readSettings() any {
	s.mu.Lock()
	t := s.settings
	s.mu.Unlock()
	durations, switches := t.names()
	all := map[string]any{}
	for name, d := range durations {
		all[name] = d.String()
	}
	for name, b := range switches {
		all[name] = *b
	}
	return all
}

// controlSettings takes some of the settings, durations as "20m", and answers all.
func (s *Server) controlSettings(w http.ResponseWriter, r *http.Request) error {
	var b map[string]any
	if err := controlBody(r, &b); err != nil {
		return err
	}
	var err error
	s.Change(func(t *Settings) { err = t.assign(b) })
	if err != nil {
		return badControl(err)
	}
	return writeJSON(w, http.StatusOK, s.readSettings())
}

// assign sets all of the values, or none.
func (t *Settings) assign(values map[string]any) error {
	changed := *t
	durations, switches := changed.names()
	for name, v := range values {
		text, isText := v.(string)
		b, isBool := v.(bool)
		switch {
		case durations[name] != nil && isText:
			d, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			*durations[name] = d
		case switches[name] != nil && isBool:
			*switches[name] = b
		default:
			return fmt.Errorf("there is no setting %s with the value %v", name, v)
		}
	}
	*t = changed
	return nil
}

func (s *Server) controlRevoke(w http.ResponseWriter, r *http.Request) error {
	var b struct{ Token string }
	if err := controlBody(r, &b); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"known": s.Revoke(strings.TrimSpace(b.Token))})
}

// controlSuspend takes {"username": ..., "client_id": ..., "suspended": true}, of the two one or both.
func (s *Server) controlSuspend(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Username  string `json:"username"`
		ClientID  string `json:"client_id"`
		Suspended bool   `json:"suspended"`
	}
	if err := controlBody(r, &b); err != nil {
		return err
	}
	var err error
	if b.Username != "" {
		err = s.SuspendUser(b.Username, b.Suspended)
	}
	if b.ClientID != "" && err == nil {
		err = s.SuspendClient(b.ClientID, b.Suspended)
	}
	if err != nil {
		return badControl(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) controlRotateKey(w http.ResponseWriter, r *http.Request) error {
	if err := controlBody(r, &struct{}{}); err != nil {
		return err
	}
	if err := s.RotateSigningKey(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// decodeStrictly reads JSON without members that nobody knows; numbers keep their form.
func decodeStrictly(r io.Reader, to any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	d.UseNumber()
	return d.Decode(to)
}

// duration is written "2s" in JSON.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// faultJSON is a [Fault] as JSON has it. Its body may be an object as well as a text.
type faultJSON struct {
	Fault
	Delay duration        `json:"delay"`
	Body  json.RawMessage `json:"body"`
}

func (f faultJSON) fault() Fault {
	f.Fault.Delay = time.Duration(f.Delay)
	if json.Unmarshal(f.Body, &f.Fault.Body) != nil {
		f.Fault.Body = string(f.Body)
	}
	return f.Fault
}

// controlFault takes a [Fault].
func (s *Server) controlFault(w http.ResponseWriter, r *http.Request) error {
	var b faultJSON
	if err := controlBody(r, &b); err != nil {
		return err
	}
	f := b.fault()
	if err := f.check(); err != nil {
		return badControl(err)
	}
	s.Fail(f)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// controlSwitch takes {"name": "invalid-iss"}: one of those that GET /_fake/switches lists.
func (s *Server) controlSwitch(w http.ResponseWriter, r *http.Request) error {
	var b struct{ Name string }
	if err := controlBody(r, &b); err != nil {
		return err
	}
	if err := s.Switch(b.Name); err != nil {
		return badControl(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
