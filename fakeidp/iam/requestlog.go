package iam

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Request is a request that the server has received, with all its secrets: for the assertions of a test.
type Request struct {
	Time   time.Time   `json:"time"` // on the server's clock
	Method string      `json:"method"`
	Path   string      `json:"path"` // below the issuer, as "token"
	Query  string      `json:"query,omitempty"`
	Header http.Header `json:"header"`
	Body   string      `json:"body,omitempty"`
	Status int         `json:"status"` // 0: not answered yet
}

// Form is the body of a form.
func (r Request) Form() url.Values {
	v, err := url.ParseQuery(r.Body)
	if err != nil {
		return nil
	}
	return v
}

// logLimit is how many requests the server remembers.
const logLimit = 1000

// record notes a request, and gives it a body that can be read once more.
func (s *Server) record(w http.ResponseWriter, r *http.Request) *Request {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	entry := &Request{Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/"), Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: string(body)}
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Time = s.nowLocked()
	log := append(s.faults.requests, entry)
	s.faults.requests = log[max(0, len(log)-logLimit):]
	if s.faults.counters == nil {
		s.faults.counters = map[string]int{}
	}
	s.faults.counters[entry.Method+" "+entry.Path]++
	return entry
}

// failing repeats, at the end of what could be read, why no more could.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func (s *Server) recordStatus(entry *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Status = status
}

// Requests are the requests that were received, the last 1000, oldest first. Those of the control API are
// not among them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, 0, len(s.faults.requests))
	for _, r := range s.faults.requests {
		requests = append(requests, *r)
	}
	return requests
}

// Counters say how often each address was asked, by "METHOD path".
func (s *Server) Counters() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.faults.counters)
}

// ForgetRequests empties the log and the counters.
func (s *Server) ForgetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.requests, s.faults.counters = nil, nil
}
