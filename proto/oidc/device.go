package oidc

import (
	"context"

	"oidc-agent/proto/secret"
)

// DeviceAuthorization is a device authorization response (RFC 8628 section 3.2).
type DeviceAuthorization struct {
	DeviceCode              secret.Secret
	UserCode                string // show it as it is, even with VerificationURIComplete
	VerificationURI         string // https, or http on loopback
	VerificationURIComplete string // includes the user code; may be empty
	ExpiresIn               int64  // seconds from now; 600 if the provider does not say
	Interval                int64  // seconds between two polls, at least 1; 5 if the provider does not say
}

// AuthorizeDevice starts a device flow (RFC 8628 section 3.1).
func (p *Provider) AuthorizeDevice(ctx context.Context, scope string) (*DeviceAuthorization, error) {
	f, d := new(form), new(DeviceAuthorization)
	f.addScope(scope)
	err := p.post(ctx, "device-init", "device_authorization_endpoint", p.DeviceAuthorizationEndpoint, f, d.read)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *DeviceAuthorization) read(o *object, _ *response) {
	uri := "verification_uri"
	if !o.has(uri) {
		uri = "verification_url" // Google, and other providers that are older than the RFC
	}
	o.required("device_code", "user_code", uri)
	d.DeviceCode = o.secret("device_code")
	d.UserCode = printable(o.text("user_code"))
	// A browser will open it, so it must not be javascript: or file: (RFC 8628 section 3.3).
	d.VerificationURI, d.VerificationURIComplete = o.url(uri), o.url("verification_uri_complete")
	if d.ExpiresIn = o.seconds("expires_in"); d.ExpiresIn <= 0 {
		d.ExpiresIn = 600 // RFC 8628 section 3.2 requires it, but INDIGO IAM omits it for some clients
	}
	if d.Interval = 5; o.has("interval") { // RFC 8628 section 3.2: the default
		d.Interval = max(1, o.seconds("interval"))
	}
}

// PollDevice asks once whether the user has approved (RFC 8628 section 3.4). Until the user has decided, the error is
// an [*Error] with code authorization_pending or slow_down. t must not have a scope.
func (p *Provider) PollDevice(ctx context.Context, deviceCode secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.addSecret("device_code", deviceCode)
	return p.requestToken(ctx, "device-polling", GrantDeviceCode, f, t)
}
