package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// An answer replaces the usual JSON of an endpoint.
type answer struct {
	status int
	text   string // JSON if it begins with {
}

// A behaviour says how a provider differs from one that answers everything and
// approves every device code. Its issuer is $FAKE/NAME/.
type behaviour struct {
	issuer  string            // in the metadata, instead of the right one
	without string            // this member is missing in the metadata
	expires int               // lifetime of a device code in seconds, instead of 600
	answers map[string]answer // by endpoint: discovery, register, device, token; "refresh" for that grant
	bearer  string            // with this token, registration gives the usual answer
}

var behaviours = map[string]behaviour{
	"ok":       {},
	"html":     {answers: map[string]answer{"discovery": {200, "<html><body>It works!</body></html>"}}},
	"missing":  {answers: map[string]answer{"discovery": {404, "nothing here"}}},
	"mismatch": {issuer: "https://elsewhere.example.org/"},
	"nodevice": {without: "device_authorization_endpoint"},
	"noreg":    {without: "registration_endpoint"},
	"refused": {answers: map[string]answer{"register": {400,
		`{"error":"invalid_client_metadata","error_description":"Registration is closed. Write to support@example.org"}`}}},
	"closed": {answers: map[string]answer{"register": {403, "Registration is closed. Write to support@example.org"}}},
	"needstoken": {bearer: "initial-token", answers: map[string]answer{"register": {401,
		`{"error":"invalid_token","error_description":"An initial access token is required"}`}}},
	"denied":    {answers: map[string]answer{"token": {400, `{"error":"access_denied","error_description":"The user said no"}`}}},
	"expired":   {answers: map[string]answer{"token": {400, `{"error":"expired_token","error_description":"The device code has expired"}`}}},
	"shortcode": {expires: 2, answers: map[string]answer{"token": {400, `{"error":"authorization_pending"}`}}},
	"away":      {expires: 2, answers: map[string]answer{"token": {503, "back in an hour"}}},
	"pending":   {answers: map[string]answer{"token": {400, `{"error":"authorization_pending"}`}}},
	"revoked": {answers: map[string]answer{"refresh": {401,
		`{"error":"invalid_token","error_description":"Refresh token for value refresh-token-of-fake was not found"}`}}},
	"sick": {answers: map[string]answer{"refresh": {500, "<html><body>database is down</body></html>"}}},
}

func startFake(s *script, _ []string) error {
	server := httptest.NewServer(http.HandlerFunc(fakeProvider))
	s.cleanup = append(s.cleanup, func() error { server.Close(); return nil })
	s.env["FAKE"] = server.URL
	return nil
}

func fakeProvider(w http.ResponseWriter, r *http.Request) {
	name, endpoint, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b, ok := behaviours[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	if strings.HasPrefix(endpoint, ".well-known/") {
		endpoint = "discovery"
	}
	a, ok := b.answers[endpoint]
	if endpoint == "token" && r.FormValue("grant_type") == "refresh_token" {
		a, ok = b.answers["refresh"]
	}
	if b.bearer != "" && r.Header.Get("Authorization") == "Bearer "+b.bearer {
		ok = false
	}
	if ok {
		if strings.HasPrefix(a.text, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.text)
		return
	}
	usual, ok := usualAnswers[endpoint]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if endpoint == "register" {
		w.WriteHeader(http.StatusCreated)
	}
	json.NewEncoder(w).Encode(usual(b, "http://"+r.Host+"/"+name+"/", r))
}

type object map[string]any

var usualAnswers = map[string]func(b behaviour, base string, r *http.Request) object{
	"discovery": func(b behaviour, base string, _ *http.Request) object {
		metadata := object{
			"issuer":                        base,
			"authorization_endpoint":        base + "authorize",
			"token_endpoint":                base + "token",
			"registration_endpoint":         base + "register",
			"device_authorization_endpoint": base + "device",
			"revocation_endpoint":           base + "revoke",
			"jwks_uri":                      base + "jwk",
			"scopes_supported":              []string{"openid", "profile", "offline_access", "storage.read:/"},
			"grant_types_supported": []string{"authorization_code", "refresh_token",
				"urn:ietf:params:oauth:grant-type:device_code"},
			"response_types_supported": []string{"code"},
		}
		delete(metadata, b.without)
		if b.issuer != "" {
			metadata["issuer"] = b.issuer
		}
		return metadata
	},
	"register": func(_ behaviour, base string, r *http.Request) object {
		client := object{}
		json.NewDecoder(r.Body).Decode(&client) // the client gets what it asks for
		client["client_id"] = "client-of-fake"
		client["client_secret"] = "client-secret-of-fake"
		client["registration_client_uri"] = base + "register/client-of-fake"
		client["registration_access_token"] = "registration-token-of-fake"
		return client
	},
	"device": func(b behaviour, base string, _ *http.Request) object {
		lifetime := 600
		if b.expires != 0 {
			lifetime = b.expires
		}
		return object{"device_code": "device-code-of-fake", "user_code": "FAKE-CODE",
			"verification_uri": base + "activate", "expires_in": lifetime, "interval": 1}
	},
	"token": func(_ behaviour, _ string, r *http.Request) object {
		return object{"access_token": "access-token-of-fake", "token_type": "Bearer", "expires_in": 3600,
			"refresh_token": "refresh-token-of-fake", "scope": "openid profile offline_access storage.read:/"}
	},
	"revoke": func(behaviour, string, *http.Request) object { return object{} },
}
