package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"oidc-agent/proto/secret"
)

const testRefreshToken = "eyJhbGciOiJub25lIn0.eyJqdGkiOiI0NzExIn0."

// refreshed sends testRefreshToken to a client.
func refreshed(t testing.TB, c *Client) (*TokenResponse, error) {
	t.Helper()
	return at(c, testMetadata()).Refresh(t.Context(), secret.FromString(testRefreshToken), TokenRequest{})
}

// A provider's error becomes exactly "code: description", without control characters and secrets.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 400)
	for _, c := range []struct {
		name, body, want string
	}{
		{"code alone", `{"error":"invalid_grant"}`, "invalid_grant"},
		{"code and description", `{"error":"invalid_scope","error_description":"Up-scoping is not allowed."}`, "invalid_scope: Up-scoping is not allowed."},
		{"description null", `{"error":"invalid_grant","error_description":null}`, "invalid_grant"},
		{"description no string", `{"error":"invalid_grant","error_description":{"a":[1]}}`, "invalid_grant"},
		{"IAM's unknown token", `{"error":"invalid_token","error_description":"Refresh token for value ` + testRefreshToken + ` was not found"}`,
			"invalid_token: Refresh token for value [...] was not found"},
		{"part of the token", `{"error":"invalid_token","error_description":"Invalid refresh token: eyJhbGciOiJub25lIn0.eyJqd"}`, "invalid_token: Invalid refresh token: [...]"},
		{"token split by a control", `{"error":"x","error_description":"a ` + testRefreshToken[:10] + `\u0007` + testRefreshToken[10:] + ` b"}`, "x: a [...] b"},
		{"client secret", `{"error":"invalid_client","error_description":"bad secret client-password, it was not good"}`, "invalid_client: bad secret [...], it was not good"},
		{"opaque, split by a control", `{"error":"x","error_description":"a client-\u0007password b"}`, "x: a [...] b"},
		{"token as code", `{"error":"` + testRefreshToken + `"}`, "[...]"},
		{"controls", `{"error":"server_error","error_description":"a\u001b[31mb\r\n\tc\u0000d\u202ee\u0085f"}`, "server_error: a[31mb cde f"},
		{"invalid UTF-8", "{\"error\":\"x\",\"error_description\":\"a\xffb\"}", "x: a\ufffdb"},
		{"long", `{"error":"x","error_description":"` + long + `"}`, "x: " + long[:600] + "…"},
		{"IAM's registration", `{"error":"Grant type not allowed: password"}`, "Grant type not allowed: password"},
		{"unknown members", `{"error":"invalid_request","status":400,"x":{}}`, "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := refreshed(t, answering(t, 400, "application/json", c.body))
			if err == nil || err.Error() != c.want {
				t.Errorf("error %q, want %q", err, c.want)
			}
			var e *Error
			if !errors.As(err, &e) || e.Status != 400 {
				t.Errorf("%#v is no *Error with status 400", err)
			}
		})
	}
}

func TestUnexpectedAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status            int
		contentType, body string
		want              string
	}{
		{500, "text/html; charset=utf-8", "<html>client-password</html>", "provider answered with HTTP status 500 (text/html), JSON expected"},
		{200, "text/html", "<html>", "provider answered with HTTP status 200 (text/html), JSON expected"},
		{401, "", "", "provider answered with HTTP status 401, JSON expected"},
		{502, "text/plain", "no\x1b upstream for client-password", "provider answered with HTTP status 502 (text/plain), JSON expected: no upstream for [...]"},
		{400, "application/problem+json", `{"title":"no"}`, `provider answered with HTTP status 400 (application/problem+json), without an error code: {"title":"no"}`},
		{400, "application/json", `{"error":{"code":1}}`, `provider answered with HTTP status 400 (application/json), "error" is an object, a string expected: {"error":{"code":1}}`},
		{400, "application/json", `{"error":`, `provider answered with HTTP status 400 (application/json), JSON expected: {"error":`},
		{200, "application/json", `[]`, "provider answered with HTTP status 200 (application/json), JSON expected"},
		{200, "application/json", `null`, "provider answered with HTTP status 200 (application/json), JSON expected"},
		{200, "application/x-www-form-urlencoded", `access_token=a&token_type=bearer`, "provider answered with HTTP status 200 (application/x-www-form-urlencoded), JSON expected"},
		{200, "application/json", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "JSON expected"},
		{304, "text/html", "", "HTTP status 304 (text/html), a redirect"},
	} {
		_, err := refreshed(t, answering(t, c.status, c.contentType, c.body))
		var e *Error
		if !errors.As(err, &e) || e.Status != c.status || e.Code != "" || !strings.HasPrefix(err.Error(), c.want) && !strings.HasSuffix(err.Error(), c.want) && c.status != 304 {
			t.Errorf("error %q, want %q", err, c.want)
		}
		wantText(t, err, c.want)
	}
}

