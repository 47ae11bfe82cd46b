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

// controlRoutes adds the control API, which gives the methods of Server to programs that are not in Go.
func (s *Server) controlRoutes(m *http.ServeMux) {
	for pattern, h := range map[string]api{
		"POST /_fake/approve": control(func(d decision) (any, error) { return s.decideNamed(d, s.ApproveAs) }),
		"POST /_fake/deny": control(func(d decision) (any, error) {
			return s.decideNamed(d, func(userCode, _ string) error { return s.Deny(userCode) })
		}),
		"GET /_fake/codes": show(func() any { return map[string]any{"user_codes": s.UserCodes()} }),
		"POST /_fake/clock": control(func(b struct{ Move duration }) (any, error) {
			s.MoveClock(time.Duration(b.Move))
			return map[string]any{"now": s.Now()}, nil
		}),
		"GET /_fake/settings":  show(s.shownSettings),
		"POST /_fake/settings": control(s.controlSettings),
		"POST /_fake/revoke": control(func(b struct{ Token string }) (any, error) {
			return map[string]any{"known": s.Revoke(strings.TrimSpace(b.Token))}, nil
		}),
		"POST /_fake/suspend": control(func(b struct {
			Username  string
			ClientID  string `json:"client_id"`
			Suspended bool
		}) (any, error) {
			return nil, s.Suspend(b.Username, b.ClientID, b.Suspended)
		}),
		"POST /_fake/rotate-key": act(s.RotateSigningKey),
		"POST /_fake/faults":     control(func(b faultJSON) (any, error) { return nil, s.Fail(b.fault()) }),
		"DELETE /_fake/faults":   act(s.ClearFaults),
		"GET /_fake/switches":    show(func() any { return s.Switches() }),
		"POST /_fake/switch":     control(func(b struct{ Name string }) (any, error) { return nil, s.Switch(b.Name) }),
		"GET /_fake/requests":    show(func() any { return s.Requests() }),
		"DELETE /_fake/requests": act(s.ForgetRequests),
		"GET /_fake/counters":    show(func() any { return s.Counters() }),
	} {
		m.Handle(pattern, h)
	}
}

// control makes an endpoint of do, which takes a JSON body, if there is one, and returns the answer or nil. A POST
// must have the media type of JSON: a foreign page in a browser cannot send that.
func control[B any](do func(B) (any, error)) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method == http.MethodPost && mediaType(r) != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "bad_request", "Content-Type must be application/json")
		}
		var body B
		err := decodeStrictly(r.Body, &body)
		var answer any
		if err == nil || errors.Is(err, io.EOF) {
			answer, err = do(body)
		}
		switch {
		case err != nil:
			return badRequest("bad_request", "%v", err)
		case answer == nil:
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}

// show makes an endpoint of a function without input.
func show(what func() any) api { return control(func(struct{}) (any, error) { return what(), nil }) }

// act makes an endpoint of a function without input and output.
func act(what func()) api { return show(func() any { what(); return nil }) }

// decodeStrictly decodes JSON and refuses unknown members. Numbers keep their form.
func decodeStrictly(r io.Reader, to any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	d.UseNumber()
	return d.Decode(to)
}

// duration is a time.Duration that is "20m" in JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// decision is about a user code; by default the only one that is pending.
type decision struct {
	UserCode string `json:"user_code"`
	Username string `json:"username"`
}

func (s *Server) decideNamed(d decision, decide func(userCode, username string) error) (any, error) {
	if waiting := s.UserCodes(); d.UserCode == "" && len(waiting) == 1 {
		d.UserCode = waiting[0]
	}
	return map[string]any{"user_code": d.UserCode}, decide(d.UserCode, d.Username)
}

// byName returns pointers to the settings by their names in JSON.
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
	var shown Settings
	s.Change(func(t *Settings) { shown = *t })
	return shown.byName()
}

// controlSettings changes some settings, or none if one value is wrong, and returns all.
func (s *Server) controlSettings(values map[string]json.RawMessage) (_ any, err error) {
	s.Change(func(t *Settings) {
		changed := *t
		named := changed.byName()
		for name, value := range values {
			if bad := json.Unmarshal(value, named[name]); bad != nil {
				err = fmt.Errorf("setting %q cannot be %s", name, value)
			}
		}
		if err == nil {
			*t = changed
		}
	})
	return s.shownSettings(), err
}

// faultJSON is a [Fault] in JSON. Its body is a string or any other JSON value.
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
