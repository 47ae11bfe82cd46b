package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error codes that callers decide on.
const (
	CodeAuthorizationPending = "authorization_pending" // RFC 8628 section 3.5
	CodeSlowDown             = "slow_down"             // RFC 8628 section 3.5
	CodeExpiredToken         = "expired_token"         // RFC 8628 section 3.5
	CodeAccessDenied         = "access_denied"         // RFC 6749 section 4.1.2.1, RFC 8628 section 3.5
	CodeInvalidGrant         = "invalid_grant"         // RFC 6749 section 5.2
	CodeInvalidClient        = "invalid_client"        // RFC 6749 section 5.2
	CodeInvalidScope         = "invalid_scope"         // RFC 6749 section 5.2
	CodeInvalidToken         = "invalid_token"         // RFC 6750 section 3.1
)

// Error is what a provider says when it refuses (RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 6750
// section 3). Its texts are cleaned: no control characters, not long, and no secret that we sent.
type Error struct {
	Code        string        // the error member; IAM's registration puts a sentence there
	Description string        // error_description, or empty
	URI         string        // error_uri, or empty
	Status      int           // HTTP status of the answer; 0 when it came through the browser
	RetryAfter  time.Duration // how long the provider asks to wait (RFC 9110 section 10.2.3), or 0
}

// Error is "code: description", or only the code: scripts and the C tools look at the text's start.
func (e *Error) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// TokenExpired reports whether, in answer to a refresh, the refresh token is expired, revoked or unknown:
// only a new login helps. That is invalid_grant (RFC 6749 section 5.2); INDIGO IAM says 401 invalid_token.
func (e *Error) TokenExpired() bool {
	return e.Code == CodeInvalidGrant || e.Code == CodeInvalidToken && e.Status == http.StatusUnauthorized
}

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool {
	return e.Code == "temporarily_unavailable" || isTemporary(e.Status)
}

// isTemporary tells the statuses that speak of the moment, not of the request (RFC 9110 section 15.6, RFC
// 6585 section 4).
func isTemporary(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// HTTPError is an answer that is not what its endpoint answers by OAuth or OpenID Connect.
type HTTPError struct {
	Status      int
	ContentType string        // media type without parameters, or empty
	Problem     string        // what is wrong with it
	Detail      string        // the start of the body where that is text for people, cleaned as in [Error]
	RetryAfter  time.Duration // how long the provider asks to wait (RFC 9110 section 10.2.3), or 0
}

// Error is one line with status, content type and what is wrong.
func (e *HTTPError) Error() string {
	text := "provider answered with HTTP status " + strconv.Itoa(e.Status)
	if e.ContentType != "" {
		text += " (" + e.ContentType + ")"
	}
	if e.Problem != "" {
		text += ", " + e.Problem
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Temporary reports whether the same request may succeed later.
func (e *HTTPError) Temporary() bool { return isTemporary(e.Status) }

// Temporary reports whether what failed may succeed later, and after which time at the earliest: 0 where
// the provider does not say.
func Temporary(err error) (after time.Duration, ok bool) {
	var t interface{ Temporary() bool }
	if !errors.As(err, &t) || !t.Temporary() {
		return 0, false
	}
	switch e := t.(type) {
	case *Error:
		after = e.RetryAfter
	case *HTTPError:
		after = e.RetryAfter
	}
	return after, true
}

// NoEndpointError tells that the provider's metadata has no endpoint for what was asked.
type NoEndpointError struct {
	Name string // its name in the metadata, as "device_authorization_endpoint"
}

// Error names the endpoint.
func (e *NoEndpointError) Error() string {
	return fmt.Sprintf("the provider's metadata has no %s", e.Name)
}

// IssuerMismatchError tells that a metadata document is another issuer's (Discovery section 4.3, RFC 8414
// section 3.3): whoever wrote it could send us to endpoints that collect secrets.
type IssuerMismatchError struct {
	Expected, Found string
}

// Error names both issuers.
func (e *IssuerMismatchError) Error() string {
	return fmt.Sprintf("the provider calls itself %s, not %s", shown(e.Found), shown(e.Expected))
}

var (
	_ error = (*Error)(nil)
	_ error = (*HTTPError)(nil)
	_ error = (*ConnectionError)(nil)
)
