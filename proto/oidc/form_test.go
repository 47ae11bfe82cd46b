package oidc

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// url.ParseQuery reads what the form encoder writes, whatever the bytes.
func FuzzForm(f *testing.F) {
	f.Add("scope", "openid profile", "p&w=+%\"\\:")
	f.Add("a b", "", "ü\x00\xff~")
	f.Fuzz(func(t *testing.T, name, value, password string) {
		form := new(form)
		form.add(name, value)
		form.addSecret("password", secret.FromString(password))
		want := url.Values{}
		if value != "" {
			want.Add(name, value)
		}
		if password != "" {
			want.Add("password", password)
		}
		got, err := url.ParseQuery(string(form.body))
		if err != nil || got.Encode() != want.Encode() {
			t.Errorf("%q: %v, %v, want %v", form.body, got, err, want)
		}
	})
}

// A form that grows wipes its old buffer.
func TestFormLeavesNothing(t *testing.T) {
	t.Parallel()
	f := new(form)
	f.addSecret("password", secret.FromString("hunter2"))
	old := f.body
	f.add("scope", strings.Repeat("a", 1000))
	if &old[0] == &f.body[0] {
		t.Fatal("the buffer did not move: make the scope longer")
	}
	for _, c := range old {
		if c != 0 {
			t.Fatalf("the old buffer is %q", old)
		}
	}
}

// A request that is not sent wipes its form as well.
func TestUnsentFormIsWiped(t *testing.T) {
	t.Parallel()
	md := testMetadata()
	md.TokenEndpointAuthMethodsSupported = []string{"private_key_jwt"}
	for endpoint, want := range map[string]string{"": "no token_endpoint", "x": "not supported"} {
		f := new(form)
		f.addSecret("refresh_token", secret.FromString("hunter2"))
		err := at(answering(t, 200, "", ""), md).post(t.Context(), "refresh", "token_endpoint", endpoint, f, nil)
		wantText(t, err, want)
		if strings.Trim(string(f.body), "\x00") != "" {
			t.Errorf("%q is left", f.body)
		}
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	odd := secret.FromString(`s: %+&"\`)
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for _, c := range []struct {
		name             string
		p                Provider
		offered          []string
		header, id, pass string
		wantErr          string
	}{
		{"default", Provider{ClientID: "id", ClientSecret: odd}, nil, basic(`id:s%3A+%25%2B%26%22%5C`), "", "", ""},
		{"odd id", Provider{ClientID: "https://c.example/ä", ClientSecret: odd}, nil, basic(`https%3A%2F%2Fc.example%2F%C3%A4:s%3A+%25%2B%26%22%5C`), "", "", ""},
		{"both offered", Provider{ClientID: "id", ClientSecret: odd}, []string{"client_secret_post", "client_secret_basic"}, basic(`id:s%3A+%25%2B%26%22%5C`), "", "", ""},
		{"post offered", Provider{ClientID: "id", ClientSecret: odd}, []string{"private_key_jwt", "client_secret_post"}, "", "id", `s: %+&"\`, ""},
		{"none offered", Provider{ClientID: "id", ClientSecret: odd}, []string{"none"}, "", "id", "", ""},
		{"nothing of ours offered", Provider{ClientID: "id", ClientSecret: odd}, []string{"private_key_jwt"}, "", "", "", "with \"[private_key_jwt]\" is not supported"},
		{"registration said post", Provider{ClientID: "id", ClientSecret: odd, AuthMethod: "client_secret_post"}, []string{"client_secret_basic"}, "", "id", `s: %+&"\`, ""},
		{"registration said basic", Provider{ClientID: "id", ClientSecret: odd, AuthMethod: "client_secret_basic"}, []string{"client_secret_post"}, basic(`id:s%3A+%25%2B%26%22%5C`), "", "", ""},
		{"registration said none", Provider{ClientID: "id", ClientSecret: odd, AuthMethod: "none"}, nil, "", "id", "", ""},
		{"registration said jwt", Provider{ClientID: "id", ClientSecret: odd, AuthMethod: "private_key_jwt"}, nil, "", "", "", `"[private_key_jwt]" is not supported`},
		{"public", Provider{ClientID: "id", Public: true}, nil, "", "id", "", ""},
		{"no secret", Provider{ClientID: "id", AuthMethod: "client_secret_basic"}, nil, "", "id", "", ""},
		{"public with a secret", Provider{ClientID: "id", ClientSecret: odd, Public: true}, nil, "", "id", `s: %+&"\`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := testMetadata()
			md.TokenEndpointAuthMethodsSupported = c.offered
			client, rec := recording(t, 200, `{"access_token":"a","token_type":"Bearer"}`)
			c.p.Client, c.p.Metadata = client, md
			_, err := c.p.Refresh(t.Context(), secret.FromString("r"), TokenRequest{})
			wantText(t, err, c.wantErr)
			if err != nil {
				if rec.method != "" {
					t.Error("a request was made all the same")
				}
				return
			}
			if got := rec.header.Get("Authorization"); got != c.header {
				t.Errorf("header %q, want %q", got, c.header)
			}
			if rec.form.Get("client_id") != c.id || rec.form.Get("client_secret") != c.pass {
				t.Errorf("body %q, want client_id %q, client_secret %q", rec.body, c.id, c.pass)
			}
		})
	}
}
