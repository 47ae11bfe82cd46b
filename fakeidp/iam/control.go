package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// controlRoutes adds the control API: what a Go test does with methods, by HTTP.
func (s *Server) controlRoutes(m *http.ServeMux) {
	for pattern, h := range map[string]api{
		"POST /_fake/approve":    control(s.controlApprove),
		"POST /_fake/deny":       control(s.controlDeny),
		"GET /_fake/codes":       show(func() any { return map[string]any{"user_codes": s.UserCodes()} }),
		"POST /_fake/clock":      control(s.controlClock),
		"GET /_fake/settings":    show(s.shownSettings),
		"POST /_fake/settings":   control(s.controlSettings),
		"POST /_fake/revoke":     control(s.controlRevoke),
		"POST /_fake/suspend":    control(s.controlSuspend),
		"POST /_fake/rotate-key": control(s.controlRotateKey),
		"POST /_fake/faults":     control(s.controlFault),
		"DELETE /_fake/faults":   forget(s.ClearFaults),
		"GET /_fake/switches":    show(func() any { return s.Switches() }),
		"POST /_fake/switch":     control(s.controlSwitch),
		"GET /_fake/requests":    show(func() any { return s.Requests() }),
		"DELETE /_fake/requests": forget(s.ForgetRequests),
		"GET /_fake/counters":    show(func() any { return s.Counters() }),
	} {
		m.Handle(pattern, h)
	}
}

// control makes an endpoint of act, which takes the JSON body of a post and returns the answer, or nil. A post must
// say that it is JSON: a page in somebody's browser cannot.
func control[B any](act func(context.Context, B) (any, error)) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		if mediaType(r) != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "bad_request", "Content-Type: application/json is wanted")
		}
		var body B
		if err := decodeStrictly(r.Body, &body); err != nil && !errors.Is(err, io.EOF) {
			return badRequest("bad_request", "%v", err)
		}
		answer, err := act(r.Context(), body)
		if err != nil {
			return badRequest("bad_request", "%v", err)
		}
		return writeAnswer(w, answer)
	}
}

// show makes an endpoint that takes nothing.
func show(what func() any) api {
	return func(w http.ResponseWriter, r *http.Request) error { return writeAnswer(w, what()) }
}

// forget makes an endpoint that answers nothing.
func forget(what func()) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		what()
		return writeAnswer(w, nil)
	}
}

func writeAnswer(w http.ResponseWriter, answer any) error {
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return writeJSON(w, http.StatusOK, answer)
}

// decodeStrictly reads JSON without members that nobody knows; numbers keep their form.
func decodeStrictly(r io.Reader, to any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	d.UseNumber()
	return d.Decode(to)
}

// duration is written "20m" in JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// decision is about a user code; without one the only one that waits is meant.
type decision struct {
	UserCode string `json:"user_code"`
	Username string `json:"username"`
}

func (s *Server) controlApprove(_ context.Context, d decision) (any, error) {
	code := s.meantCode(d)
	return map[string]any{"user_code": code}, s.ApproveAs(code, d.Username)
}

func (s *Server) controlDeny(_ context.Context, d decision) (any, error) {
	code := s.meantCode(d)
	return map[string]any{"user_code": code}, s.Deny(code)
}

func (s *Server) meantCode(d decision) string {
	if waiting := s.UserCodes(); d.UserCode == "" && len(waiting) == 1 {
		return waiting[0]
	}
	return d.UserCode
}

func (s *Server) controlClock(_ context.Context, b struct{ Move duration }) (any, error) {
	s.MoveClock(time.Duration(b.Move))
	return map[string]any{"now": s.Now()}, nil
}

// byName are the settings by their names in JSON.
func (t *Settings) byName() map[string]any {
	return map[string]any{
		"access_token_lifetime":       (*duration)(&t.AccessTokenLifetime),
		"refresh_token_lifetime":      (*duration)(&t.RefreshTokenLifetime),
		"id_token_lifetime":           (*duration)(&t.IDTokenLifetime),
		"device_code_lifetime":        (*duration)(&t.DeviceCodeLifetime),
		"authorization_code_lifetime": (*duration)(&t.AuthorizationCodeLifetime),
		"device_interval":             (*duration)(&t.DeviceInterval),
		"rotate":                      &t.Rotate,
		"auto_approve":                &t.AutoApprove,
		"silent_denial":               &t.SilentDenial,
		"strict_auth_method":          &t.StrictAuthMethod,
		"rotate_registration_tokens":  &t.RotateRegistrationTokens,
		"conformance":                 &t.Conformance,
	}
}

func (s *Server) shownSettings() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := s.settings
	return shown.byName()
}

// controlSettings takes some of the settings, all of them good or none counts, and answers all.
func (s *Server) controlSettings(_ context.Context, values map[string]json.RawMessage) (any, error) {
	var err error
	s.Change(func(t *Settings) {
		changed := *t
		named := changed.byName()
		for name, value := range values {
			setting, ok := named[name]
			if !ok {
				err = fmt.Errorf("there is no setting %q", name)
			} else if bad := json.Unmarshal(value, setting); bad != nil {
				err = fmt.Errorf("%s: %w", name, bad)
			}
		}
		if err == nil {
			*t = changed
		}
	})
	return s.shownSettings(), err
}

func (s *Server) controlRevoke(_ context.Context, b struct{ Token string }) (any, error) {
	return map[string]any{"known": s.Revoke(strings.TrimSpace(b.Token))}, nil
}

func (s *Server) controlRotateKey(ctx context.Context, _ struct{}) (any, error) {
	return nil, s.RotateSigningKey(ctx)
}

func (s *Server) controlSwitch(_ context.Context, b struct{ Name string }) (any, error) {
	return nil, s.Switch(b.Name)
}

// suspension is of a user or a client, or of both.
type suspension struct {
	Username  string `json:"username"`
	ClientID  string `json:"client_id"`
	Suspended bool   `json:"suspended"`
}

func (s *Server) controlSuspend(_ context.Context, b suspension) (_ any, err error) {
	if b.Username != "" {
		err = s.SuspendUser(b.Username, b.Suspended)
	}
	if b.ClientID != "" && err == nil {
		err = s.SuspendClient(b.ClientID, b.Suspended)
	}
	return nil, err
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

func (s *Server) controlFault(_ context.Context, b faultJSON) (any, error) {
	f := b.fault()
	if err := f.check(); err != nil {
		return nil, err
	}
	s.Fail(f)
	return nil, nil
}
