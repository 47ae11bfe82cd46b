package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// granted checks the tokens of a login.
func granted(look func(t *oidc.TokenResponse) bool) func(*party) error {
	return func(p *party) error {
		err := p.login()
		if err == nil && !look(p.accepted) {
			p.Errorf("expires in %d, scope %q (%v)", p.accepted.ExpiresIn, p.accepted.Scope, p.accepted.HasScope)
		}
		return err
	}
}

func livesFor(seconds int64) func(*party) error {
	return granted(func(t *oidc.TokenResponse) bool { return t.ExpiresIn == seconds })
}

var tokenRules = []rptest{
	{name: "tok-type", cases: []rpcase{
		{by: []string{"tok-type-bearer"}},
		{by: []string{"tok-type-DPoP"}, want: `"token_type" is`},
		{by: []string{"tok-type-mac"}, want: `"token_type" is`},
		{by: []string{"tok-type-none"}, want: `"token_type" is missing`},
	}},
	{name: "tok-expiry", cases: []rpcase{
		{by: []string{"tok-no-scope"}, do: livesFor(0)},
		{by: []string{"tok-expiry-null"}, do: livesFor(0)},
		{by: []string{"tok-expiry-3600"}, do: livesFor(3600)}, // a string
		{by: []string{"tok-expiry-3600.0"}, do: livesFor(3600)},
		{by: []string{"tok-expiry-0"}, do: livesFor(1)},
		{by: []string{"tok-expiry--1"}, do: livesFor(1)},
		{by: []string{"tok-expiry-1e15"}, do: livesFor(10 * 365 * 24 * 3600)},
		{by: []string{"tok-expiry-soon"}, want: `"expires_in" is a string`},
	}},
	{name: "tok-scope", cases: []rpcase{
		{by: []string{"tok-no-scope"}, do: granted(func(t *oidc.TokenResponse) bool { return !t.HasScope })},
		{by: []string{"tok-scope-smaller"}, do: granted(func(t *oidc.TokenResponse) bool { return t.HasScope && t.Scope == "openid" })},
		{by: []string{"tok-scope-larger"}, do: granted(func(t *oidc.TokenResponse) bool { return strings.HasSuffix(t.Scope, " admin") })},
	}},
	checks("tok-extra", granted(func(t *oidc.TokenResponse) bool { return t.AccessToken.Len() == 16<<10 }), "tok-extra"),
	{name: "tok-no-token", cases: []rpcase{
		{by: []string{"tok-no-token"}, want: `"access_token" is missing`},
		{by: []string{"tok-error-200"}, want: "invalid_grant"},
		{by: []string{"tok-form"}, want: "JSON expected", do: func(p *party) error {
			err := p.login()
			if accept := p.last("token").Header.Get("Accept"); accept != "application/json" {
				p.Errorf("Accept %q", accept)
			}
			return err
		}},
	}},
	{name: "tok-bad-error", cases: []rpcase{
		{by: []string{"tok-bad-error-html"}, want: "HTTP status 400 (text/html)"},
		{by: []string{"tok-bad-error-401"}, want: "HTTP status 401"},
		{by: []string{"tok-bad-error-502"}, want: "HTTP status 502"},
		{by: []string{"tok-bad-error-control"}, want: `invalid_request: a[2J"b c`},
		{do: unknownRefreshToken, want: "invalid_token: Refresh token for value [...] was not found"},
	}},
	{name: "tok-busy", cases: []rpcase{
		{by: []string{"tok-busy-429"}, do: waitsAsTold},
		{by: []string{"tok-busy-503"}, do: waitsAsTold},
	}},
	checks("tok-password", func(p *party) error {
		if err := p.login(); err != nil {
			return err
		}
		for _, r := range p.idp.Requests() {
			if r.Form().Get("grant_type") == oidc.GrantPassword {
				p.Error("a password was sent unasked")
			}
		}
		t, err := p.at.Password(p.Context(), "alice", secret.FromString("alice"), oidc.TokenRequest{Scope: fullScope})
		if err != nil {
			return err
		}
		_, err = p.at.Password(p.Context(), "alice", secret.FromString("wrong"), oidc.TokenRequest{})
		if refused := new(oidc.Error); !errors.As(err, &refused) || refused.Code != "invalid_grant" {
			p.Errorf("a wrong password: %v", err)
		}
		return p.accept(t, oidc.IDTokenCheck{})
	}),
	checks("ref-cut", func(p *party) error {
		p.rotating()
		if err := p.login(); err != nil {
			return err
		}
		p.misbehave("ref-cut")
		err := p.refresh()
		if lost := new(oidc.ConnectionError); !errors.As(err, &lost) {
			p.Errorf("error %v", err)
		}
		p.asked("POST token", 2)
		return loginAgain(p.refresh()) // the only valid refresh token was in the lost response
	}),
	{name: "ref-dead", cases: []rpcase{
		{do: func(p *party) error {
			if err := p.login(); err != nil {
				return err
			}
			p.idp.Revoke(string(p.kept.Reveal()))
			defer p.asked("POST token", 2)
			return loginAgain(p.refresh())
		}},
		{do: func(p *party) error {
			if err := p.login(); err != nil {
				return err
			}
			p.misbehave("tok-error-200")
			return loginAgain(p.refresh())
		}},
	}},
	{name: "ref-shaky", cases: []rpcase{
		{do: shaky("ref-500")}, {do: shaky("ref-portal")}, {do: shaky("dev-timeout")}, {do: noSuchHost},
	}},
	checks("ref-scope", func(p *party) error {
		if err := p.login(); err != nil {
			return err
		}
		for _, scope := range []string{"openid", "admin", fullScope} {
			err := p.refreshFor(oidc.TokenRequest{Scope: scope})
			refused := new(oidc.Error)
			if scope == "admin" && (!errors.As(err, &refused) || refused.Code != "invalid_scope" || refused.TokenExpired()) {
				p.Errorf("more than was granted: %v", err)
			}
			if scope != "admin" && (err != nil || p.accepted.Scope != scope) {
				p.Errorf("scope %q: %v", scope, err)
			}
		}
		return p.refresh()
	}),
	// Nobody stores the nonce and auth_time of the login: an agent may have been restarted since. The refresh token
	// in the request binds the response to it.
	{name: "ref-idtoken", cases: []rpcase{
		{do: refreshing()}, // a new iat
		{do: refreshing("ref-idtoken-absent")},
		{do: refreshing("missing-nonce")},
		{do: refreshing("expired-exp")}, // that of the login again
		{do: refreshing("invalid-aud"), want: `"aud"`},
	}},
	{name: "revoke", cases: []rpcase{
		{do: revoked},
		{by: []string{"revoke-503"}, do: revoked, want: "HTTP status 503 (text/plain), JSON expected: later"},
		{by: []string{"revoke-unsupported"}, do: revoked, want: "unsupported_token_type"},
		{by: []string{"revoke-none"}, do: revoked, want: "no revocation_endpoint"},
	}},
	{name: "ui-401", notApplicable: noUserinfo},
}

