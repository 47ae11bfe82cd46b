package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"sync"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func withRSA(c *iam.Config) { c.Alg, c.Key = iam.RS256, rsaKey() }

func strictly(c *iam.Config) { c.StrictAuthMethod = true }

func likeTheSuite(c *iam.Config) { c.Conformance, c.Rotate = true, true }

// firstRules protect secrets, which matters most.
var firstRules = []rptest{
	{name: "tok-redirect", cases: []rpcase{
		{by: []string{"tok-redirect-307"}, want: "a redirect to"},
		{by: []string{"tok-redirect-308"}, want: "a redirect to"},
		{do: redirected("token", (*party).refresh), want: "a redirect to"},
		{do: redirected("devicecode", (*party).device), want: "a redirect to"},
		{do: redirected("revoke", func(p *party) error { return p.at.Revoke(p.Context(), p.kept) }), want: "a redirect to"},
		{do: redirected("iam/api/client-registration", (*party).registerAndLogin), want: "a redirect to"},
	}},
	{name: "oidcc-client-(the suite's provider)", cases: []rpcase{
		{with: likeTheSuite, do: wholeLife},
		{with: func(c *iam.Config) { likeTheSuite(c); withRSA(c) }, do: wholeLife},
	}},
	{name: "ref-rotated", cases: []rpcase{
		{do: func(p *party) error { return errors.Join(refreshing()(p), p.refresh()) }},
		{do: keepsOldRefreshToken},
		{do: refreshing("tok-type-DPoP"), want: `"token_type" is`}, // and keeps the new refresh token
	}},
	agents("ref-race", "rotate_test.go TestTwoAgents", "one flight for many callers, and one rotation for two agents, are the agent's doing"),
	{name: "cb-state", cases: []rpcase{
		{by: []string{"callback-state"}, want: "state is not ours"},
		{by: []string{"callback-state-empty"}, want: "state is not ours"},
		{by: []string{"callback-no-state"}, want: "state is not ours"},
		{do: goodAfterBad},
	}},
	{name: "cb-iss", cases: []rpcase{
		{by: []string{"callback-iss"}, want: "comes from the issuer"},
		{by: []string{"callback-iss-slash"}, want: "comes from the issuer"},
		{by: []string{"callback-iss-case"}, want: "comes from the issuer"},
		{by: []string{"callback-iss-escaped"}, want: "comes from the issuer"},
		{by: []string{"callback-error-iss"}, want: "comes from the issuer"},
		{by: []string{"callback-no-iss"}, want: "names no issuer"},
	}},
}

// redirected redirects a request with secrets to another host, which the network does not know.
func redirected(path string, do func(*party) error) func(*party) error {
	return func(p *party) error {
		if err := p.login(); err != nil {
			p.Fatal(err)
		}
		p.accepted = nil
		p.idp.Fail(iam.Fault{Path: path, Status: 307, Header: map[string]string{"Location": "https://elsewhere.example/" + path}})
		return do(p)
	}
}

// wholeLife is so many rotations that most punctuation occurs in a token.
func wholeLife(p *party) error {
	for range 5 {
		p.subject = ""
		if err := p.registerAndLogin(); err != nil {
			return err
		}
		for range 3 {
			if err := p.refresh(); err != nil {
				return err
			}
		}
		if p.accepted.ExpiresIn != 0 {
			p.Errorf("expires_in %d", p.accepted.ExpiresIn)
		}
		if err := p.at.Revoke(p.Context(), p.kept); err != nil {
			return err
		}
		p.accepted = nil
		if err := p.refresh(); err == nil {
			p.Error("what was revoked is alive")
		}
	}
	return nil
}

func keepsOldRefreshToken(p *party) error {
	if err := p.login(); err != nil {
		return err
	}
	old := p.kept
	p.misbehave("ref-not-rotated")
	if err := p.refresh(); err != nil || !p.accepted.RefreshToken.IsEmpty() || !p.kept.Equal(old) {
		p.Errorf("%v, a refresh token out of nothing", err)
	}
	return p.refresh()
}

// goodAfterBad checks that a response to another login does not end this one.
func goodAfterBad(p *party) error {
	if err := p.discover(); err != nil {
		return err
	}
	verifier, challenge := oidc.NewPKCE()
	query, err := p.browse(fullScope, challenge, "state", "nonce")
	if err != nil {
		return err
	}
	if _, err := p.at.ParseAuthorizationResponse(strings.Replace(query, "state=state", "state=other", 1), "state"); err == nil || errors.As(err, new(*oidc.Error)) {
		p.Errorf("another login's answer: %v", err)
	}
	if _, err := p.at.ParseAuthorizationResponse(query, ""); err == nil {
		p.Error("a login without state")
	}
	code, err := p.at.ParseAuthorizationResponse(query, "state")
	if err != nil {
		return err
	}
	t, err := p.at.ExchangeCode(p.Context(), code, redirectURI, verifier, oidc.TokenRequest{})
	if err != nil {
		return err
	}
	return p.accept(t, oidc.IDTokenCheck{Nonce: "nonce"})
}

