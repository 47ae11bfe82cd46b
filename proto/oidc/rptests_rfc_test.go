package oidc_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// atIssuer is the login of a user who spells the issuer like this.
func atIssuer(issuer string) func(*party) error {
	return func(p *party) error {
		p.issuer = issuer
		return p.login()
	}
}

func belowAPath(c *iam.Config) { c.Issuer = "https://idp.example/realms/x/" }

var discoveryRules = []rptest{
	{name: "disc-slash", cases: []rpcase{
		{do: atIssuer("https://idp.example")},
		{by: []string{"disc-slash"}},
		{by: []string{"callback-iss-slash"}, do: atIssuer("https://idp.example"), want: "comes from the issuer"}, // once, and not again
	}},
	{name: "disc-path", cases: []rpcase{
		{with: belowAPath, do: asksAt(".well-known/openid-configuration")},
		{with: belowAPath, by: []string{"oauth-only"}, do: asksAt(".well-known/openid-configuration",
			"/.well-known/oauth-authorization-server/realms/x", ".well-known/oauth-authorization-server")},
	}},
	{name: "disc-form", cases: []rpcase{
		{do: atIssuer("https://idp.example/?a=b"), want: "has a query"},
		{do: atIssuer("https://idp.example/#a"), want: "has a fragment"},
		{do: atIssuer("http://idp.example/"), want: "is not an https URL"},
		{by: []string{"disc-form"}, want: `"token_endpoint"`},
		{by: []string{"disc-form-loopback"}, want: "is not https, but the issuer is"},
		{by: []string{"disc-other-host"}},
	}},
	checks("disc-defaults", func(p *party) error {
		err := p.login()
		if p.at.Metadata != nil && len(p.at.Metadata.GrantTypesSupported)+len(p.at.TokenEndpointAuthMethodsSupported)+len(p.at.Metadata.CodeChallengeMethodsSupported) > 0 {
			p.Errorf("%+v", p.at.Metadata)
		}
		if r := p.last("token"); r.Header.Get("Authorization") == "" {
			p.Error("not by Basic")
		}
		if err == nil {
			err = p.device()
		}
		return err
	}, "disc-defaults"),
	{name: "disc-junk", cases: []rpcase{
		{by: []string{"disc-junk"}},
		{by: []string{"disc-junk-null"}, want: `"token_endpoint" is missing`},
		{by: []string{"disc-junk-type"}, want: `"token_endpoint" is a number`},
		{by: []string{"disc-junk-html"}, want: "JSON expected"},
		{by: []string{"disc-junk-endless"}, want: "longer than 1 MiB"},
		{by: []string{"disc-junk-redirect"}, want: "which is not https"},
	}},
	{name: "disc-twin", notApplicable: "no metadata are kept here, and the agent keeps them by issuer and configuration endpoint together: " +
		"an account goes where its user sent it, and never to the twin's endpoints"},
}

func asksAt(paths ...string) func(*party) error {
	return func(p *party) error {
		err := p.login()
		var asked []string
		for _, r := range p.idp.Requests() {
			if strings.Contains(r.Path, ".well-known") {
				asked = append(asked, strings.TrimPrefix(r.Path, "/"))
			}
		}
		for i := range paths {
			paths[i] = strings.TrimPrefix(paths[i], "/")
		}
		if !slices.Equal(asked, paths) {
			p.Errorf("asked at %q, want %q", asked, paths)
		}
		return err
	}
}

var callbackRules = []rptest{
	{name: "cb-shape", cases: []rpcase{
		{by: []string{"callback-code-twice"}, want: "code more than once"},
		{by: []string{"callback-state-twice"}, want: "state more than once"},
		{by: []string{"callback-iss-twice"}, want: "iss more than once"},
		{by: []string{"callback-both"}, want: "either a code or an error"},
		{by: []string{"callback-neither"}, want: "either a code or an error"},
	}},
	{name: "cb-error", cases: []rpcase{
		{by: []string{"callback-error"}, want: "login_required"},
		{by: []string{"callback-error-iss"}, want: "comes from the issuer"},
		{want: "state is not ours", do: func(p *party) error {
			p.idp.Fail(iam.Fault{Path: "authorize", Set: map[string]any{"code": nil, "error": "access_denied", "state": "other"}})
			return p.login()
		}},
	}},
	{name: "cb-iss-unannounced", cases: []rpcase{
		{by: []string{"iss-unannounced"}},
		{by: []string{"iss-unannounced", "callback-no-iss"}},
		{by: []string{"iss-unannounced", "callback-iss"}, want: "comes from the issuer"},
	}},
	fails("mix-up", "comes from the issuer", mixedUp, "mix-up"),
	agents("loop-bind", "code_test.go TestCodeFlow", "the agent has the listener: on both loopback addresses, for the time of the login"),
	agents("loop-port", "code_test.go TestRedirectURIs", "the agent registers several ports and takes the first that is free"),
	agents("loop-noise", "code_test.go TestCodeTwice", "the agent's listener answers other paths, and redeems a code once"),
	agents("loop-page", "code_test.go TestCodeRefused", "the agent's page is made of fixed texts"),
	checks("pkce-fresh", func(p *party) error {
		one, _ := oidc.NewPKCE()
		other, challenge := oidc.NewPKCE()
		if one.Equal(other) || one.Len() != 43 || other.Len() != 43 || len(challenge) != 43 {
			p.Error("not two verifiers of 43 characters")
		}
		return p.login()
	}),
	{name: "pkce-plain", cases: []rpcase{
		{by: []string{"pkce-plain"}, want: "but not S256", do: func(p *party) error {
			err := p.login()
			p.asked("GET authorize", 0)
			return err
		}},
		{want: "invalid_request: transform algorithm not supported", do: func(p *party) error {
			p.idp.Fail(iam.Fault{Path: "authorize", Set: map[string]any{"code": nil, "error": "invalid_request", "error_description": "transform algorithm not supported"}})
			err := p.login()
			p.asked("GET authorize", 1)
			return err
		}},
	}},
	checks("pkce-unannounced", func(p *party) error {
		err := p.login()
		if !strings.Contains(p.lastURL, "code_challenge_method=S256") {
			p.Errorf("sent to %s", p.lastURL)
		}
		return err
	}, "pkce-unannounced"),
	{name: "pkce-stripped", cases: []rpcase{
		{do: injected("another state"), want: "state is not ours"},
		{do: injected("state"), want: `"nonce"`},
	}},
}

