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
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

func (e *protocolError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Description)
}

func refuse(status int, code, format string, args ...any) error {
	return &protocolError{status, code, fmt.Sprintf(format, args...)}
}

func badRequest(code, format string, args ...any) error {
	return refuse(http.StatusBadRequest, code, format, args...)
}

// unauthorized is for invalid_client, a failed client authentication (RFC 6749 section 5.2), and for
// invalid_token: so IAM speaks of refresh tokens that it does not (or no longer) know, and RFC 6750 section
// 3.1 of access tokens.
func unauthorized(code, format string, args ...any) error {
	return refuse(http.StatusUnauthorized, code, format, args...)
}

// challenges go with the errors of these codes (RFC 6749 section 5.2, RFC 6750 section 3.1).
var challenges = map[string]string{
	"invalid_client":     `Basic realm="fakeidp", charset="UTF-8"`,
	"invalid_token":      `Bearer realm="fakeidp", error="invalid_token"`,
	"insufficient_scope": `Bearer realm="fakeidp", error="insufficient_scope", scope="openid"`,
	"unauthorized":       `Bearer realm="fakeidp"`, // there was no token: no error code
}

// asProtocolError finds the answer that err is; what is none is our own fault.
func asProtocolError(err error) *protocolError {
	p, ok := errors.AsType[*protocolError](err)
	if !ok {
		return &protocolError{http.StatusInternalServerError, "server_error", err.Error()}
	}
	return p
}

// api is an endpoint for programs; the error that it returns becomes the answer.
type api func(w http.ResponseWriter, r *http.Request) error

func (h api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		writeError(w, err)
	}
}

func writeError(w http.ResponseWriter, err error) {
	p := asProtocolError(err)
	if challenge := challenges[p.Code]; challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
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
