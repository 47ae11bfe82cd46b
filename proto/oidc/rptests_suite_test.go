package oidc_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"oidc-agent/fakeidp/iam"
)

// The families of client tests in the conformance suite.
const (
	core  = "oidcc-client-test-"
	fapi1 = "fapi1-advanced-final-client-"
	fapi2 = "fapi2-security-profile-final-client-test-"
	ciba  = "fapi-ciba-id1-client-"
)

const noUserinfo = "the client makes no userinfo request: an agent hands out tokens, and has no use for who the user is"

var flowRules = []rptest{
	{name: "oidcc-client-test", cases: []rpcase{ // once per authentication method
		{with: strictly, do: registersBy("client_secret_basic")},
		{with: strictly, by: []string{"one-auth-method-post"}, do: registersBy("client_secret_post")},
		{with: strictly, by: []string{"one-auth-method-none"}, do: registersBy("none")},
	}},
	checks(core+"scope-userinfo-claims", func(p *party) error {
		err := p.loginFor(" openid  profile\temail ")
		if !strings.Contains(p.lastURL, "scope=openid+profile+email&") {
			p.Errorf("scope in %s", p.lastURL)
		}
		return err
	}),
	checks("oidcc-client-(all tests)", func(p *party) error {
		err := p.login()
		u, _ := url.Parse(p.lastURL)
		if q := u.Query(); q.Has("request") || q.Has("request_uri") || !strings.Contains(q.Get("scope"), "openid") || len(q.Get("state")) > 128 || len(q.Get("nonce")) > 43 {
			p.Errorf("asked by %s", p.lastURL)
		}
		return err
	}),
	checks(core+"discovery-openid-config", func(p *party) error {
		err := p.login()
		if first := p.idp.Requests()[0]; first.Path != ".well-known/openid-configuration" {
			p.Errorf("asked for %s first", first.Path)
		}
		return err
	}),
	checks(core+"discovery-jwks-uri-keys", keysElsewhere, "jwks-uri-new"),
	{name: core + "discovery-issuer-mismatch", cases: []rpcase{
		{by: []string{"discovery-issuer-mismatch"}, do: stopsAfterDiscovery, want: "calls itself"},
		{by: []string{"issuer-host"}, do: stopsAfterDiscovery, want: "calls itself"},
		{do: calledItself("https://idp.example/path/"), want: "calls itself"},
		{do: calledItself("http://idp.example/"), want: "calls itself"},
	}},
	checks(core+"dynamic-registration", func(p *party) error {
		err := p.registerAndLogin()
		sent := p.last("iam/api/client-registration").Body
		for _, part := range []string{`"application_type":"native"`, `"redirect_uris":["` + redirectURI + `"]`,
			`"grant_types":["authorization_code","refresh_token"]`, `"response_types":["code"]`} {
			if !strings.Contains(sent, part) {
				p.Errorf("%s is not in %s", part, sent)
			}
		}
		return err
	}),
	{name: core + "client-secret-basic", cases: []rpcase{{with: func(c *iam.Config) { likeTheSuite(c); strictly(c) }, do: byBasic}}},
	fails(core+"form-post-error", "login_required: max_age=0 <script>", (*party).login, "callback-error"), // as a query
	{name: core + "userinfo-bearer-header", notApplicable: noUserinfo},
	{name: core + "userinfo-invalid-sub", notApplicable: noUserinfo},
}

func registersBy(method string) func(*party) error {
	return func(p *party) error {
		err := p.registerAndLogin()
		if p.at.AuthMethod != method {
			p.Errorf("registered %s, want %s", p.at.AuthMethod, method)
		}
		return err
	}
}

// keysElsewhere serves the keys at a URL that only the metadata names.
func keysElsewhere(p *party) error {
	r, _ := http.NewRequestWithContext(p.Context(), http.MethodGet, "https://idp.example/jwk", nil)
	resp, err := p.net.RoundTrip(r)
	if err != nil {
		return err
	}
	body := make([]byte, 4096)
	n, _ := resp.Body.Read(body)
	p.idp.ForgetRequests()
	p.idp.Fail(iam.Fault{Path: "jwk-moved", Status: 200, Body: string(body[:n])})
	err = p.login()
	p.asked("GET jwk", 0)
	p.asked("GET jwk-moved", 1)
	return err
}

