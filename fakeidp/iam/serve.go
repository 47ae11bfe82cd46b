package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

const (
	maxBody  = 1 << 20 // bytes of a request's body
	logLimit = 1000    // requests in the log
)

// Request is a request that the server received, secrets included, for the assertions of a test.
type Request struct {
	Time   time.Time   `json:"time"` // on the server's clock
	Method string      `json:"method"`
	Path   string      `json:"path"` // below the issuer: "token"
	Query  string      `json:"query,omitempty"`
	Header http.Header `json:"header"`
	Body   string      `json:"body,omitempty"`
	Status int         `json:"status"` // 0: not yet answered
}

// Form parses the body as a form, as far as possible.
func (r Request) Form() url.Values {
	v, _ := url.ParseQuery(r.Body)
	return v
}

// ServeHTTP handles a request. It works with and without the issuer's path in the URL: a proxy in front of the
// server may strip it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if below, ok := strings.CutPrefix(p, s.base); ok {
		p = "/" + below
	}
	// The mux would redirect //jwk to /jwk and so hide the mistake of a client that doubles slashes.
	if path.Clean(p) != p {
		http.NotFound(w, r)
		return
	}
	u := *r.URL
	u.Path = p
	r = r.WithContext(r.Context()) // a copy: the caller's request is not changed
	r.URL, r.Body = &u, http.MaxBytesReader(w, r.Body, maxBody)
	if strings.HasPrefix(p, "/_fake/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	s.serve(w, r)
}

// response is an answer that is not yet sent.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *response) Header() http.Header         { return m.header }
func (m *response) WriteHeader(status int)      { m.status = status }
func (m *response) Write(b []byte) (int, error) { return m.body.Write(b) }

// serve answers a request, with a fault if there is one for its path. It reads the request before it locks the
// mutex and sends the answer after it has unlocked it, so that a slow client delays nobody else.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	entry, f := s.record(r, string(body))
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := &response{header: http.Header{}, status: http.StatusOK}
	switch {
	case err != nil:
		writeError(answer, badRequest("invalid_request", "The body cannot be read: %v", err))
	case f.Status != 0:
		answer.status = f.Status
		answer.header.Set("Content-Type", "application/json")
		answer.body.WriteString(f.Body)
	default:
		s.handle(answer, r)
		f.change(s.keys, answer)
	}
	s.mu.Lock()
	entry.Status = answer.status
	answer.header.Set("Date", s.now().UTC().Format(http.TimeFormat)) // a moved clock shows here too
	s.mu.Unlock()
	f.send(w, answer)
}

// handle makes the regular answer. It holds the mutex, which only sign and jwks unlock in between.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	s.mux.ServeHTTP(w, r)
}

// sweep deletes what can never be valid again, so that a server can run for months. It runs when the number of
// entries has doubled since the last time. Refresh tokens that were rotated out stay as long as their grant, to
// detect their reuse. Codes stay for an hour after they have expired, so that a late client is told so.
func (s *Server) sweep() {
	held := func() int { return len(s.tokens) + len(s.devices) + len(s.codes) + len(s.sessions) }
	if held() < max(1024, s.sweepAt) {
		return
	}
	now := s.now()
	late := now.Add(-time.Hour)
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool {
		return t.grant.dead || t.expiredAt(now) || t.ended && !t.refresh
	})
	maps.DeleteFunc(s.devices, func(_ string, d *deviceCode) bool { return late.After(d.expires) })
	maps.DeleteFunc(s.codes, func(_ string, c *authorizationCode) bool { return c.grant.dead || late.After(c.expires) })
	maps.DeleteFunc(s.sessions, func(_ string, t *session) bool { return now.After(t.expires) })
	s.sweepAt = 2 * held()
}

// record logs a request and takes the fault that applies to it.
func (s *Server) record(r *http.Request, body string) (*Request, Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := &Request{
		Time: s.now(), Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/"), Query: r.URL.RawQuery,
		Header: r.Header.Clone(), Body: body,
	}
	s.requests = append(s.requests, entry)
	s.requests = s.requests[max(0, len(s.requests)-logLimit):]
	s.counters[entry.Method+" "+entry.Path]++
	return entry, s.takeFault(entry.Path)
}

// Requests returns the last 1000 requests, oldest first, without those to the control API.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, 0, len(s.requests))
	for _, r := range s.requests {
		requests = append(requests, *r)
	}
	return requests
}

// Counters returns the number of requests by "METHOD path".
func (s *Server) Counters() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counters)
}

// ForgetRequests clears the log and the counters.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
	clear(s.counters)
}

// protocolError is an error response: a status and the members of RFC 6749 section 5.2. Without Code the response
// has no body.
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

// unauthorized is for invalid_client, when client authentication fails (RFC 6749 section 5.2), and for invalid_token:
// RFC 6750 section 3.1 has it for access tokens, IAM also for refresh tokens that it does not know.
func unauthorized(code, format string, args ...any) error {
	return refuse(http.StatusUnauthorized, code, format, args...)
}

// challenges are the WWW-Authenticate headers by error code (RFC 6749 section 5.2, RFC 6750 section 3.1).
var challenges = map[string]string{
	"invalid_client":     `Basic realm="fakeidp", charset="UTF-8"`,
	"invalid_token":      `Bearer realm="fakeidp", error="invalid_token"`,
	"insufficient_scope": `Bearer realm="fakeidp", error="insufficient_scope", scope="openid"`,
	"unauthorized":       `Bearer realm="fakeidp"`, // without a token there is no error code
}

// asProtocolError returns err as an error response. Any other error is a fault of this server.
func asProtocolError(err error) *protocolError {
	p, ok := errors.AsType[*protocolError](err)
	if !ok {
		return &protocolError{http.StatusInternalServerError, "server_error", err.Error()}
	}
	return p
}

// api is an endpoint for programs. An error that it returns becomes the response.
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

// writeJSON answers with a JSON document that must not be cached (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, body any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(toJSON(body)) // a client that has gone away has no use for an error
	return nil
}

func toJSON(v any) []byte {
	data, _ := json.Marshal(v) // never fails: v came from JSON or from us, or Fail has tried it
	return data
}
