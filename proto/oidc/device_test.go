package oidc

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"testing"

	"oidc-agent/proto/secret"
)

func TestAuthorizeDevice(t *testing.T) {
	t.Parallel()
	public := Provider{Public: true}
	post := Provider{ClientSecret: secret.FromString("s"), AuthMethod: secretPost}
	basic := Provider{ClientSecret: secret.FromString("client-password")}
	for name, c := range map[string]struct {
		p    Provider
		want url.Values
	}{
		"basic":  {basic, url.Values{"client_id": {"client"}, "scope": {"openid offline_access"}}},
		"public": {public, url.Values{"client_id": {"client"}, "scope": {"openid offline_access"}}},
		"post":   {post, url.Values{"client_id": {"client"}, "client_secret": {"s"}, "scope": {"openid offline_access"}}},
	} {
		client, rec := recording(t, 200, `{"device_code":"d","user_code":"LYEOTT","verification_uri":"https://op.example/device"}`)
		c.p.Client, c.p.Metadata, c.p.ClientID = client, testMetadata(), "client"
		d, err := c.p.AuthorizeDevice(t.Context(), "openid  offline_access")
		if err != nil {
			t.Fatal(err)
		}
		if !maps.EqualFunc(rec.form, c.want, slices.Equal) || rec.url != "https://op.example/devicecode" || (rec.header.Get("Authorization") != "") != (name == "basic") {
			t.Errorf("%s: sent %v, want %v", name, rec.form, c.want)
		}
		if revealed(d.DeviceCode) != "d" || d.UserCode != "LYEOTT" || d.VerificationURI != "https://op.example/device" || d.ExpiresIn != 600 || d.Interval != 5 {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestDeviceAnswers(t *testing.T) {
	t.Parallel()
	const head = `{"device_code":"d","user_code":"u","verification_uri":"https://op.example/device"`
	for _, c := range []struct {
		name, body          string
		expiresIn, interval int64
		wantErr             string
	}{
		{"all told", head + `,"expires_in":1800,"interval":31,"verification_uri_complete":"https://op.example/device?user_code=u"}`, 1800, 31, ""},
		{"interval 0", head + `,"interval":0}`, 600, 1, ""},
		{"interval negative", head + `,"interval":-5}`, 600, 1, ""},
		{"interval null", head + `,"interval":null}`, 600, 5, ""},
		{"interval a string", head + `,"interval":"7","expires_in":"300"}`, 300, 7, ""},
		{"no lifetime", head + `,"expires_in":0}`, 600, 5, ""},
		{"absurd", head + `,"expires_in":1e15}`, maxSeconds, 5, ""},
		{"older than the RFC", `{"device_code":"d","user_code":"u","verification_url":"https://op.example/device"}`, 600, 5, ""},
		{"on loopback", `{"device_code":"d","user_code":"u","verification_uri":"http://127.0.0.1:8080/device"}`, 600, 5, ""},
		{"escape sequence", `{"device_code":"d","user_code":"\u001bu","verification_uri":"https://op.example/device"}`, 600, 5, ""},
		{"no device code", `{"user_code":"u","verification_uri":"https://op.example/device"}`, 0, 0, `"device_code" is missing`},
		{"no user code", `{"device_code":"d","verification_uri":"https://op.example/device"}`, 0, 0, `"user_code" is missing`},
		{"no uri", `{"device_code":"d","user_code":"u"}`, 0, 0, `"verification_url" is missing`},
		{"javascript", `{"device_code":"d","user_code":"u","verification_uri":"javascript:alert(1)"}`, 0, 0, `"verification_uri": "javascript:alert(1)" is not an https URL`},
		{"file complete", head + `,"verification_uri_complete":"file:///etc/passwd"}`, 0, 0, `"verification_uri_complete": "file:///etc/passwd" is not`},
		{"escape in uri", `{"device_code":"d","user_code":"u","verification_uri":"https://op.example/\u001b[2J"}`, 0, 0, "not allowed in a URL"},
		{"interval of a wrong type", head + `,"interval":{}}`, 0, 0, `"interval" is an object, a number expected`},
		{"refused", `{"error":"invalid_scope","error_description":"no"}`, 0, 0, "invalid_scope: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := at(answering(t, 200, "application/json", c.body), testMetadata()).AuthorizeDevice(t.Context(), "")
			wantText(t, err, c.wantErr)
			if err == nil && (d.ExpiresIn != c.expiresIn || d.Interval != c.interval || d.UserCode != "u" || d.VerificationURI == "") {
				t.Errorf("%+v", d)
			}
		})
	}
	client, _ := recording(t, 200, "")
	_, err := at(client, &Metadata{}).AuthorizeDevice(t.Context(), "")
	var missing NoEndpointError
	if !errors.As(err, &missing) || missing != "device_authorization_endpoint" {
		t.Errorf("%v", err)
	}
}
