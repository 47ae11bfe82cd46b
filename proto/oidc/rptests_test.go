package oidc_test

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/oidc"
	"oidc-agent/proto/secret"
)

// Tests of the relying party: what a provider may do to a client. Names that begin with a family's prefix are modules
// of the OpenID Foundation's conformance suite: oidcc-client-test, fapi1, fapi2 and ciba. The others are rules of the
// RFCs that the suite does not test.

// An rptest is one rule, tested in one or more cases.
type rptest struct {
	name  string
	cases []rpcase
	// notApplicable says why this package cannot break the rule. If it is the agent's rule, agentTest names a test.
	notApplicable string
	agentTest     string // "code_test.go TestCodeFlow"
}

// An rpcase is a misbehaviour and its expected result.
type rpcase struct {
	by   []string           // the provider's switches in iam
	with func(*iam.Config)  // the provider's configuration; nil: the default
	do   func(*party) error // what the client does; nil: a login by code
	want string             // part of the error; empty: none
}

// rejects and accepts are rules that a single switch tests.
func rejects(name, want string, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, want: want}}}
}

func accepts(name string, by ...string) rptest { return rptest{name: name, cases: []rpcase{{by: by}}} }

// checks is a rule that needs more than a login.
func checks(name string, do func(*party) error, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, do: do}}}
}

func fails(name, want string, do func(*party) error, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, do: do, want: want}}}
}

// agents is a rule for the agent, not for this package.
func agents(name, test, reason string) rptest {
	return rptest{name: name, notApplicable: reason, agentTest: test}
}

// The numbers of rules, so that none is lost.
const (
	rulesOfSuite = 63
	rulesOfRFCs  = 61
)

func TestRelyingParty(t *testing.T) {
	var passed, notApplicable atomic.Int32
	// The most dangerous first: what gives away secrets before what only fails.
	suite := slices.Concat(firstRules, deviceRules, idTokenRules, signatureRules, flowRules, familyRules,
		discoveryRules, callbackRules, registrationRules, tokenRules, jwtRules)
	t.Cleanup(func() {
		t.Logf("%d rules: %d passed, %d not applicable", len(suite), passed.Load(), notApplicable.Load())
	})
	names, families := map[string]bool{}, 0
	for _, test := range suite {
		if names[test.name] {
			t.Errorf("%s is there twice", test.name)
		}
		names[test.name] = true
		if strings.Contains(test.name, "client-") {
			families++
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.notApplicable != "" {
				t.Logf("not applicable: %s", test.notApplicable)
				test.checkAgentTest(t)
				notApplicable.Add(1)
				return
			}
			for _, c := range test.cases {
				synctest.Test(t, c.run)
			}
			if !t.Failed() {
				passed.Add(1)
			}
		})
	}
	if others := len(suite) - families; families != rulesOfSuite || others != rulesOfRFCs {
		t.Errorf("%d rules of the conformance suite, want %d; %d of the RFCs, want %d", families, rulesOfSuite, others, rulesOfRFCs)
	}
}

// checkAgentTest checks that the agent's test still exists.
func (r rptest) checkAgentTest(t *testing.T) {
	if r.agentTest == "" {
		return
	}
	file, name, _ := strings.Cut(r.agentTest, " ")
	source, err := os.ReadFile("../../agent/" + file)
	if err != nil || !strings.Contains(string(source), "func "+name+"(t *testing.T)") {
		t.Errorf("there is no agent/%s: %v", r.agentTest, err)
	}
}

func (c rpcase) run(t *testing.T) {
	p := newParty(t, c.with)
	for _, name := range c.by {
		p.misbehave(name)
	}
	do := c.do
	if do == nil {
		do = (*party).login
	}
	err := do(p)
	switch {
	case err == nil && c.want != "":
		t.Errorf("%v: no error, want one with %q", c.by, c.want)
	case err != nil && (c.want == "" || !strings.Contains(err.Error(), c.want)):
		t.Errorf("%v: error %q, want %q in it", c.by, err, c.want)
	case err != nil:
		p.checkRejected(err)
	}
}

// checkRejected checks that nothing of a bad response is used and that the error shows no secret.
func (p *party) checkRejected(err error) {
	p.Helper()
	if p.accepted != nil {
		p.Errorf("a token was handed out, and then %v", err)
	}
	for _, s := range []string{"eyJ", clientSecret, string(p.kept.Reveal())} {
		if s != "" && strings.Contains(err.Error(), s) {
			p.Errorf("the error %q holds a secret", err)
		}
	}
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f {
			p.Errorf("the error %q holds a control character", err)
		}
	}
}

const (
	clientID     = "client"
	clientSecret = `s:e c+r%e&t"\`
	redirectURI  = "http://localhost:4242"
	fullScope    = "openid profile offline_access storage.read:/"
)

// party is a relying party with its provider.
type party struct {
	*testing.T
	idp    *iam.Server
	net    network
	issuer string // as the user typed it
	at     oidc.Provider

	lastURL   string // where the browser was sent
	lastNonce string

	subject  string              // of the login
	accepted *oidc.TokenResponse // what the client would return to the user
	kept     secret.Secret       // the refresh token that it would save
}

func newParty(t *testing.T, with func(*iam.Config)) *party {
	t.Helper()
	cfg := iam.Config{
		Issuer: "https://idp.example/", Alg: iam.ES256, Settings: iam.Settings{AutoApprove: true},
		Clients: []iam.Client{{ClientID: clientID, ClientSecret: clientSecret, RedirectURIs: []string{redirectURI},
			GrantTypes: []string{"authorization_code", "refresh_token", "password", oidc.GrantDeviceCode}}},
	}
	if with != nil {
		with(&cfg)
	}
	p := &party{T: t, net: network{t, map[string]*iam.Server{}}, issuer: cfg.Issuer}
	p.idp = p.add(cfg)
	client, err := oidc.NewClient(oidc.Options{Transport: p.net})
	if err != nil {
		t.Fatal(err)
	}
	p.at = oidc.Provider{Client: client, ClientID: clientID, ClientSecret: secret.FromString(clientSecret)}
	return p
}

// misbehave turns on a switch of the provider.
func (p *party) misbehave(name string) {
	p.Helper()
	if err := p.idp.Switch(name); err != nil {
		p.Fatal(err)
	}
}

// asked checks the number of requests to a URL.
func (p *party) asked(what string, times int) {
	p.Helper()
	if n := p.idp.Counters()[what]; n != times {
		p.Errorf("%s: asked %d times, want %d", what, n, times)
	}
}
