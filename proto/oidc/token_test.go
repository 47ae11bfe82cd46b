package oidc

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

func TestTokenResponse(t *testing.T) {
	t.Parallel()
	const head = `{"access_token":"at","token_type":"Bearer"`
	for _, c := range []struct {
		name, body string
		want       TokenResponse
		wantErr    string
	}{
		{"all", head + `,"expires_in":3600,"scope":"a b","refresh_token":"rt","id_token":"it","x":[1]}`,
			TokenResponse{ExpiresIn: 3600, Scope: "a b", HasScope: true, RefreshToken: secret.FromString("rt"), IDToken: secret.FromString("it")}, ""},
		{"least", head + `}`, TokenResponse{}, ""},
		{"nulls", head + `,"expires_in":null,"scope":null,"refresh_token":null,"id_token":null,"error":null}`, TokenResponse{}, ""},
		{"empty scope", head + `,"scope":""}`, TokenResponse{HasScope: true}, ""},
		{"numeric string", head + `,"expires_in":"3600"}`, TokenResponse{ExpiresIn: 3600}, ""},
		{"float", head + `,"expires_in":3600.9}`, TokenResponse{ExpiresIn: 3600}, ""},
		{"zero", head + `,"expires_in":0}`, TokenResponse{ExpiresIn: 1}, ""},
		{"negative", head + `,"expires_in":-1}`, TokenResponse{ExpiresIn: 1}, ""},
		{"very negative", head + `,"expires_in":-1e300}`, TokenResponse{ExpiresIn: 1}, ""},
		{"absurd", head + `,"expires_in":1e15}`, TokenResponse{ExpiresIn: maxSeconds}, ""},
		{"beyond floats", head + `,"expires_in":1e999}`, TokenResponse{ExpiresIn: maxSeconds}, ""},
		{"infinite", head + `,"expires_in":"inf"}`, TokenResponse{}, `"expires_in" is a string, a number expected`},
		{"hexadecimal", head + `,"expires_in":"0x10"}`, TokenResponse{}, `"expires_in" is a string, a number expected`},
		{"in words", head + `,"expires_in":"soon"}`, TokenResponse{}, `"expires_in" is a string, a number expected`},
		{"boolean expiry", head + `,"expires_in":true}`, TokenResponse{}, `"expires_in" is a boolean, a number expected`},
		{"array expiry", head + `,"expires_in":[3600]}`, TokenResponse{}, `"expires_in" is an array, a number expected`},
		{"scope array", head + `,"scope":["a"]}`, TokenResponse{}, `"scope" is an array, a string expected`},
		{"refresh token object", head + `,"refresh_token":{}}`, TokenResponse{}, `"refresh_token" is an object, a string expected`},
		{"case of type", `{"access_token":"at","token_type":"bEARER"}`, TokenResponse{}, ""},
		{"escapes", `{"access_token":"\u0061t","token_type":"Bearer"}`, TokenResponse{}, ""},
		{"no type", `{"access_token":"at"}`, TokenResponse{}, `"token_type" is missing`},
		{"type null", `{"access_token":"at","token_type":null}`, TokenResponse{}, `"token_type" is missing`},
		{"type mac", `{"access_token":"at","token_type":"mac"}`, TokenResponse{}, `"token_type" is "mac", Bearer expected`},
		{"type DPoP", `{"access_token":"at","token_type":"DPoP"}`, TokenResponse{}, `"token_type" is "DPoP", Bearer expected`},
		{"no token", `{"token_type":"Bearer"}`, TokenResponse{}, `"access_token" is missing`},
		{"token null", `{"access_token":null,"token_type":"Bearer"}`, TokenResponse{}, `"access_token" is missing`},
		{"token empty", `{"access_token":"","token_type":"Bearer"}`, TokenResponse{}, `"access_token" is missing`},
		{"token number", `{"access_token":5,"token_type":"Bearer"}`, TokenResponse{}, `"access_token" is a number, a string expected`},
		{"token in wrong case", `{"Access_Token":"at","token_type":"Bearer"}`, TokenResponse{}, `"access_token" is missing`},
		{"error with 200", head + `,"error":"invalid_grant"}`, TokenResponse{}, "invalid_grant"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := refreshed(t, answering(t, 200, "application/json", c.body))
			wantText(t, err, c.wantErr)
			if c.wantErr != "" {
				if got != nil {
					t.Errorf("response %+v beside an error", got)
				}
				return
			}
			if revealed(got.AccessToken) != "at" || got.ExpiresIn != c.want.ExpiresIn ||
				got.Scope != c.want.Scope || got.HasScope != c.want.HasScope ||
				!got.RefreshToken.Equal(c.want.RefreshToken) || !got.IDToken.Equal(c.want.IDToken) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// A new refresh token is returned even if the rest of the response has a fault.
func TestRotatedTokenSurvives(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"access_token":"at","token_type":"mac","refresh_token":"new"}`,
		`{"token_type":"Bearer","refresh_token":"new"}`,
		`{"access_token":"at","token_type":"Bearer","refresh_token":"new","expires_in":[]}`,
	} {
		got, err := refreshed(t, answering(t, 200, "application/json", body))
		if err == nil || got == nil || revealed(got.RefreshToken) != "new" || !got.AccessToken.IsEmpty() {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}

func TestTokenOf16KiB(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 16<<10)
	got, err := refreshed(t, answering(t, 200, "application/json", `{"access_token":"`+long+`","token_type":"Bearer"}`))
	if err != nil || revealed(got.AccessToken) != long {
		t.Error("a long token did not arrive", err)
	}
	got.Wipe()
	if !got.AccessToken.IsEmpty() {
		t.Error("Wipe left the access token")
	}
}

// The parameters of each grant.
func TestTokenRequests(t *testing.T) {
	t.Parallel()
	text := secret.FromString
	iam := "https://iam.example/iam/api/client-registration"
	for _, c := range []struct {
		name         string
		registration string
		call         func(*Client, *Metadata) (*TokenResponse, error)
		want         url.Values
	}{
		{"refresh", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).Refresh(t.Context(), text("r+ t"), TokenRequest{})
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r+ t"}}},
		{"scope and audience", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).Refresh(t.Context(), text("rt"), TokenRequest{
				Scope: " openid  storage.read:/ ", Audience: []string{"https://se.example/", "name", "urn:example:x", "se.example:8443", "https://f.example/#x", "two words"}})
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"rt"}, "scope": {"openid storage.read:/"},
			"resource": {"https://se.example/", "urn:example:x"}, "audience": {"name se.example:8443 https://f.example/#x two words"}}},
		{"legacy audience", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			p := at(c, md)
			p.LegacyAudience = true
			return p.Refresh(t.Context(), text("rt"), TokenRequest{Audience: []string{"https://a.example", "b"}})
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"rt"}, "audience": {"https://a.example b"}}},
		{"audience at an IAM", iam, func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).Refresh(t.Context(), text("rt"), TokenRequest{Audience: []string{"https://a.example", "b"}})
		}, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"rt"}, "audience": {"https://a.example b"}}},
		{"password", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).Password(t.Context(), "ann", text("p&w"), TokenRequest{Scope: "openid", Audience: []string{"https://a.example"}})
		}, url.Values{"grant_type": {"password"}, "username": {"ann"}, "password": {"p&w"}, "scope": {"openid"}, "resource": {"https://a.example"}}},
		{"code", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).ExchangeCode(t.Context(), text("c"), "http://127.0.0.1:4242", text("v"), TokenRequest{Audience: []string{"https://a.example"}})
		}, url.Values{"grant_type": {"authorization_code"}, "code": {"c"}, "redirect_uri": {"http://127.0.0.1:4242"}, "code_verifier": {"v"}, "resource": {"https://a.example"}}},
		{"device", "", func(c *Client, md *Metadata) (*TokenResponse, error) {
			return at(c, md).PollDevice(t.Context(), text("d"), TokenRequest{Audience: []string{"https://a.example"}})
		}, url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {"d"}, "resource": {"https://a.example"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, rec := recording(t, 200, `{"access_token":"at","token_type":"Bearer"}`)
			md := testMetadata()
			if c.registration != "" {
				md.RegistrationEndpoint = c.registration
			}
			if _, err := c.call(client, md); err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(rec.form, c.want, slices.Equal) || rec.url != md.TokenEndpoint || rec.method != "POST" {
				t.Errorf("%s %s with %v, want %v", rec.method, rec.url, rec.form, c.want)
			}
			if rec.header.Get("Authorization") == "" {
				t.Error("not authenticated")
			}
		})
	}
}

func TestNoTokenEndpoint(t *testing.T) {
	t.Parallel()
	client, _ := recording(t, 200, `{}`)
	_, err := at(client, &Metadata{}).Refresh(t.Context(), secret.FromString("rt"), TokenRequest{})
	wantText(t, err, "metadata has no token_endpoint")
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{200, "", ""},
		{200, "<html>", ""},
		{204, "", ""},
		{400, `{"error":"unsupported_token_type"}`, "unsupported_token_type"},
		{503, "", "HTTP status 503"},
	} {
		client, rec := recording(t, c.status, c.body)
		err := at(client, testMetadata()).Revoke(t.Context(), secret.FromString("rt"))
		wantText(t, err, c.want)
		want := url.Values{"token": {"rt"}, "token_type_hint": {"refresh_token"}}
		if !maps.EqualFunc(rec.form, want, slices.Equal) || rec.url != "https://op.example/revoke" {
			t.Errorf("sent %v to %s", rec.form, rec.url)
		}
	}
	client, _ := recording(t, 200, "")
	err := at(client, &Metadata{}).Revoke(t.Context(), secret.FromString("rt"))
	wantText(t, err, "metadata has no revocation_endpoint")
}

// No member of a token response contains a secret after it was read.
func TestTokenResponseIsWiped(t *testing.T) {
	t.Parallel()
	o, err := parseObject([]byte(`{"access_token":"hunter2","token_type":"Bearer","refresh_token":"\u0068unter2"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw := [][]byte{o.members["access_token"], o.members["refresh_token"]}
	if new(TokenResponse).read(o); o.err != nil {
		t.Fatal(o.err)
	}
	o.wipe()
	for _, b := range raw {
		if strings.Trim(string(b), "\x00") != "" {
			t.Errorf("%q is left", b)
		}
	}
}

// Wipe reaches all tokens.
func TestWipeTokenResponse(t *testing.T) {
	t.Parallel()
	r := &TokenResponse{
		AccessToken: secret.FromString("at"), RefreshToken: secret.FromString("rt"), IDToken: secret.FromString("it"),
	}
	tokens := []secret.Secret{r.AccessToken, r.RefreshToken, r.IDToken}
	r.Wipe()
	for i, token := range tokens {
		if !token.IsEmpty() {
			t.Errorf("token %d is left", i+1)
		}
	}
}

func FuzzTokenResponse(f *testing.F) {
	f.Add([]byte(`{"access_token":"eyJ.a.b","token_type":"Bearer","expires_in":3599,"scope":"openid","refresh_token":"r","id_token":"a.b.c"}`))
	f.Add([]byte(`{"access_token":"\u00e9\n","token_type":"bearer","expires_in":"1e3"}`))
	f.Add([]byte(`{"error":"invalid_grant","error_description":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := refreshed(t, answering(t, 200, "application/json", string(body)))
		if err != nil {
			if got != nil && (got.RefreshToken.IsEmpty() || !got.AccessToken.IsEmpty()) {
				t.Errorf("%+v beside %v", got, err)
			}
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(body, &plain); err != nil || plain["access_token"] != revealed(got.AccessToken) {
			t.Errorf("%q became %q", body, got.AccessToken.Reveal())
		}
		if got.ExpiresIn < 0 || got.ExpiresIn > maxSeconds {
			t.Errorf("%+v", got)
		}
	})
}

// One refresh over an open connection to a TLS provider.
func BenchmarkRefresh(b *testing.B) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"access_token":"`+strings.Repeat("a", 1000)+`","token_type":"Bearer","expires_in":3600,"refresh_token":"r"}`)
	}))
	defer srv.Close()
	client := mustClient(b, Options{CAFile: caFile(b, srv)})
	md, token := &Metadata{TokenEndpoint: srv.URL}, secret.FromString("r")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := at(client, md).Refresh(b.Context(), token, TokenRequest{Scope: "openid"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiscover(b *testing.B) {
	client := answering(b, 200, "application/json", iamDocument)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Discover(b.Context(), "https://iam.example", ""); err != nil {
			b.Fatal(err)
		}
	}
}
