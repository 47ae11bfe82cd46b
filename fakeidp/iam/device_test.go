package iam

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDeviceAuthorization(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{})
	r := c.post("devicecode", "scope", "openid storage.read:/x").want(200, "", "")
	if !regexp.MustCompile(`^[A-Z2-9]{6}$`).MatchString(r.text("user_code")) {
		t.Errorf("user_code %q", r.text("user_code"))
	}
	if len(r.text("device_code")) != 36 {
		t.Errorf("device_code %q is no UUID", r.text("device_code"))
	}
	for name, want := range map[string]string{
		"verification_uri":          testIssuer + "device",
		"verification_uri_complete": testIssuer + "device?user_code=" + r.text("user_code"),
		"expires_in":                "600",
		"interval":                  "", // IAM has none
	} {
		if got := r.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Error("may be cached")
	}
}

func TestDeviceAuthorizationRefused(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{Scope: "openid storage.read:/a"})
	other := p.addClient(Client{GrantTypes: []string{grantRefreshToken}})
	for _, scope := range []string{"phone", "storage.read:/ab", "storage.read:/"} {
		c.post("devicecode", "scope", scope).want(400, "invalid_scope", "One or more requested scope is not allowed for client '"+c.id+"'")
	}
	c.post("devicecode", "scope", "storage.read:/a/../b").want(400, "invalid_scope", "relative path")
	other.post("devicecode", "scope", "openid").want(401, "invalid_client", "Unauthorized grant type: "+grantDeviceCode)

	for name, r := range map[string]reply{
		"400": p.request("POST", "devicecode", "scope=openid", "Content-Type", formType, "Authorization", basic(c.id, c.secret)),
		"404": p.request("POST", "devicecode", "client_id=nobody", "Content-Type", formType),
	} {
		if r.Body != "" || (name == "400") != (r.Status == 400) || (name == "404") != (r.Status == 404) {
			t.Errorf("%s: status %d, body %q", name, r.Status, r.Body)
		}
	}
	p.request("POST", "devicecode", "client_id="+c.id, "Content-Type", formType).want(401, "invalid_client", "")
}

func TestDevicePolling(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c, other := p.addClient(Client{}), p.addClient(Client{})
	d := c.post("devicecode", "scope", fullScope)
	code := d.text("device_code")
	poll := []string{"grant_type", grantDeviceCode, "device_code", code}

	c.post("token", poll...).want(400, "authorization_pending", "Authorization pending for code: "+code)
	c.post("token", poll...).want(400, "authorization_pending", "") // by default there is no slow_down
	other.post("token", poll...).want(400, "invalid_grant", "")
	if err := p.ApproveAs(strings.ToLower(d.text("user_code")), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := p.Approve(d.text("user_code")); err == nil || !strings.Contains(err.Error(), "already been approved") {
		t.Errorf("approved twice: %v", err)
	}
	r := c.post("token", poll...).want(200, "", "")
	if _, claims := p.claims(r.text("access_token")); claims["sub"] != DefaultUsers()[1].Sub {
		t.Errorf("sub %v is not bob's", claims["sub"])
	}
	c.post("token", poll...).want(400, "invalid_grant", code) // once only
	c.post("token", "grant_type", grantDeviceCode).want(400, "invalid_request", "device_code")
}

func TestDeviceClient(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{DeviceCodeValiditySeconds: 7})
	d := c.post("devicecode", "scope", "openid", "audience", "https://se.example").want(200, "", "")
	if d.text("expires_in") != "7" {
		t.Errorf("expires_in %s, the client's is 7", d.text("expires_in"))
	}
	if err := p.Approve(d.text("user_code")); err != nil {
		t.Fatal(err)
	}
	r := c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code")).want(200, "", "")
	if _, claims := p.claims(r.text("access_token")); claims["aud"] != "https://se.example" {
		t.Errorf("aud %v", claims["aud"])
	}
	made := p.register(registrationRequest)
	gone := &rp{p, made.text("client_id"), made.text("client_secret")}
	d = gone.post("devicecode", "scope", "openid").want(200, "", "")
	p.request("DELETE", made.text("registration_client_uri"), "", "Authorization", "Bearer "+made.text("registration_access_token")).want(204, "", "")
	if err := p.Approve(d.text("user_code")); err == nil || !strings.Contains(err.Error(), "there is no code") {
		t.Errorf("approved for a client that is gone: %v", err)
	}
}

func TestDeviceExpires(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	c := p.addClient(Client{})
	d := c.post("devicecode", "scope", "openid")
	p.MoveClock(10*time.Minute + time.Second)
	if err := p.Approve(d.text("user_code")); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("approved an expired code: %v", err)
	}
	code := d.text("device_code")
	c.post("token", "grant_type", grantDeviceCode, "device_code", code).want(400, "expired_token", "Device code has expired: "+code)
}

func TestDeviceDenied(t *testing.T) {
	t.Parallel()
	for silent, want := range map[bool]string{false: "access_denied", true: "authorization_pending"} {
		p := newIDP(t, Config{Settings: Settings{SilentDenial: silent}})
		c := p.addClient(Client{})
		d := c.post("devicecode", "scope", "openid")
		if err := p.Deny(d.text("user_code")); err != nil {
			t.Fatal(err)
		}
		c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code")).want(400, want, "")
		if err := p.Approve(d.text("user_code")); err == nil {
			t.Error("a denied code was approved")
		}
	}
}

func TestDeviceInterval(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Now: fixedClock, Settings: Settings{DeviceInterval: 5 * time.Second}})
	c := p.addClient(Client{})
	d := c.post("devicecode", "scope", "openid").want(200, "", "")
	if d.text("interval") != "5" {
		t.Errorf("interval %q", d.text("interval"))
	}
	for i, step := range []struct {
		wait time.Duration
		want string
	}{
		{0, "authorization_pending"}, // the first poll
		{4 * time.Second, "slow_down"},
		{9 * time.Second, "slow_down"}, // it is 10 s from now on
		{15 * time.Second, "authorization_pending"},
	} {
		p.MoveClock(step.wait)
		r := c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code"))
		if r.text("error") != step.want {
			t.Errorf("poll %d: %s, want %s", i, r.text("error"), step.want)
		}
	}
}

func TestDeviceAutoApprove(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{Settings: Settings{AutoApprove: true}})
	c := p.addClient(Client{})
	d := c.post("devicecode", "scope", "openid")
	c.post("token", "grant_type", grantDeviceCode, "device_code", d.text("device_code")).want(200, "", "")
}

func TestApproveUnknown(t *testing.T) {
	t.Parallel()
	p := newIDP(t, Config{})
	if err := p.Approve("XXXXXX"); err == nil || !strings.Contains(err.Error(), "XXXXXX") {
		t.Errorf("got %v", err)
	}
	if err := p.ApproveAs("XXXXXX", "mallory"); err == nil || !strings.Contains(err.Error(), "mallory") {
		t.Errorf("got %v", err)
	}
	if len(p.UserCodes()) != 0 {
		t.Error("a code waits")
	}
}