// mixedUp is a login at an attacker's provider that sends the browser to an honest one.
func mixedUp(p *party) error {
	honest := p.add(iam.Config{Issuer: "https://elsewhere.example/", Alg: iam.ES256, Settings: iam.Settings{AutoApprove: true},
		Clients: []iam.Client{{ClientID: clientID, ClientSecret: "another", RedirectURIs: []string{redirectURI}}}})
	err := p.login()
	if n := honest.Counters(); n["GET authorize"] != 1 || n["POST token"] != 0 {
		p.Errorf("the honest provider was asked %v", n)
	}
	return err
}

// injected gives the client the response to an attacker's login, at a provider that does not enforce PKCE.
func injected(state string) func(*party) error {
	return func(p *party) error {
		if err := p.discover(); err != nil {
			return err
		}
		verifier, challenge := oidc.NewPKCE()
		query, err := p.browse(fullScope, challenge, state, "the attacker's")
		if err != nil {
			return err
		}
		code, err := p.at.ParseAuthorizationResponse(query, "state")
		if err != nil {
			p.asked("POST token", 0)
			return err
		}
		t, err := p.at.ExchangeCode(p.Context(), code, redirectURI, verifier, oidc.TokenRequest{})
		if err != nil {
			return err
		}
		return p.accept(t, oidc.IDTokenCheck{Nonce: "nonce"})
	}
}

var registrationRules = []rptest{
	checks("reg-replaced", func(p *party) error {
		r, err := p.register()
		if !slices.Equal(r.RedirectURIs, []string{"http://localhost:1"}) || r.AuthMethod != "client_secret_post" {
			p.Errorf("%+v", r)
		}
		err = errors.Join(err, p.login()) // the fake still has the requested redirect URI
		if sent := p.last("token"); sent.Header.Get("Authorization") != "" || !sent.Form().Has("client_secret") {
			p.Error("not authenticated by the method that came back")
		}
		return err
	}, "reg-replaced"),
	{name: "reg-expiry", cases: []rpcase{ // the client is kept, whatever its expiry
		{by: []string{"reg-expiry"}, do: (*party).registerAndLogin},
		{by: []string{"reg-expiry-past"}, do: (*party).registerAndLogin},
		{by: []string{"reg-expiry-absent"}, do: (*party).registerAndLogin},
	}},
	{name: "reg-error", cases: []rpcase{
		{by: []string{"reg-error-uri"}, do: (*party).registerAndLogin, want: "invalid_redirect_uri"},
		{by: []string{"reg-error-metadata"}, do: (*party).registerAndLogin, want: "invalid_client_metadata"},
		{by: []string{"reg-error-401"}, do: (*party).registerAndLogin, want: "HTTP status 401"},
		{by: []string{"reg-error-403"}, do: (*party).registerAndLogin, want: "HTTP status 403 (text/plain), JSON expected: not you"},
		{by: []string{"reg-error-text"}, do: (*party).registerAndLogin, want: "HTTP status 200 (text/plain), JSON expected"},
		{by: []string{"reg-error-no-id"}, do: (*party).registerAndLogin, want: `"client_id" is missing`},
		{do: madeWith200},
		{by: []string{"reg-public"}, do: becamePublic, want: "invalid_client"},
	}},
	{name: "reg-manage", cases: []rpcase{
		{do: managed},
		{by: []string{"reg-manage-new-token"}, do: managed, want: "Invalid registration access token"},
		{by: []string{"reg-without-manage"}, do: (*party).registerAndLogin},
	}},
	checks("auth-one", func(p *party) error {
		err := p.login()
		if r := p.last("token"); r.Header.Get("Authorization") == "" || r.Form().Has("client_secret") || len(r.Form()["client_id"]) > 1 {
			p.Errorf("Authorization %q, body %s", r.Header.Get("Authorization"), r.Body)
		}
		return err
	}),
}

func madeWith200(p *party) error {
	p.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Status: 200, Body: `{"client_id":"` + clientID + `","client_secret":` +
		`"s:e c+r%e&t\"\\"}`})
	return p.registerAndLogin()
}

func becamePublic(p *party) error {
	err := p.registerAndLogin()
	if r := p.last("token"); r.Header.Get("Authorization") != "" || r.Form().Get("client_id") != p.at.ClientID || r.Form().Has("client_secret") {
		p.Errorf("Authorization %q, body %s", r.Header.Get("Authorization"), r.Body)
	}
	return err
}

func managed(p *party) error {
	r, err := p.register()
	if err != nil {
		return err
	}
	if u, err := url.Parse(r.URI); err != nil || u.Host != "idp.example" {
		p.Errorf("managed at %q", r.URI)
	}
	err = p.at.DeleteRegistration(p.Context(), r.URI, secret.FromString(r.Token))
	if err == nil {
		p.at.ClientSecret = secret.FromString("gone")
		if p.login() == nil {
			p.Error("the client is still there")
		}
	}
	return err
}
