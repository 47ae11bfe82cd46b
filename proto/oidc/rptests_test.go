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

// The relying party's tests: what a client must withstand of a provider. Names that start with a family's
// prefix are modules of the OpenID Foundation's conformance suite: oidcc-client-test, fapi1, fapi2 and ciba for
// its families of clients. The others are rules of the RFCs that the suite does not test.

// An rptest is one rule, held in one or more cases.
type rptest struct {
	name  string
	cases []rpcase
	// notApplicable tells why this package cannot break the rule. One whose rule is the agent's names the
	// agent's test that holds it.
	notApplicable string
	agentTest     string // "code_test.go TestCodeFlow"
}

// An rpcase is a misbehaviour, and what must come of it.
type rpcase struct {
	by   []string           // the provider: switches of iam
	with func(*iam.Config)  // the provider: its configuration; nil: the party's own
	do   func(*party) error // the client; nil: the whole login by code
	want string             // part of the error; empty: the client accepts
}

// both are a rule that a single switch tries.
func rejects(name, want string, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, want: want}}}
}

func accepts(name string, by ...string) rptest { return rptest{name: name, cases: []rpcase{{by: by}}} }

// checks is a rule that takes more than a login to see.
func checks(name string, do func(*party) error, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, do: do}}}
}

func fails(name, want string, do func(*party) error, by ...string) rptest {
	return rptest{name: name, cases: []rpcase{{by: by, do: do, want: want}}}
}

// agents is a rule that the agent keeps, not this package.
func agents(name, test, reason string) rptest {
	return rptest{name: name, notApplicable: reason, agentTest: test}
}

// The numbers of rules, so that none gets lost.
const (
	rulesOfSuite = 63
	rulesOfRFCs  = 61
)

func TestRelyingParty(t *testing.T) {
	var passed, notApplicable atomic.Int32
	// In the order of danger: first what gives secrets away, last what only breaks.
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

// checkAgentTest looks whether the test that the reason relies on is still there.
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

// checkRejected: of a bad answer nothing is handed out, and the error gives no secret away.
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
	accepted *oidc.TokenResponse // what the client would hand out
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

// misbehave turns a switch of the provider on.
func (p *party) misbehave(name string) {
	p.Helper()
	if err := p.idp.Switch(name); err != nil {
		p.Fatal(err)
	}
}

// asked checks how often an address was asked.
func (p *party) asked(what string, times int) {
	p.Helper()
	if n := p.idp.Counters()[what]; n != times {
		p.Errorf("%s: asked %d times, want %d", what, n, times)
	}
}
