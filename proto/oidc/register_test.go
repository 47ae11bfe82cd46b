package oidc

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

func TestRegistrationRequest(t *testing.T) {
	t.Parallel()
	wanted := []string{GrantRefreshToken, GrantDeviceCode, GrantAuthorizationCode}
	for _, c := range []struct {
		name   string
		change func(*Metadata)
		req    Registration
		want   map[string]any
	}{
		{"nothing announced", func(md *Metadata) {}, Registration{ClientName: "oidc-agent:x", GrantTypes: wanted, Scope: "openid"},
			map[string]any{"client_name": "oidc-agent:x", "application_type": "native", "scope": "openid",
				"grant_types": []any{GrantRefreshToken, GrantDeviceCode, GrantAuthorizationCode}, "response_types": []any{"code"}}},
		{"device only", func(md *Metadata) { md.GrantTypesSupported = []string{GrantRefreshToken, GrantDeviceCode} },
			Registration{GrantTypes: []string{GrantRefreshToken, GrantDeviceCode}},
			map[string]any{"application_type": "native", "grant_types": []any{GrantRefreshToken, GrantDeviceCode}, "response_types": []any{}}},
		{"device announced by its endpoint", func(md *Metadata) { md.GrantTypesSupported = []string{GrantAuthorizationCode} },
			Registration{GrantTypes: wanted},
			map[string]any{"application_type": "native", "grant_types": []any{GrantDeviceCode, GrantAuthorizationCode}, "response_types": []any{"code"}}},
		{"no device", func(md *Metadata) {
			md.GrantTypesSupported, md.DeviceAuthorizationEndpoint = []string{GrantAuthorizationCode, GrantRefreshToken}, ""
		}, Registration{GrantTypes: wanted},
			map[string]any{"application_type": "native", "grant_types": []any{GrantRefreshToken, GrantAuthorizationCode}, "response_types": []any{"code"}}},
		{"only post", func(md *Metadata) {
			md.TokenEndpointAuthMethodsSupported = []string{"none", "private_key_jwt", "client_secret_post"}
		},
			Registration{RedirectURIs: []string{"http://localhost:4242"}},
			map[string]any{"application_type": "native", "response_types": []any{}, "token_endpoint_auth_method": "client_secret_post",
				"redirect_uris": []any{"http://localhost:4242"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := testMetadata()
			c.change(md)
			var got map[string]any
			client := handled(t, func(w http.ResponseWriter, req *http.Request) {
				if err := json.NewDecoder(req.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				if req.Header.Get("Content-Type") != "application/json" || req.Header.Get("Authorization") != "Bearer initial" {
					t.Errorf("header %v", req.Header)
				}
				w.WriteHeader(201)
				w.Write([]byte(`{"client_id":"x"}`))
			})
			if _, err := at(client, md).Register(t.Context(), c.req, secret.FromString("initial")); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("sent %v, want %v", got, c.want)
			}
		})
	}
}

func TestRegistrationResponse(t *testing.T) {
	t.Parallel()
	body := `{"client_id":"id","client_secret":"se\"c","client_secret_expires_at":4102444800,"registration_access_token":"rat",` +
		`"registration_client_uri":"https://op.example/register/id","token_endpoint_auth_method":"client_secret_post",` +
		`"grant_types":["refresh_token"],"scope":"openid","redirect_uris":["http://localhost:1"],"created_at":1,"active":true}`
	client, rec := recording(t, 201, body)
	got, err := at(client, testMetadata()).Register(t.Context(), Registration{}, secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if _, sent := rec.header["Authorization"]; sent {
		t.Error("an Authorization header without a token")
	}
	if string(got) != body {
		t.Errorf("%s", got)
	}
}

func TestRegistrationAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		status      int
		contentType string
		body, want  string
	}{
		{"public client, 200", 200, "application/json", `{"client_id":"id","client_secret_expires_at":0}`, ""},
		{"no id", 201, "application/json", `{"client_secret":"s"}`, `"client_id" is missing`},
		{"id a number", 201, "application/json", `{"client_id":7}`, `"client_id" is a number`},
		{"secret a number", 201, "application/json", `{"client_id":"a","client_secret":7}`, `"client_secret" is a number`},
		{"refused", 400, "application/json", `{"error":"invalid_redirect_uri","error_description":"no"}`, "invalid_redirect_uri: no"},
		{"IAM refuses", 400, "application/json", `{"error":"Grant type not allowed: password"}`, "Grant type not allowed: password"},
		{"closed", 403, "text/plain", "You do not have enough privileges", "HTTP status 403 (text/plain), JSON expected: You do not have enough privileges"},
		{"not there", 404, "text/html", "<html>", "HTTP status 404 (text/html), JSON expected"},
		{"login page", 200, "text/html", "<html>", "HTTP status 200 (text/html), JSON expected"},
		{"initial token repeated", 401, "application/json", `{"error":"invalid_token","error_description":"not initial-token"}`, "invalid_token: not [...]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := at(answering(t, c.status, c.contentType, c.body), testMetadata())
			got, err := p.Register(t.Context(), Registration{}, secret.FromString("initial-token"))
			wantText(t, err, c.want)
			if (got == nil) != (err != nil) {
				t.Errorf("%s beside %v", got, err)
			}
		})
	}
	client, _ := recording(t, 201, "")
	_, err := at(client, &Metadata{}).Register(t.Context(), Registration{}, secret.Secret{})
	var missing NoEndpointError
	if !errors.As(err, &missing) || missing != "registration_endpoint" {
		t.Errorf("%v", err)
	}
}

func TestDeleteRegistration(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{204: "", 200: "", 404: "HTTP status 404", 401: "HTTP status 401"} {
		client, rec := recording(t, status, "")
		err := client.DeleteRegistration(t.Context(), "https://op.example/register/id", secret.FromString("rat"))
		wantText(t, err, want)
		if rec.method != "DELETE" || rec.url != "https://op.example/register/id" || rec.header.Get("Authorization") != "Bearer rat" || rec.body != "" {
			t.Errorf("%+v", rec)
		}
	}
	client, _ := recording(t, 204, "")
	err := client.DeleteRegistration(t.Context(), "http://op.example/register/id", secret.FromString("rat"))
	if err == nil || strings.Contains(err.Error(), "rat ") {
		t.Errorf("a token was sent over http: %v", err)
	}
}
