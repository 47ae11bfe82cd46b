package oidc

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// roundTrip is a transport without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// handled returns a client whose requests go to a handler.
func handled(t testing.TB, handler http.HandlerFunc) *Client {
	t.Helper()
	return mustClient(t, Options{UserAgent: "oidc-agent/test", Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		if req.Body == nil {
			req.Body = http.NoBody // as in a server
		}
		defer req.Body.Close()
		w := httptest.NewRecorder()
		handler(w, req)
		resp := w.Result()
		resp.Request = req
		return resp, nil
	})})
}

func mustClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answering returns a client that always gets the same response.
func answering(t testing.TB, status int, contentType, body string) *Client {
	t.Helper()
	return handled(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

// recording returns a client that always gets the same JSON, and its last request.
func recording(t testing.TB, status int, body string) (*Client, *recorded) {
	t.Helper()
	rec := new(recorded)
	return handled(t, func(w http.ResponseWriter, req *http.Request) {
		rec.header, rec.url, rec.method = req.Header, req.URL.String(), req.Method
		raw, err := io.ReadAll(req.Body)
		if err != nil {
			t.Errorf("reading the request: %v", err)
		}
		rec.body = string(raw)
		if rec.form, err = url.ParseQuery(rec.body); err != nil {
			t.Errorf("body %q: %v", rec.body, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}), rec
}

type recorded struct {
	method, url, body string
	header            http.Header
	form              url.Values
}

// testMetadata describes a provider with every endpoint.
func testMetadata() *Metadata {
	return &Metadata{
		Issuer:                      "https://op.example/",
		AuthorizationEndpoint:       "https://op.example/authorize",
		TokenEndpoint:               "https://op.example/token",
		RegistrationEndpoint:        "https://op.example/register",
		DeviceAuthorizationEndpoint: "https://op.example/devicecode",
		RevocationEndpoint:          "https://op.example/revoke",
		JWKSURI:                     "https://op.example/jwk",
	}
}

// at returns a provider with this metadata, where a client with a secret is registered.
func at(c *Client, md *Metadata) *Provider {
	return &Provider{Client: c, Metadata: md, ClientID: "client", ClientSecret: secret.FromString("client-password")}
}

// wantText checks that err's text contains want; an empty want means no error.
func wantText(t testing.TB, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %q, want none", err)
	case want != "" && err == nil:
		t.Errorf("no error, want %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("error %q, want %q in it", err, want)
	}
}

func revealed(s secret.Secret) string { return string(s.Reveal()) }
