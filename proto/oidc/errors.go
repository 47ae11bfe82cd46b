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

// Error is a response of a provider that is not a success. Its texts are safe to show: they are short and have
// neither control characters nor secrets that were sent.
type Error struct {
	// Code is the error code (RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 6750 section 3); INDIGO IAM's
	// registration has a sentence there. It is empty if the response is not one that OAuth or OpenID Connect defines.
	Code        string
	Description string        // error_description, may be empty; without a code, what is wrong with the response
	Status      int           // HTTP status; 0 if the response came through the browser
	RetryAfter  time.Duration // how long the provider asks to wait (RFC 9110 section 10.2.3); 0 if it does not say
}

// Error returns "code: description" or only the code. Scripts and the C tools compare the beginning.
func (e *Error) Error() string {
	if e.Code == "" || e.Description == "" {
		return e.Code + e.Description
	}
	return e.Code + ": " + e.Description
}

// TokenExpired reports whether a refresh failed because the refresh token is expired, revoked or unknown: the user must
// log in again. The code is invalid_grant (RFC 6749 section 5.2); INDIGO IAM has invalid_token with status 401.
func (e *Error) TokenExpired() bool {
	return e.Code == "invalid_grant" || e.Code == "invalid_token" && e.Status == http.StatusUnauthorized
}

// Temporary reports whether the same request may succeed later (RFC 6749 section 4.1.2.1, RFC 9110 section 15.6, RFC
// 6585 section 4), and how long to wait at least: 0 if the provider does not say.
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

// NoEndpointError is the name of an endpoint that the metadata lacks, such as "device_authorization_endpoint".
type NoEndpointError string

// Error returns a text that names the endpoint.
func (e NoEndpointError) Error() string { return "the provider's metadata has no " + string(e) }