func unknownRefreshToken(p *party) error {
	if err := p.login(); err != nil {
		return err
	}
	p.kept = secret.FromString("an opaque token that nobody knows")
	return p.refresh()
}

// waitsAsTold checks that the error says when to retry, and that the code is still valid then.
func waitsAsTold(p *party) error {
	if err := p.discover(); err != nil {
		return err
	}
	d, err := p.at.AuthorizeDevice(p.Context(), fullScope)
	if err != nil {
		return err
	}
	_, err = p.at.PollDevice(p.Context(), d.DeviceCode, oidc.TokenRequest{})
	if after, again := oidc.Temporary(err); after != 7*time.Second || !again {
		p.Errorf("%v: again %v, after %v", err, again, after)
	}
	t, err := p.at.PollDevice(p.Context(), d.DeviceCode, oidc.TokenRequest{})
	if err != nil {
		return err
	}
	return p.accept(t, oidc.IDTokenCheck{})
}

// loginAgain turns the error that asks for a new login into a success.
func loginAgain(err error) error {
	if refused := new(oidc.Error); errors.As(err, &refused) && refused.TokenExpired() {
		return nil
	}
	return errors.Join(errors.New("not told to log in again"), err)
}

// shaky is a refresh that fails although the refresh token is good, and then succeeds.
func shaky(by string) func(*party) error {
	return func(p *party) error {
		if err := p.login(); err != nil {
			return err
		}
		p.misbehave(by)
		old := p.kept
		err := p.refresh()
		for err != nil && loginAgain(err) != nil && p.idp.Counters()["POST token"] < 5 {
			err = p.refresh()
		}
		if !p.kept.Equal(old) || p.idp.Counters()["POST token"] < 3 {
			p.Errorf("kept %v after %v", p.kept.Equal(old), p.idp.Counters())
		}
		return err
	}
}