func stopsAfterDiscovery(p *party) error {
	err := p.login()
	if len(p.idp.Requests()) != 1 {
		p.Errorf("error %v after %d requests", err, len(p.idp.Requests()))
	}
	return err
}

func calledItself(name string) func(*party) error {
	return func(p *party) error {
		p.idp.Fail(iam.Fault{Path: ".well-known/openid-configuration", Set: map[string]any{"issuer": name}})
		return stopsAfterDiscovery(p)
	}
}

func byBasic(p *party) error {
	if err := p.registerAndLogin(); err != nil {
		return err
	}
	r := p.last("token")
	encoded := strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
	pair, _ := base64.StdEncoding.DecodeString(encoded)
	id, pass, _ := strings.Cut(string(pair), ":")
	id, err1 := url.QueryUnescape(id)
	pass, err2 := url.QueryUnescape(pass)
	if err1 != nil || err2 != nil || id != p.at.ClientID || pass != string(p.at.ClientSecret.Reveal()) || strings.Count(string(pair), ":") != 1 || r.Form().Has("client_secret") {
		p.Errorf("authenticated by %q", pair)
	}
	return nil
}

var idTokenRules = []rptest{
	rejects(core+"invalid-iss", `"iss" is`, "invalid-iss"),
	rejects(core+"missing-sub", `"sub" is missing`, "missing-sub"),
	rejects(core+"invalid-aud", `"aud" is`, "invalid-aud"),
	rejects(core+"missing-aud", `"aud" is missing`, "missing-aud"),
	rejects(core+"missing-iat", `"iat" is missing`, "missing-iat"),
	{name: core + "nonce-invalid", cases: []rpcase{
		{by: []string{"nonce-invalid"}, want: `"nonce"`},
		{by: []string{"nonce-invalid"}, do: (*party).device}, // none was requested
	}},
	rejects(core+"invalid-athash", `"at_hash"`, "invalid-athash"),
	checks(core+"refresh-token", refreshing()),
	fails(core+"refresh-token-invalid-issuer", `"iss" is`, refreshing("invalid-iss")),
	fails(core+"refresh-token-invalid-sub", `"sub" is`, refreshing("invalid-sub")),
	fails(core+"refresh-token-invalid-aud", `"aud" is`, refreshing("invalid-aud")),
	fails(core+"refresh-token-invalid-azp", `"azp" is`, refreshing("invalid-azp")),
}

var signatureRules = []rptest{
	{name: core + "idtoken-sig-rs256", cases: []rpcase{{with: withRSA}}},
	fails(core+"idtoken-sig-none", "is not accepted", (*party).registerAndLogin, "reg-alg-none", "sig-none"),
	{name: core + "invalid-sig-rs256", cases: []rpcase{{with: withRSA, by: []string{"sig-bad"}, want: "signature is not valid"}}},
	rejects(core+"invalid-sig-es256", "signature is not valid", "sig-bad"),
	fails(core+"invalid-sig-hs256", "is not accepted", func(p *party) error {
		err := p.login()
		p.asked("GET jwk", 0) // no key is tried
		return err
	}, "sig-bad-hs256"),
	{name: core + "kid-absent-single-jwks", cases: []rpcase{{with: withRSA, by: []string{"kid-absent"}}}},
	{name: core + "kid-absent-multiple-jwks", cases: []rpcase{{with: withRSA, by: []string{"kids-absent"}}}},
	accepts(core+"ignores-unparseable-key-in-jwks", "keys-odd"),
	checks(core+"signing-key-rotation", func(p *party) error {
		err := p.login()
		p.idp.RotateSigningKey()
		err = errors.Join(err, p.login())
		p.asked("GET jwk", 2)
		return err
	}),
	{name: core + "signing-key-rotation-just-before-signing", cases: []rpcase{
		{do: func(p *party) error {
			err := p.login()
			p.misbehave("rotate-at-signing")
			err = errors.Join(err, p.login())
			p.asked("GET jwk", 2)
			return err
		}},
		{want: "publishes no key", do: func(p *party) error {
			err := p.login()
			p.misbehave("kid-unknown")
			p.accepted = nil
			err = errors.Join(err, p.login())
			p.asked("GET jwk", 2) // one more, in vain
			if p.login() == nil {
				p.Error("the second bad token is accepted")
			}
			p.asked("GET jwk", 2) // not within the minute
			return err
		}},
	}},
}