var deviceRules = []rptest{
	{name: "dev-missing", cases: []rpcase{
		{by: []string{"dev-missing-device_code"}, do: polling(), want: `"device_code" is missing`},
		{by: []string{"dev-missing-user_code"}, do: polling(), want: `"user_code" is missing`},
		{by: []string{"dev-missing-verification_uri"}, do: polling(), want: "is missing"},
		{by: []string{"dev-verification_url"}, do: polling(5)},
		{by: []string{"dev-missing-expires_in"}, do: polling(5)},
		{by: []string{"dev-missing-expires_in", "dev-forever"}, do: pollingUntil(595), want: "in time"},
	}},
	{name: "dev-interval", cases: []rpcase{
		{do: polling(5)},
		{by: []string{"dev-interval-0"}, do: polling(1)},
		{by: []string{"dev-interval-31"}, do: polling(31)},
		{by: []string{"dev-interval-long"}, do: polling(), want: "in time"},
	}},
	checks("dev-pending", polling(5, 10, 15, 20, 25), "dev-pending"),
	checks("dev-slow-down", polling(5, 15, 25, 40, 55), "dev-slow-down"),
	{name: "dev-end", cases: []rpcase{
		{by: []string{"dev-access_denied"}, do: polling(5, 10, 15), want: "access_denied"},
		{by: []string{"dev-expired_token"}, do: polling(5, 10, 15), want: "expired_token"},
		{by: []string{"dev-invalid_grant"}, do: polling(5, 10), want: "invalid_grant"},
		{by: []string{"dev-invalid_client"}, do: polling(5, 10), want: "invalid_client"},
		{by: []string{"dev-unknown-error"}, do: polling(5, 10), want: "out_of_paper"},
	}},
	fails("dev-forever", "in time", pollingUntil(595), "dev-forever"),
	{name: "dev-timeout", cases: []rpcase{
		{by: []string{"dev-timeout"}, do: polling(5, 10, 35, 65)}, // 15 s to each timeout, then 10 s and 15 s
		{by: []string{"dev-refused"}, do: polling(5, 10, 20)},
	}},
	checks("dev-slow-answer", polling(5, 24), "dev-slow-answer"),
	{name: "dev-display", cases: []rpcase{
		{by: []string{"dev-display-javascript"}, do: polling(), want: `"verification_uri"`},
		{by: []string{"dev-display-file"}, do: polling(), want: `"verification_uri_complete"`},
		{by: []string{"dev-display-escape"}, do: showsPrintableCode},
		{by: []string{"dev-display-error"}, do: polling(5), want: "access_denied: no]0;x way"},
	}},
	{name: "dev-auth", cases: []rpcase{
		{with: strictly, by: []string{"dev-slow-down"}, do: authenticatesEachPoll},
		{with: publicClient, by: []string{"dev-slow-down"}, do: asPublicClient(authenticatesEachPoll)},
	}},
}

// pollingUntil is a device flow that nobody approves, with its last poll after so many seconds.
func pollingUntil(last int) func(*party) error {
	var at []int
	for n := 5; n <= last; n += 5 {
		at = append(at, n)
	}
	return polling(at...)
}

func publicClient(c *iam.Config) {
	c.StrictAuthMethod = true
	c.Clients[0].ClientSecret, c.Clients[0].TokenEndpointAuthMethod = "", "none"
}

func showsPrintableCode(p *party) error {
	if err := p.discover(); err != nil {
		return err
	}
	d, err := p.at.AuthorizeDevice(p.Context(), fullScope)
	if err == nil && d.UserCode != "AB[31mC-1" {
		p.Errorf("user code %q", d.UserCode)
	}
	return err
}

func authenticatesEachPoll(p *party) error {
	err := p.device()
	for _, r := range p.idp.Requests() {
		header, body := r.Header.Get("Authorization") != "", r.Form()
		if r.Method == "POST" && (header == p.at.ClientSecret.IsEmpty() || !header && body.Get("client_id") != clientID || body.Has("client_secret")) {
			p.Errorf("%s: Authorization %v, body %s", r.Path, header, r.Body)
		}
	}
	return err
}

func asPublicClient(do func(*party) error) func(*party) error {
	return func(p *party) error {
		p.at.ClientSecret = secret.Secret{}
		return do(p)
	}
}
