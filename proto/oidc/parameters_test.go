package oidc

import (
	"strings"
	"testing"

	"oidc-agent/proto/secret"
)

// Each kind of request has its own extension parameters and no others.
func TestParameters(t *testing.T) {
	t.Parallel()
	p := at(nil, testMetadata())
	p.Extend = func(kind string, add func(name, value string)) {
		add("kind", kind)
		add("a b", "c&d")
	}
	ctx, token := t.Context(), secret.FromString("token-of-the-user")
	for kind, call := range map[string]func(){
		"refresh":        func() { p.Refresh(ctx, token, TokenRequest{}) },
		"password":       func() { p.Password(ctx, "u", token, TokenRequest{}) },
		"device-polling": func() { p.PollDevice(ctx, token, TokenRequest{}) },
		"device-init":    func() { p.AuthorizeDevice(ctx, "openid") },
		"revocation":     func() { p.Revoke(ctx, token) },
		"code-exchange":  func() { p.ExchangeCode(ctx, token, "http://127.0.0.1:1", token, TokenRequest{}) },
	} {
		client, sent := recording(t, 400, `{"error":"x"}`)
		p.Client = client
		call() // the response does not matter
		if sent.form.Get("kind") != kind || sent.form.Get("a b") != "c&d" {
			t.Errorf("%s sent %v", kind, sent.form)
		}
	}
	if uri, err := p.AuthorizationURL(AuthorizationRequest{}); err != nil || !strings.HasSuffix(uri, "&kind=auth_url&a+b=c%26d") {
		t.Errorf("%s, %v", uri, err)
	}
}
