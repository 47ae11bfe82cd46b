package oidc

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// RFC 7636 appendix B.
func TestCodeChallengeVector(t *testing.T) {
	t.Parallel()
	got := codeChallenge(secret.FromString("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
	if want := "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNewPKCE(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		verifier, challenge := NewPKCE()
		text := revealed(verifier)
		if len(text) != 43 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Fatalf("verifier %q", text)
		}
		if challenge != codeChallenge(verifier) || seen[text] {
			t.Fatalf("challenge %q of verifier %q, seen before: %t", challenge, text, seen[text])
		}
		seen[text] = true
	}
}

func TestAuthorizationURL(t *testing.T) {
	t.Parallel()
	req := AuthorizationRequest{
		RedirectURI: "http://127.0.0.1:4242", Scope: "openid  profile", State: "st", Nonce: "no",
		CodeChallenge: "ch", Audience: []string{"https://a.example", "b"},
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"id&x"}, "redirect_uri": {"http://127.0.0.1:4242"}, "scope": {"openid profile"},
		"state": {"st"}, "nonce": {"no"}, "code_challenge": {"ch"}, "code_challenge_method": {"S256"}, "prompt": {"consent"},
		"access_type": {"offline"}, "resource": {"https://a.example"}, "audience": {"b"},
	}
	for endpoint, extra := range map[string]url.Values{
		"https://op.example/authorize":            {},
		"https://op.example/authorize?tenant=a+b": {"tenant": {"a b"}},
	} {
		md := testMetadata()
		md.AuthorizationEndpoint = endpoint
		got, err := (&Provider{Metadata: md, ClientID: "id&x"}).AuthorizationURL(req)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(extra, want)
		if base, _, _ := strings.Cut(endpoint, "?"); !maps.EqualFunc(u.Query(), extra, slices.Equal) || !strings.HasPrefix(got, base+"?") {
			t.Errorf("%s, want %v", got, extra)
		}
	}
}

func TestAuthorizationURLRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(*Metadata)
		want   string
	}{
		{func(md *Metadata) { md.CodeChallengeMethodsSupported = []string{"S256", "plain"} }, ""},
		{func(md *Metadata) { md.CodeChallengeMethodsSupported = []string{"plain"} }, "but not S256"},
		{func(md *Metadata) { md.AuthorizationEndpoint = "" }, "metadata has no authorization_endpoint"},
		{func(md *Metadata) { md.AuthorizationEndpoint = "file:///bin/sh" }, "authorization endpoint: \"file:///bin/sh\" is not an https URL"},
	} {
		md := testMetadata()
		c.change(md)
		_, err := at(nil, md).AuthorizationURL(AuthorizationRequest{})
		wantText(t, err, c.want)
	}
}

func TestParseAuthorizationResponse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, query, want string
		announced         bool // iss
		refusal           bool // the provider's own error
	}{
		{"good", "code=c%2B&state=st", "", false, false},
		{"good with iss", "code=c%2B&state=st&iss=https%3A%2F%2Fop.example%2F", "", true, false},
		{"iss unannounced", "code=c%2B&state=st&iss=https://op.example/", "", false, false},
		{"no iss though announced", "code=c&state=st", "names no issuer", true, false},
		{"iss without slash", "code=c&state=st&iss=https://op.example", "comes from the issuer", true, false},
		{"iss with a 1", "code=c&state=st&iss=https://op.example/1", "comes from the issuer", false, false},
		{"iss in capitals", "code=c&state=st&iss=https://OP.example/", "comes from the issuer", true, false},
		{"iss encoded twice", "code=c&state=st&iss=https%253A%252F%252Fop.example%252F", "comes from the issuer", true, false},
		{"iss of an error", "error=access_denied&state=st&iss=https://evil.example", "comes from the issuer", false, false},
		{"wrong state", "code=c&state=st1", "for another login", false, false},
		{"empty state", "code=c&state=", "for another login", false, false},
		{"no state", "code=c", "for another login", false, false},
		{"error without state", "error=access_denied", "for another login", false, false},
		{"denied", "error=access_denied&error_description=%1b[2Jno%0Ame&state=st", "access_denied: [2Jno me", false, true},
		{"two codes", "code=a&code=b&state=st", "code more than once", false, false},
		{"two states", "code=a&state=st&state=st", "state more than once", false, false},
		{"two iss", "code=a&state=st&iss=https://op.example/&iss=x", "iss more than once", false, false},
		{"code and error", "code=a&error=x&state=st", "either a code or an error", false, false},
		{"neither", "state=st", "either a code or an error", false, false},
		{"malformed", "code=%zz&state=st", "malformed", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := testMetadata()
			md.AuthorizationResponseIssParameterSupported = c.announced
			code, err := md.ParseAuthorizationResponse(c.query, "st")
			wantText(t, err, c.want)
			var refusal *Error
			if errors.As(err, &refusal) != c.refusal || (revealed(code) == "c+") != (err == nil) {
				t.Errorf("code %q, %#v", code.Reveal(), err)
			}
		})
	}
	if _, err := testMetadata().ParseAuthorizationResponse("code=c&state=", ""); err == nil {
		t.Error("a login without state takes any answer")
	}
}