var familyRules = []rptest{
	rejects(fapi2+"invalid-authorization-response-iss", "comes from the issuer", "callback-iss"),
	rejects(fapi2+"remove-authorization-response-iss", "names no issuer", "callback-no-iss"),
	rejects(fapi2+"ensure-authorization-response-with-invalid-state-fails", "state is not ours", "callback-state"),
	rejects(fapi2+"ensure-authorization-response-with-invalid-missing-state-fails", "state is not ours", "callback-no-state"),
	fails(fapi2+"discovery-issuer-mismatch", "calls itself", stopsAfterDiscovery, "discovery-issuer-mismatch"),
	rejects(fapi2+"invalid-missing-nonce", `"nonce"`, "missing-nonce"),
	rejects(fapi2+"invalid-expired-exp", "it expired at", "expired-exp"),
	rejects(fapi2+"invalid-missing-exp", `"exp" is missing`, "missing-exp"),
	rejects(fapi2+"invalid-missing-iss", `"iss" is missing`, "missing-iss"),
	rejects(fapi2+"invalid-missing-aud", `"aud" is missing`, "missing-aud"),
	rejects(fapi2+"invalid-iss", `"iss" is`, "invalid-iss"),
	rejects(fapi2+"invalid-aud", `"aud" is`, "invalid-aud"),
	rejects(fapi2+"invalid-nonce", `"nonce"`, "nonce-invalid"),
	rejects(fapi2+"invalid-secondary-aud", `"aud" is`, "secondary-aud"),
	checks(fapi2+"valid-aud-as-array", func(p *party) error {
		p.idp.Fail(iam.Fault{Path: "token", IDToken: &iam.Forgery{Claims: map[string]any{"aud": []any{clientID}}}})
		return p.login()
	}),
	{name: fapi2 + "invalid-alternate-alg", notApplicable: "no id_token_signed_response_alg is ever registered: any of our algorithms may sign"},
	rejects(fapi2+"invalid-null-alg", "is not accepted", "sig-none"),
	accepts(fapi2+"token-type-case-insensitivity", "tok-type-bearer"),
	accepts(fapi2+"token-endpoint-response-without-expires_in", "tok-expiry-null"),
	accepts(fapi1+"test-no-scope-in-token-endpoint-response", "tok-no-scope"),
	{name: fapi1 + "test-iat-is-week-in-past", notApplicable: "step 10 allows a limit and demands none: exp, the nonce and the exchange itself " +
		"bind the token to this login, and a clock that is fast must not stop one whose token is good"},
	accepts(fapi1+"test-missing-athash", "missing-athash"),
	checks(fapi1+"refresh-token-test", func(p *party) error {
		err := refreshing()(p)
		newest := p.kept
		err = errors.Join(err, p.refresh())
		if sent := p.last("token").Form().Get("refresh_token"); sent != string(newest.Reveal()) {
			p.Error("an old refresh token was sent")
		}
		return err
	}),
	checks(ciba+"respects-interval-test", polling(31), "dev-interval-31"),
	checks(ciba+"slow-down-test", func(p *party) error {
		p.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 400, Body: `{"error":"authorization_pending"}`})
		p.idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 400, Body: `{"error":"slow_down"}`})
		return polling(5, 10, 20)(p)
	}),
	fails(ciba+"invalid-expired-token-test", "expired_token", polling(5, 10, 15), "dev-expired_token"),
	fails(ciba+"invalid-access-denied-test", "access_denied", polling(5, 10, 15), "dev-access_denied"),
	fails(ciba+"invalid-request-test", "invalid_request", polling(5, 10, 15), "dev-invalid_request"),
	fails(ciba+"invalid-missing-authreqid-test", `"device_code" is missing`, polling(), "dev-missing-device_code"),
}
