package iam

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// protocolError is an answer that refuses: a status and the members of RFC 6749 section 5.2. With an empty
// Code the answer has no body.
type protocolError struct {
	Status      int               `json:"-"`
	Header      map[string]string `json:"-"`
	Code        string            `json:"error"`
	Description string            `json:"error_description,omitempty"`
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Description)
}

func refuse(status int, code, format string, args ...any) *protocolError {
	return &protocolError{Status: status, Code: code, Description: fmt.Sprintf(format, args...)}
}

func invalidRequest(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "invalid_request", format, args...)
}

func invalidScope(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "invalid_scope", format, args...)
}

func invalidGrant(format string, args ...any) error {
	return refuse(http.StatusBadRequest, "invalid_grant", format, args...)
}

// invalidClient is a failed client authentication: RFC 6749 section 5.2 wants 401 and a challenge.
func invalidClient(format string, args ...any) error {
	e := refuse(http.StatusUnauthorized, "invalid_client", format, args...)
	e.Header = map[string]string{"WWW-Authenticate": `Basic realm="fakeidp", charset="UTF-8"`}
	return e
}

// invalidToken is how IAM speaks of refresh tokens that it does not (or no longer) know, and RFC 6750
// section 3.1 of access tokens.
func invalidToken(format string, args ...any) error {
	e := refuse(http.StatusUnauthorized, "invalid_token", format, args...)
	e.Header = map[string]string{"WWW-Authenticate": `Bearer realm="fakeidp", error="invalid_token"`}
	return e
}

// api is an endpoint for programs; the error that it returns becomes the answer.
type api func(w http.ResponseWriter, r *http.Request) error

const maxBody = 1 << 20 // bytes of a request's body

func (h api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := h(w, r)
	if err == nil {
		return
	}
	var p *protocolError
	if !errors.As(err, &p) {
		p = refuse(http.StatusInternalServerError, "server_error", "%v", err)
	}
	for k, v := range p.Header {
		w.Header().Set(k, v)
	}
	if p.Code == "" {
		w.WriteHeader(p.Status)
		return
	}
	writeJSON(w, p.Status, p)
}

// writeJSON answers with a JSON document that nobody caches (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(data) // a client that went away has no use for an error
	return nil
}
