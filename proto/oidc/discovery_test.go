package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// iamDocument is like an INDIGO IAM's, with members that we do not use.
const iamDocument = `{
  "issuer": "https://iam.example/",
  "authorization_endpoint": "https://iam.example/authorize",
  "token_endpoint": "https://iam.example/token",
  "userinfo_endpoint": "https://iam.example/userinfo",
  "jwks_uri": "https://iam.example/jwk",
  "registration_endpoint": "https://iam.example/iam/api/client-registration",
  "introspection_endpoint": "https://iam.example/introspect",
  "revocation_endpoint": "https://iam.example/revoke",
  "device_authorization_endpoint": "https://iam.example/devicecode",
  "scim_endpoint": "https://iam.example/scim",
  "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.iam.example/token"},
  "op_tos_uri": null,
  "scopes_supported": ["openid", "profile", "offline_access", "storage.read:/"],
  "grant_types_supported": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
  "response_types_supported": ["code", "token"],
  "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
  "code_challenge_methods_supported": ["plain", "S256"],
  "id_token_signing_alg_values_supported": ["RS256", "none"],
  "authorization_response_iss_parameter_supported": true,
  "claims_parameter_supported": true
}`

func TestDiscoverIAM(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"https://iam.example", "https://iam.example/"} {
		client, rec := recording(t, 200, iamDocument)
		md, err := client.Discover(t.Context(), issuer, "")
		if err != nil {
			t.Fatal(err)
		}
		if want := "https://iam.example/.well-known/openid-configuration"; rec.url != want || md.ConfigurationEndpoint != want {
			t.Errorf("asked %q, ConfigurationEndpoint %q, want %q", rec.url, md.ConfigurationEndpoint, want)
		}
		if md.Issuer != "https://iam.example/" || md.TokenEndpoint != "https://iam.example/token" ||
			md.JWKSURI != "https://iam.example/jwk" || md.RevocationEndpoint != "https://iam.example/revoke" ||
			!slices.Equal(md.ScopesSupported, []string{"openid", "profile", "offline_access", "storage.read:/"}) ||
			!slices.Equal(md.CodeChallengeMethodsSupported, []string{"plain", "S256"}) ||
			len(md.GrantTypesSupported) != 3 || !md.AuthorizationResponseIssParameterSupported {
			t.Errorf("%+v", md)
		}
	}
}

// The locations of the metadata, their order, and what ends the search.
func TestDiscoveryPlaces(t *testing.T) {
	t.Parallel()
	const host = "https://h.example"
	for _, c := range []struct {
		issuer, endpoint string
		places           []string
	}{
		{host, "", []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}},
		{host + "/", "", []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}},
		{host + "/realms/x/", "", []string{
			"/realms/x/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/x", "/realms/x/.well-known/oauth-authorization-server"}},
		{host + "/a%2Fb", "", []string{
			"/a%2Fb/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/a%2Fb", "/a%2Fb/.well-known/oauth-authorization-server"}},
		{host + "/realms/x", host + "/my/document", []string{"/my/document"}},
	} {
		for answerAt := range len(c.places) + 1 {
			var asked []string
			client := handled(t, func(w http.ResponseWriter, req *http.Request) {
				asked = append(asked, req.URL.EscapedPath())
				if len(asked)-1 != answerAt {
					http.NotFound(w, req)
					return
				}
				fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"https://h.example/t"}`, c.issuer)
			})
			md, err := client.Discover(t.Context(), c.issuer, c.endpoint)
			want := c.places[:min(answerAt+1, len(c.places))]
			if !slices.Equal(asked, want) {
				t.Errorf("%s: asked %q, want %q", c.issuer, asked, want)
			}
			if answerAt < len(c.places) {
				if err != nil || md.ConfigurationEndpoint != host+c.places[answerAt] {
					t.Errorf("%s: %+v, %v", c.issuer, md, err)
				}
				continue
			}
			wantText(t, err, "discovery at \""+host+c.places[0]+"\": provider answered with HTTP status 404")
		}
	}
}

// Only a 404 leads to the next location, with or without an OAuth error in the body.
func TestDiscoverySearchEnds(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{500: 1, 403: 1, 200: 1, 404: 2} {
		requests := 0
		_, err := handled(t, func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":"Not Found"}`)
		}).Discover(t.Context(), "https://op.example", "")
		if requests != want || err == nil {
			t.Errorf("%d: %d requests, want %d; %v", status, requests, want, err)
		}
	}
}

