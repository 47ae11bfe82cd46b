package ipc

import (
	"errors"
	"fmt"
	"testing"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// The requests are those that the C 5.3.3 client was seen to send.
func TestAccessTokenRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wire string
		want AccessTokenRequest
	}{
		{`{"request":"access_token","min_valid_period":60,"account":"demo","application_hint":"oidc-token"}`,
			AccessTokenRequest{Account: "demo", MinValidPeriod: 60, ApplicationHint: "oidc-token"}},
		{`{"request":"access_token","min_valid_period":-1,"account":"demo","scope":"openid profile","application_hint":"myapp","audience":"https://a.example https://b.example"}`,
			AccessTokenRequest{Account: "demo", MinValidPeriod: -1, Scope: "openid profile", ApplicationHint: "myapp", Audience: "https://a.example https://b.example"}},
		{`{"request":"access_token","min_valid_period":0,"issuer":"https://issuer.example/","application_hint":"oidc-token"}`,
			AccessTokenRequest{Issuer: "https://issuer.example/", ApplicationHint: "oidc-token"}},
		{`{"request":"access_token","min_valid_period":0,"account":"demo","timeout":5}`, AccessTokenRequest{Account: "demo", Timeout: 5}},
	} {
		if got := string(c.want.Encode().Compact()); got != c.wire {
			t.Errorf("got %s, want %s", got, c.wire)
		}
	}
}

func parse(t *testing.T, text string) *cjson.Object {
	t.Helper()
	o, err := cjson.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	const wire = `{"status":"success","access_token":"AT","issuer":"http://127.0.0.1:9111/","expires_at":1700000000}`
	token, err := ParseAccessToken(parse(t, wire))
	if err != nil || string(token.Token.Reveal()) != "AT" || token.Issuer != "http://127.0.0.1:9111/" || token.ExpiresAt != 1700000000 {
		t.Errorf("got %+v, %v", token, err)
	}
	token.Token = secret.FromString("AT")
	if got := string(token.Encode().Compact()); got != wire {
		t.Errorf("got %s", got)
	}
	token.Warning = "not saved"
	warned := token.Encode()
	if got, err := ParseAccessToken(warned); err != nil || got.Warning != "not saved" {
		t.Errorf("%s: got %+v, %v", warned.Compact(), got, err)
	}
	for text, want := range map[string]error{
		`{"status":"failure","error":"account not loaded"}`: ErrNotLoaded,
		`{"status":"success"}`:                              ErrBadAnswer,
		`{}`:                                                ErrBadAnswer,
	} {
		if _, err := ParseAccessToken(parse(t, text)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ answer, text, info string }{
		{`{"status":"success"}`, "", ""},
		{`{"status":"success","info":"Agent locked"}`, "", ""},
		{`{"status":"accepted","uri":"x"}`, "", ""},
		{`{"status":"NotFound","info":"No loaded account info found"}`, "", ""},
		{`{"status":"failure","error":"invalid_grant: expired","info":"Try\noidc-gen"}`, "invalid_grant: expired", "Try\noidc-gen"},
		{`{"status":"failure"}`, "the agent tells a failure without a reason", ""},
		{`{"error":"not found"}`, "not found", ""},
	} {
		err := Check(parse(t, c.answer))
		var failure *Failure
		if (err != nil) != (c.text != "") || errors.As(err, &failure) && (failure.Text != c.text || failure.Hint() != c.info) {
			t.Errorf("%s: got %#v", c.answer, err)
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	f := &Failure{Text: "Agent locked", Info: "unlock it"}
	if got := string(f.Encode().Compact()); got != `{"status":"failure","error":"Agent locked","info":"unlock it"}` {
		t.Errorf("got %s", got)
	}
	wrapped := fmt.Errorf("account %q: %w", "demo", Check(f.Encode()))
	if !errors.Is(wrapped, ErrLocked) || errors.Is(wrapped, ErrNotLoaded) {
		t.Errorf("%v is taken for another failure", wrapped)
	}
	if got := string(Success("").Compact()) + string(Success("a").Compact()); got != `{"status":"success"}{"status":"success","info":"a"}` {
		t.Errorf("got %s", got)
	}
}
