package oidc

import (
	"context"
	"errors"
	"time"

	"oidc-agent/proto/secret"
)

const (
	// defaultInterval in seconds holds where the provider names none (RFC 8628 section 3.2), as IAM.
	defaultInterval = 5
	// defaultDeviceLifetime in seconds holds where the provider names none, though RFC 8628 section 3.2
	// requires it. IAM leaves it out for clients without a lifetime of their own.
	defaultDeviceLifetime = 600
	// slowDown is added to the interval by each slow_down (RFC 8628 section 3.5).
	slowDown = 5 * time.Second
	// maxInterval ends the doubling after timeouts.
	maxInterval = 80 * time.Second
)

// DeviceAuthorization is what the user must do, and what to poll with (RFC 8628 section 3.2).
type DeviceAuthorization struct {
	DeviceCode              secret.Secret
	UserCode                string // to be shown as it is, next to VerificationURIComplete too
	VerificationURI         string // https, or http on loopback
	VerificationURIComplete string // with the user code in it; may be empty
	ExpiresIn               int64  // seconds from now; 600 where the provider does not say
	Interval                int64  // seconds between two polls, at least 1; 5 where the provider does not say
}

// AuthorizeDevice starts a device grant (RFC 8628 section 3.1).
func (c *Client) AuthorizeDevice(ctx context.Context, md *Metadata, cred ClientCredentials, scope string) (*DeviceAuthorization, error) {
	f := new(form)
	if method, err := cred.method(md); err == nil && method == ClientSecretBasic {
		// Needed only from those who do not authenticate, but IAM wants it from all. The others add it anyway.
		f.add("client_id", cred.ID)
	}
	f.addScope(scope)
	cred.extend(f, ForDevice)
	r, err := c.post(ctx, md, "device_authorization_endpoint", md.DeviceAuthorizationEndpoint, cred, f)
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	o, err := r.object()
	if err != nil {
		return nil, err
	}
	defer o.wipe()
	d := parseDeviceAuthorization(o)
	if o.err != nil {
		return nil, r.unexpected(o.err.Error())
	}
	return d, nil
}

func parseDeviceAuthorization(o *object) *DeviceAuthorization {
	uri := "verification_uri"
	if !o.has(uri) {
		uri = "verification_url" // Google and other providers older than the RFC
	}
	o.required("device_code", "user_code", uri)
	d := &DeviceAuthorization{
		DeviceCode:              o.secret("device_code"),
		UserCode:                printable(o.text("user_code")),
		VerificationURI:         o.browserURL(uri),
		VerificationURIComplete: o.browserURL("verification_uri_complete"),
		ExpiresIn:               o.seconds("expires_in"),
		Interval:                defaultInterval,
	}
	if d.ExpiresIn <= 0 {
		d.ExpiresIn = defaultDeviceLifetime
	}
	if o.has("interval") {
		d.Interval = max(1, o.seconds("interval"))
	}
	return d
}

// browserURL reads a URL that a browser will be sent to: never javascript: or file: (RFC 8628 section 3.3).
func (o *object) browserURL(name string) string {
	text := o.text(name)
	if text != "" && o.err == nil {
		if _, err := parseURL(text); err != nil {
			o.fail("%q: %w", name, err)
		}
	}
	return text
}

// PollDevice asks once whether the user has approved (RFC 8628 section 3.4). As long as that is open the
// error is an [*Error] with code authorization_pending or slow_down; [NextPoll] says what any error means.
func (c *Client) PollDevice(ctx context.Context, md *Metadata, cred ClientCredentials, deviceCode secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.add("grant_type", GrantDeviceCode)
	f.addSecret("device_code", deviceCode)
	t.addAudience(md, f)
	cred.extend(f, ForPolling)
	return c.requestToken(ctx, md, cred, f)
}

// NextPoll tells after a failed [Client.PollDevice] how long to wait before the next one, counted from the
// answer on, or that the grant is over (again is false). interval is the present one: the first is
// [DeviceAuthorization.Interval], later ones are what this function returned.
func NextPoll(interval time.Duration, err error) (next time.Duration, again bool) {
	var refused *Error
	if errors.As(err, &refused) {
		switch refused.Code {
		case CodeAuthorizationPending:
			return interval, true
		case CodeSlowDown:
			return interval + slowDown, true // RFC 8628 section 3.5: for this and all later polls
		}
	}
	after, again := Temporary(err)
	// RFC 8628 section 3.5: after a timeout less often, unasked. A provider that is away or busy is the same.
	return max(interval, min(2*interval, maxInterval), after), again
}