func TestErrorDecisions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code               string
		status             int
		expired, temporary bool
	}{
		{"invalid_grant", 400, true, false},
		{"invalid_grant", 401, true, false},
		{"invalid_token", 401, true, false},
		{"invalid_token", 400, false, false},
		{"invalid_client", 401, false, false},
		{"invalid_scope", 400, false, false},
		{"temporarily_unavailable", 400, false, true},
		{"slow", 429, false, true},
		{"x", 503, false, true},
		{"server_error", 500, false, false},
	} {
		e := &Error{Code: c.code, Status: c.status}
		if _, temporary := Temporary(e); e.TokenExpired() != c.expired || temporary != c.temporary {
			t.Errorf("%s %d: expired %t, temporary %t", c.code, c.status, e.TokenExpired(), temporary)
		}
	}
	if _, ok := Temporary(errors.New("x")); ok {
		t.Error("an error of no kind is temporary")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "soon": 0, "9223372036854775807": maxSeconds * time.Second,
		"Sat, 01 Aug 2026 12:01:30 GMT": 90 * time.Second, "Sat, 01 Aug 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	for body, contentType := range map[string]string{`{"error":"temporarily_unavailable"}`: "application/json", "busy": "text/html"} {
		_, err := refreshed(t, handled(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "120")
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(503)
			fmt.Fprint(w, body)
		}))
		if after, ok := Temporary(fmt.Errorf("wrapped: %w", err)); !ok || after != 2*time.Minute {
			t.Errorf("%v: retry after %s, %t", err, after, ok)
		}
	}
}

// RFC 6750 section 3: without a body the error is in the challenge.
func TestChallenges(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		`Bearer realm="iam", error="invalid_token", error_description="no \"such\" token"`: `invalid_token: no "such" token`,
		`Basic realm="a", Bearer error=invalid_token , x="y"`:                              "invalid_token",
		`Negotiate YII=,Bearer scope="a",error=expired`:                                    "expired",
		`Bearer error="unfinished`:                                                         "unfinished",
		`Basic realm="x"`:                                                                  "provider answered with HTTP status 401, JSON expected",
		`error`:                                                                            "provider answered with HTTP status 401, JSON expected",
		`Bearer error="invalid_token", error_description="` + testRefreshToken + `"`: "invalid_token: [...]",
	} {
		_, err := refreshed(t, handled(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = []string{"Basic", header}
			w.WriteHeader(401)
		}))
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %q, want %q", header, err, want)
		}
	}
}

// Of secrets that contain one another no part remains.
func TestRedactOverlap(t *testing.T) {
	t.Parallel()
	secrets := []secret.Secret{secret.FromString("abcd"), secret.FromString("xxabcdyy"), secret.FromString("p+w &"), secret.FromString("xy")}
	if got, want := redact("xxabcdyy abcd p%2Bw+%26 xy", secrets), "[...] [...] [...] xy"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A secret with unprintable characters is found before those are removed.
func TestRedactUnprintable(t *testing.T) {
	t.Parallel()
	if got := cleanText("bad p\x01w\tdx!", []secret.Secret{secret.FromString("p\x01w\td")}); got != "bad [...]x!" {
		t.Errorf("%q", got)
	}
}

func FuzzErrorAnswers(f *testing.F) {
	f.Add(400, `{"error":"invalid_token","error_description":"Refresh token for value `+testRefreshToken+` was not found"}`, "")
	f.Add(401, "", `Bearer realm="iam", error="invalid_token", error_description="no"`)
	f.Add(429, `{"error":{}}`, "")
	f.Add(200, `{"error":"`+testRefreshToken[:20]+`\u0000`+testRefreshToken[20:]+`"}`, "")
	f.Add(500, "<html>", `Basic realm="\`)
	f.Fuzz(func(t *testing.T, status int, body, challenge string) {
		if status < 200 || status > 599 {
			return
		}
		_, err := refreshed(t, handled(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Www-Authenticate"] = []string{challenge}
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		if err == nil {
			return
		}
		text := err.Error()
		switch {
		case strings.Contains(text, testRefreshToken) || strings.Contains(text, "client-password"):
			t.Errorf("%q shows a secret", text)
		case utf8.RuneCountInString(text) > 3*maxText || !utf8.ValidString(text):
			t.Errorf("%q is too long, or no text", text)
		case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			t.Errorf("%q is not printable", text)
		}
	})
}
