package oidc

import (
	"errors"
	"net/http"
	"time"
)

// Error codes that callers decide on (RFC 8628 section 3.5).
const (
	CodeAuthorizationPending = "authorization_pending"
	CodeSlowDown             = "slow_down"
)

// Error is an answer of a provider that is no success. Its texts are cleaned: no control characters, not long, and no
// secret that we sent.
type Error struct {
	// Code is the error member of a refusal (RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 6750 section 3; IAM's
	// registration puts a sentence there). Empty: the answer is not what its endpoint answers by OAuth or OpenID Connect.
	Code        string
	Description string        // error_description, or empty; without a code, what is wrong with the answer
	Status      int           // HTTP status of the answer; 0 when it came through the browser
	RetryAfter  time.Duration // how long the provider asks to wait (RFC 9110 section 10.2.3), or 0
}

// Error is "code: description", or only the code: scripts and the C tools look at the text's start.
func (e *Error) Error() string {
	if e.Code == "" || e.Description == "" {
		return e.Code + e.Description
	}
	return e.Code + ": " + e.Description
}

// TokenExpired reports whether, in answer to a refresh, the refresh token is expired, revoked or unknown: only a new
// login helps. That is invalid_grant (RFC 6749 section 5.2); INDIGO IAM says 401 invalid_token.
func (e *Error) TokenExpired() bool {
	return e.Code == "invalid_grant" || e.Code == "invalid_token" && e.Status == http.StatusUnauthorized
}

// Temporary reports whether what failed may succeed later, and after which time at the earliest: 0 where the provider
// does not say. Code or status speak of the moment then, not of the request (RFC 6749 section 4.1.2.1, RFC 9110 section
// 15.6, RFC 6585 section 4).
func Temporary(err error) (after time.Duration, ok bool) {
	if e, answered := errors.AsType[*Error](err); answered {
		switch e.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return e.RetryAfter, true
		}
		if e.Code == "temporarily_unavailable" {
			return e.RetryAfter, true
		}
		return 0, false
	}
	e, broken := errors.AsType[*ConnectionError](err)
	return 0, broken && !e.lasting
}

// NoEndpointError tells that the provider's metadata has no endpoint for what was asked. It is the endpoint's name in
// the metadata, as "device_authorization_endpoint".
type NoEndpointError string

// Error names the endpoint.
func (e NoEndpointError) Error() string { return "the provider's metadata has no " + string(e) }
