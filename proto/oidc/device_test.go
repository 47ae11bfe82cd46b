package oidc

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"oidc-agent/proto/secret"
)

func TestAuthorizeDevice(t *testing.T) {
	t.Parallel()
	public := ClientCredentials{ID: "client", Public: true}
	post := ClientCredentials{ID: "client", Secret: secret.FromString("s"), AuthMethod: ClientSecretPost}
	for name, c := range map[string]struct {
		cred ClientCredentials
		want url.Values
	}{
		"basic":  {testClient, url.Values{"client_id": {"client"}, "scope": {"openid offline_access"}}},
		"public": {public, url.Values{"client_id": {"client"}, "scope": {"openid offline_access"}}},
		"post":   {post, url.Values{"client_id": {"client"}, "client_secret": {"s"}, "scope": {"openid offline_access"}}},
	} {
		client, rec := recording(t, 200, `{"device_code":"d","user_code":"LYEOTT","verification_uri":"https://op.example/device"}`)
		d, err := client.AuthorizeDevice(t.Context(), testMetadata(), c.cred, "openid  offline_access")
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
		{"escape in uri", `{"device_code":"d","user_code":"u","verification_uri":"https://op.example/\u001b[2J"}`, 0, 0, "no URL may have"},
		{"interval of a wrong type", head + `,"interval":{}}`, 0, 0, `"interval" is an object, a number expected`},
		{"refused", `{"error":"invalid_scope","error_description":"no"}`, 0, 0, "invalid_scope: no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := answering(t, 200, "application/json", c.body).AuthorizeDevice(t.Context(), testMetadata(), testClient, "")
			wantText(t, err, c.wantErr)
			if err == nil && (d.ExpiresIn != c.expiresIn || d.Interval != c.interval || d.UserCode != "u" || d.VerificationURI == "") {
				t.Errorf("%+v", d)
			}
		})
	}
	client, _ := recording(t, 200, "")
	_, err := client.AuthorizeDevice(t.Context(), &Metadata{}, testClient, "")
	var missing *NoEndpointError
	if !errors.As(err, &missing) || missing.Name != "device_authorization_endpoint" {
		t.Errorf("%v", err)
	}
}

func TestNextPoll(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err      error
		interval time.Duration
		want     time.Duration // 0: over
	}{
		{&Error{Code: CodeAuthorizationPending, Status: 400}, 5, 5},
		{&Error{Code: CodeAuthorizationPending, Status: 200}, 31, 31},
		{fmt.Errorf("wrapped: %w", &Error{Code: CodeSlowDown}), 5, 10},
		{&Error{Code: CodeSlowDown}, 10, 15},
		{&Error{Code: CodeAccessDenied}, 5, 0},
		{&Error{Code: CodeExpiredToken}, 5, 0},
		{&Error{Code: CodeInvalidGrant}, 5, 0},
		{&Error{Code: CodeInvalidClient}, 5, 0},
		{&Error{Code: "never_heard_of"}, 5, 0},
		{&ConnectionError{Timeout: true}, 5, 10},
		{&ConnectionError{}, 60, 80},
		{&ConnectionError{}, 100, 100},
		{&ConnectionError{lasting: true}, 5, 0},
		{&HTTPError{Status: 503}, 5, 10},
		{&HTTPError{Status: 429, RetryAfter: 30 * time.Second}, 5, 30},
		{&HTTPError{Status: 500}, 5, 0},
		{io.EOF, 5, 0},
	} {
		next, again := NextPoll(c.interval*time.Second, c.err)
		if again != (c.want > 0) || again && next != c.want*time.Second {
			t.Errorf("%v at %d s: %s, %t, want %d s", c.err, c.interval, next, again, c.want)
		}
	}
}

// A whole device grant by the clock: the provider sees no poll too early, through slow_down, a timeout and
// every status that authorization_pending comes with.
func TestPollingByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []struct {
			status int
			body   string
			after  time.Duration // since the poll before
		}{
			{400, `{"error":"authorization_pending"}`, 5 * time.Second},
			{401, `{"error":"authorization_pending"}`, 5 * time.Second},
			{400, `{"error":"slow_down"}`, 5 * time.Second},
			{428, `{"error":"authorization_pending"}`, 10 * time.Second},
			{400, `{"error":"slow_down"}`, 10 * time.Second},
			{200, `{"error":"authorization_pending"}`, 15 * time.Second},
			{0, "", 15 * time.Second},
			{200, `{"access_token":"at","token_type":"Bearer","refresh_token":"rt"}`, 45 * time.Second}, // 15 to the timeout, 30 of doubled interval
		}
		last, polls := time.Now(), 0
		client := mustClient(t, Options{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
			a := answers[polls]
			if since := time.Since(last); since != a.after {
				t.Errorf("poll %d after %s, want %s", polls, since, a.after)
			}
			last, polls = time.Now(), polls+1
			if a.status == 0 {
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			return answering(t, a.status, "application/json", a.body).http.Transport.RoundTrip(req)
		})})
		for wait, again := 5*time.Second, true; again; {
			time.Sleep(wait)
			token, err := client.PollDevice(t.Context(), testMetadata(), testClient, secret.FromString("d"), TokenRequest{})
			if err == nil {
				if revealed(token.RefreshToken) != "rt" || polls != len(answers) {
					t.Errorf("%+v after %d polls", token, polls)
				}
				return
			}
			if wait, again = NextPoll(wait, err); !again {
				t.Errorf("ended by %v", err)
			}
		}
	})
}