func TestDiscoveryRefused(t *testing.T) {
	t.Parallel()
	const issuer = "https://op.example"
	for _, c := range []struct {
		name, issuer, body, want string
	}{
		{"other issuer", issuer, `{"issuer":"https://op.example.evil"}`, `the provider calls itself "https://op.example.evil", not "https://op.example"`},
		{"issuer with a 1", issuer, `{"issuer":"https://op.example1"}`, "calls itself"},
		{"issuer in capitals", issuer, `{"issuer":"https://OP.example"}`, "calls itself"},
		{"issuer with path", issuer, `{"issuer":"https://op.example/x"}`, "calls itself"},
		{"two slashes", issuer, `{"issuer":"https://op.example//"}`, "calls itself"},
		{"http issuer", issuer, `{"issuer":"http://op.example"}`, "calls itself"},
		{"no issuer", issuer, `{"token_endpoint":"https://op.example/t"}`, `"issuer" is missing`},
		{"issuer null", issuer, `{"issuer":null}`, `"issuer" is missing`},
		{"issuer in wrong case", issuer, `{"Issuer":"https://op.example"}`, `"issuer" is missing`},
		{"issuer a number", issuer, `{"issuer":7}`, `"issuer" is a number, a string expected`},
		{"no token endpoint", issuer, `{"issuer":"https://op.example"}`, `"token_endpoint" is missing`},
		{"endpoint an array", issuer, `{"issuer":"https://op.example","token_endpoint":[]}`, `"token_endpoint" is an array, a string expected`},
		{"http endpoint", issuer, `{"issuer":"https://op.example","token_endpoint":"http://op.example/t"}`, `"token_endpoint": "http://op.example/t" is not an https URL`},
		{"loopback endpoint", issuer, `{"issuer":"https://op.example","token_endpoint":"http://127.0.0.1/t"}`, `"token_endpoint": "http://127.0.0.1/t" is not https, but the issuer is`},
		{"loopback endpoint in capitals", issuer, `{"issuer":"https://op.example","token_endpoint":"HTTP://127.0.0.1/t"}`, "is not https, but the issuer is"},
		{"endpoint with fragment", issuer, `{"issuer":"https://op.example","token_endpoint":"https://op.example/t","jwks_uri":"https://op.example/k#x"}`, `"jwks_uri": "https://op.example/k#x" has a fragment`},
		{"relative endpoint", issuer, `{"issuer":"https://op.example","token_endpoint":"/t"}`, "is not an https URL"},
		{"scopes a string", issuer, `{"issuer":"https://op.example","token_endpoint":"https://op.example/t","scopes_supported":"openid"}`, `"scopes_supported" is a string, an array of strings expected`},
		{"scopes of numbers", issuer, `{"issuer":"https://op.example","token_endpoint":"https://op.example/t","scopes_supported":[1]}`, `"scopes_supported" is an array, an array of strings expected`},
		{"flag a string", issuer, `{"issuer":"https://op.example","token_endpoint":"https://op.example/t","authorization_response_iss_parameter_supported":"yes"}`, "is a string, a boolean expected"},
		{"HTML", issuer, `<html>`, "JSON expected"},
		{"array", issuer, `[]`, "JSON expected"},
		{"two documents", issuer, `{} {}`, "JSON expected"},
		{"nothing", issuer, ``, "JSON expected"},
		{"issuer not https", "http://op.example", ``, "issuer URL: \"http://op.example\" is not an https URL"},
		{"issuer with query", "https://op.example/?a=b", ``, "has a query"},
		{"issuer with empty query", "https://op.example/?", ``, "has a query"},
		{"issuer with fragment", "https://op.example/#a", ``, "has a fragment"},
		{"issuer empty", "", ``, `issuer URL: "" is not an https URL`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(t, 200, "application/json", c.body).Discover(t.Context(), c.issuer, "")
			wantText(t, err, c.want)
		})
	}
}