func noSuchHost(p *party) error {
	if err := p.login(); err != nil {
		return err
	}
	md := *p.at.Metadata
	p.at.TokenEndpoint = "https://gone.invalid/token"
	p.net.hosts["gone.invalid"] = nil
	if err := p.refresh(); err == nil || loginAgain(err) == nil {
		p.Errorf("error %v", err)
	}
	p.at.Metadata = &md
	return p.refresh()
}

func revoked(p *party) error {
	if err := p.login(); err != nil {
		return err
	}
	token := p.kept.Clone()
	p.accepted = nil
	for range 2 { // the second time the token is unknown
		if err := p.at.Revoke(p.Context(), token); err != nil {
			return err
		}
	}
	r := p.last("revoke")
	if r.Form().Get("token_type_hint") != "refresh_token" || r.Header.Get("Authorization") == "" {
		p.Errorf("body %s", r.Body)
	}
	return loginAgain(p.refresh())
}

var jwtRules = []rptest{
	{name: "jwt-confusion", cases: []rpcase{
		{with: withRSA, by: []string{"sig-hs256-public-key"}, want: "is not accepted"},
		{with: withRSA, by: []string{"sig-empty"}, want: "signature is not valid"},
		{by: []string{"sig-none"}, want: "is not accepted"},
		{by: []string{"sig-None"}, want: "is not accepted"},
		{by: []string{"sig-nOnE"}, want: "is not accepted"},
	}},
	{name: "jwt-keys", cases: []rpcase{
		{by: []string{"header-jwk"}, want: "signature is not valid"},
		{by: []string{"header-urls"}}, // no request goes to them
		{by: []string{"keys-enc"}, want: "publishes no key"},
		{by: []string{"keys-alg"}, want: "publishes no key"},
	}},
	{name: "jwt-crit", cases: []rpcase{
		{by: []string{"header-crit"}, want: `"crit"`},
		{by: []string{"header-crit-b64"}, want: `"crit"`},
	}},
	{name: "jwt-sig-form", cases: []rpcase{
		{by: []string{"sig-der"}, want: "signature is not valid"},
		{by: []string{"sig-short"}, want: "signature is not valid"},
		{by: []string{"sig-zero"}, want: "signature is not valid"},
		{with: withSmallRSA, want: "publishes no key"},
	}},
	{name: "jwt-shape", cases: []rpcase{
		{by: []string{"jwt-2-parts"}, want: "three parts"},
		{by: []string{"jwt-4-parts"}, want: "three parts"},
		{by: []string{"jwt-5-parts"}, want: "three parts"},
		{by: []string{"jwt-padding"}, want: "base64url"},
		{by: []string{"claim-twice"}, want: `"sub" occurs twice`},
		{by: []string{"jwt-unsigned"}, want: "is not accepted"},
		{want: "three parts", do: func(*party) error {
			_, err := oidc.UnverifiedIssuer(secret.FromString("e30.e30." + strings.Repeat("A", 10<<20)))
			return err
		}},
	}},
	{name: "jwt-time", cases: []rpcase{
		{by: []string{"exp-scientific"}}, {by: []string{"exp-fraction"}},
		{by: []string{"exp-text"}, want: `"exp" is a string`},
		{by: []string{"iat-ahead"}, want: "issued in the future"},
		{by: []string{"nbf-ahead"}, want: "it is not valid before"},
	}},
	rejects("jwt-azp", `"azp" is`, "invalid-azp"),
	accepts("jwt-access", "tok-opaque"),
}

func withSmallRSA(c *iam.Config) {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	c.Alg, c.Key = iam.RS256, key
}
