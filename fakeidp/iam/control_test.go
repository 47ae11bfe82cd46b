package iam

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (p *idp) control(method, path, body string) reply {
	p.t.Helper()
	return p.request(method, "_fake/"+path, body, "Content-Type", jsonType)
}

func TestControlDecisions(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true})
	c := p.addClient(Client{})
	device := func() string { return c.post("devicecode", "scope", "openid").text("user_code") }
	first := device()
	if got := p.control("GET", "codes", "").text("user_codes"); got != `["`+first+`"]` {
		t.Errorf("codes %s", got)
	}
	p.control("POST", "approve", `{"username":"bob"}`).want(200, "", "") // the only pending code
	p.control("POST", "approve", `{"user_code":"`+first+`"}`).want(400, "bad_request", "already been approved")
	denied := c.post("devicecode", "scope", "openid")
	p.control("POST", "approve", `{"user_code":"XXXXXX"}`).want(400, "bad_request", "no code")
	p.control("POST", "deny", `{"user_code":"`+denied.text("user_code")+`"}`).want(200, "", "")
	c.post("token", "grant_type", grantDeviceCode, "device_code", denied.text("device_code")).want(400, "access_denied", "")
	p.control("POST", "approve", `{"code":"x"}`).want(400, "bad_request", "code")
	p.request("POST", "_fake/approve", `{}`, "Content-Type", "text/plain").want(415, "bad_request", "")
	if got := p.control("GET", "codes", "").text("user_codes"); got != `[]` {
		t.Errorf("codes %s", got)
	}
}

func TestControlSettings(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true, Now: fixedClock})
	c := p.addClient(Client{})
	r := p.control("POST", "settings", `{"access_token_lifetime":"7s","rotate":true}`).want(200, "", "")
	if r.text("access_token_lifetime") != "7s" || r.text("rotate") != "true" || r.text("refresh_token_lifetime") != "720h0m0s" {
		t.Errorf("settings %s", r.Body)
	}
	if got := p.control("GET", "settings", "").Body; got != r.Body {
		t.Errorf("settings %s", got)
	}
	login := c.login("openid offline_access")
	if login.text("expires_in") != "7" || c.refresh(login.text("refresh_token")).text("refresh_token") == login.text("refresh_token") {
		t.Error("the settings do not count")
	}
	for _, bad := range []string{`{"rotate":false,"rotation":true}`, `{"rotate":"x"}`, `{"access_token_lifetime":7}`, `{"access_token_lifetime":"x"}`, `[]`} {
		p.control("POST", "settings", bad).want(400, "bad_request", "")
	}
	if got := p.control("GET", "settings", "").Body; got != r.Body {
		t.Errorf("a bad setting changed something: %s", got)
	}
	if got := p.control("POST", "clock", `{"move":"25m"}`).text("now"); got != "2026-03-04T05:31:07Z" {
		t.Errorf("now %s", got)
	}
	if got := p.request("GET", "jwk", "").Header.Get("Date"); got != "Wed, 04 Mar 2026 05:31:07 GMT" {
		t.Errorf("date %s", got)
	}
	p.control("POST", "clock", `{"move":"soon"}`).want(400, "bad_request", "")

	token := c.login("openid").text("access_token")
	if got := p.control("POST", "revoke", `{"token":"`+token+`"}`).text("known"); got != "true" {
		t.Error("not known")
	}
	p.request("GET", "userinfo", "", "Authorization", "Bearer "+token).want(401, "invalid_token", "")
}

func TestControlSuspend(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true})
	c, judge := p.addClient(Client{}), p.addClient(Client{})
	r := c.login("openid offline_access")
	for _, who := range []string{`"username":"alice"`, `"client_id":"` + c.id + `"`} {
		p.control("POST", "suspend", `{`+who+`,"suspended":true}`).want(204, "", "")
		p.request("GET", "userinfo", "", "Authorization", "Bearer "+r.text("access_token")).want(401, "invalid_token", "")
		for _, token := range []string{"access_token", "refresh_token"} {
			if got := judge.post("introspect", "token", r.text(token)); got.Body != `{"active":false}` {
				t.Errorf("%s, %s: %s", who, token, got.Body)
			}
		}
		c.refresh(r.text("refresh_token")).want(401, "", "")
		p.control("POST", "suspend", `{`+who+`,"suspended":false}`).want(204, "", "")
		c.refresh(r.text("refresh_token")).want(200, "", "")
	}
	p.control("POST", "suspend", `{"username":"mallory"}`).want(400, "bad_request", "mallory")
	p.control("POST", "suspend", `{"client_id":"mallory"}`).want(400, "bad_request", "mallory")
	p.control("POST", "suspend", `{"username":"mallory","client_id":"`+c.id+`"}`).want(400, "bad_request", "mallory")
}