func TestDiscoverOnLoopback(t *testing.T) {
	t.Parallel()
	body := `{"issuer":"http://127.0.0.1:8080/","token_endpoint":"http://127.0.0.1:8080/token","jwks_uri":"https://keys.example/"}`
	md, err := answering(t, 200, "application/json", body).Discover(t.Context(), "http://127.0.0.1:8080", "")
	if err != nil || md.TokenEndpoint != "http://127.0.0.1:8080/token" {
		t.Errorf("%+v, %v", md, err)
	}
}

func FuzzDiscovery(f *testing.F) {
	f.Add([]byte(iamDocument))
	f.Add([]byte(`{"issuer":"https://iam.example","token_endpoint":"http://127.0.0.1/t","scopes_supported":[null,1]}`))
	f.Add([]byte(`{"error":"x","issuer":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		md, err := answering(t, 200, "application/json", string(body)).Discover(t.Context(), "https://iam.example", "")
		if (md == nil) == (err == nil) {
			t.Fatalf("%+v, %v", md, err)
		}
		if err != nil {
			return
		}
		var plain struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(body, &plain) != nil || strings.TrimSuffix(md.Issuer, "/") != "https://iam.example" {
			t.Errorf("accepted %q", body)
		}
		for _, endpoint := range []string{md.TokenEndpoint, md.JWKSURI, md.RegistrationEndpoint, md.DeviceAuthorizationEndpoint, md.AuthorizationEndpoint} {
			if endpoint != "" && !strings.HasPrefix(strings.ToLower(endpoint), "https://") {
				t.Errorf("endpoint %q", endpoint)
			}
		}
	})
}

// If only the endpoint is known the document names the issuer. The endpoint may be a file.
func TestDiscoverByEndpoint(t *testing.T) {
	t.Parallel()
	const document = `{"issuer":"https://op.example/","token_endpoint":"https://op.example/token"}`
	file := filepath.Join(t.TempDir(), "metadata")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	c := answering(t, 200, "application/json", document)
	for _, endpoint := range []string{"https://elsewhere.example/metadata", "file://" + file} {
		md, err := c.Discover(t.Context(), "", endpoint)
		if err != nil || md.Issuer != "https://op.example/" || md.ConfigurationEndpoint != endpoint {
			t.Errorf("%s: %+v, %v", endpoint, md, err)
		}
		if _, err := c.Discover(t.Context(), "https://other.example/", endpoint); err == nil {
			t.Errorf("%s: another issuer's document was taken", endpoint)
		}
	}
	if _, err := c.Discover(t.Context(), "", "file:///no/such/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// RFC 9111 section 5.2.2.1, within limits.
func TestMetadataLifetime(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"":                        0,
		"no-store":                0,
		"max-age=7200":            2 * time.Hour,
		`Private, MAX-AGE="7200"`: 2 * time.Hour,
		"no-cache, no-store, max-age=0, must-revalidate": 5 * time.Minute,
		"max-age=31536000": 24 * time.Hour,
		"max-age=-1":       0,
		"s-maxage=7200":    0,
	} {
		client := handled(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", header)
			io.WriteString(w, `{"issuer":"https://op.example","token_endpoint":"https://op.example/token"}`)
		})
		if md, err := client.Discover(t.Context(), "https://op.example", ""); err != nil || md.Lifetime != want {
			t.Errorf("%q: %v, %v", header, md.Lifetime, err)
		}
	}
}