func TestControlRotateKey(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true, Alg: ES256})
	p.control("POST", "rotate-key", "").want(204, "", "")
	if header, _ := p.claims(p.addClient(Client{}).login("openid").text("access_token")); header["kid"] != "ec2" {
		t.Errorf("kid %v", header["kid"])
	}
}

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true})
	c := p.addClient(Client{GrantTypes: []string{grantClientCredentials}})
	ask := func() reply { return c.post("token", "grant_type", "client_credentials") }
	p.control("POST", "faults", `{"path":"/token","times":2,"status":503,"header":{"Retry-After":"7"},"body":"{\"error\":\"busy\"}"}`).want(204, "", "")
	for range 2 {
		if r := ask().want(503, "busy", ""); r.Header.Get("Retry-After") != "7" {
			t.Errorf("header %v", r.Header)
		}
		p.request("GET", "jwk", "").want(200, "", "") // another path
	}
	ask().want(200, "", "")

	p.control("POST", "faults", `{"path":"token","set":{"expires_in":null,"token_type":"bEARER"},"header":{"X-A":"b"}}`).want(204, "", "")
	for range 3 {
		if r := ask().want(200, "", ""); r.text("expires_in") != "" || r.text("token_type") != "bEARER" || r.text("access_token") == "" || r.Header.Get("X-A") != "b" {
			t.Errorf("answer %s", r.Body)
		}
	}
	p.control("DELETE", "faults", "").want(204, "", "")
	if r := ask(); r.text("expires_in") == "" {
		t.Error("the fault is still there")
	}
	p.control("POST", "faults", `{"times":1,"status":418,"body":{"error": "tea"}}`).want(204, "", "")
	if r := ask(); r.Status != 418 || r.Body != `{"error": "tea"}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	p.control("POST", "faults", `{"times":1,"set":{"expires_in":3600.0}}`).want(204, "", "")
	if r := ask(); !strings.Contains(r.Body, `"expires_in":3600.0,`) {
		t.Errorf("not the number that was asked for: %s", r.Body)
	}
	for _, f := range []Fault{{Set: map[string]any{"x": make(chan int)}}, {IDToken: &Forgery{Claims: map[string]any{"x": make(chan int)}}}} {
		if err := p.Fail(f); err == nil || !strings.Contains(err.Error(), "chan") {
			t.Errorf("no JSON, and no error but %v", err)
		}
	}
	for _, bad := range []string{`{"status":99}`, `{"times":-1}`, `{"delay":"x"}`, `{"delay":"-1s"}`, `{"paths":"x"}`} {
		p.control("POST", "faults", bad).want(400, "bad_request", "")
	}
}

func TestFaultDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newIDP(t, Config{Control: true, Alg: ES256})
		p.control("POST", "faults", `{"times":1,"delay":"20s"}`)
		for _, want := range []time.Duration{20 * time.Second, 0} {
			start := time.Now()
			p.request("GET", "jwk", "").want(200, "", "")
			if took := time.Since(start); took != want {
				t.Errorf("took %v, want %v", took, want)
			}
		}
		p.Fail(Fault{Delay: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/jwk", nil))
		if log := p.Requests(); log[len(log)-1].Status != 0 {
			t.Errorf("answered to nobody: %+v", log[len(log)-1])
		}
	})
}

func TestFaultConnections(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Key: testKey()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Fail(Fault{Path: "jwk", Times: 1, Cut: true})
	resp, err := http.Get(s.Issuer() + "jwk")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reading a body that is cut: %v", err)
	}
	resp.Body.Close()

	s.Fail(Fault{Path: "jwk", Endless: true})
	if resp, err = http.Get(s.Issuer() + "jwk"); err != nil {
		t.Fatal(err)
	}
	if n, err := bufio.NewReader(resp.Body).Discard(10 << 20); err != nil {
		t.Errorf("an endless body ended after %d bytes: %v", n, err)
	}
	resp.Body.Close()
}

func TestRequestLog(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Control: true, Now: fixedClock})
	c := p.addClient(Client{})
	c.post("token", "grant_type", "refresh_token", "refresh_token", "abc")
	p.request("GET", "jwk?x=1", "")
	log := p.Requests()
	if len(log) != 2 {
		t.Fatalf("%d requests", len(log))
	}
	r := log[0]
	if r.Method != "POST" || r.Path != "token" || r.Status != 401 || r.Form().Get("refresh_token") != "abc" || r.Header.Get("Authorization") == "" || !r.Time.Equal(at) {
		t.Errorf("request %+v", r)
	}
	if log[1].Query != "x=1" || log[1].Status != 200 {
		t.Errorf("request %+v", log[1])
	}
	if got := p.control("GET", "requests", ""); !strings.Contains(got.Body, `"body":"grant_type=refresh_token\u0026refresh_token=abc"`) {
		t.Errorf("log %s", got.Body)
	}
	if got := p.control("GET", "counters", "").Body; got != `{"GET jwk":1,"POST token":1}` {
		t.Errorf("counters %s", got)
	}
	for range logLimit {
		p.request("GET", "jwk", "")
	}
	if n := len(p.Requests()); n != logLimit {
		t.Errorf("%d requests are remembered", n)
	}
	p.control("DELETE", "requests", "").want(204, "", "")
	if len(p.Requests()) != 0 || len(p.Counters()) != 0 {
		t.Error("not forgotten")
	}
	c.request("POST", "token", strings.Repeat("x", maxBody+1), "Content-Type", formType).want(400, "invalid_request", "too large")
}
