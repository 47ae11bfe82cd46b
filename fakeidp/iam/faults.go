package iam

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong. It applies to requests for one path, the oldest fault first.
type Fault struct {
	Path  string        `json:"path"`  // below the issuer, as "token"; "": any
	Times int           `json:"times"` // so many requests; 0: all, until the faults are cleared
	Delay time.Duration `json:"-"`     // wait before anything is answered

	Status int               `json:"status"` // answer this status with Header and Body, and do nothing; 0: the true answer
	Header map[string]string `json:"header"` // also set on a true answer
	Body   string            `json:"body"`

	// Set and Append change members of a true answer in JSON, or the parameters of one that sends the browser
	// back to the client. In Set nil takes one out, and a list makes a parameter stand several times.
	Set     map[string]any    `json:"set"`
	Append  map[string]string `json:"append"`   // text behind a good value makes a bad one
	SetKeys map[string]any    `json:"set_keys"` // as Set, for each key of a JWK set
	AddKeys []any             `json:"add_keys"` // more keys for a JWK set
	IDToken *Forgery          `json:"id_token"` // spoil the ID token of a true answer
	Cut     bool              `json:"cut"`      // close the connection in the middle of the body; what the request did is done
	Endless bool              `json:"endless"`  // let the body go on, without an end
}

// endlessLimit in bytes is where an endless body ends after all, for a client that never gives up.
const endlessLimit = 1 << 28

// faults is what the server was told to do wrong, and what it has seen.
type faults struct {
	list     []*Fault
	requests []*Request
	counters map[string]int
}

// Fail adds a fault.
func (s *Server) Fail(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Path = strings.TrimPrefix(f.Path, "/")
	s.faults.list = append(s.faults.list, &f)
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.list = nil
}

// takeFault finds the fault for a path and counts it.
func (s *Server) takeFault(path string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults.list {
		if f.Path != "" && f.Path != path {
			continue
		}
		taken := *f
		if f.Times == 1 {
			s.faults.list = append(s.faults.list[:i:i], s.faults.list[i+1:]...)
		} else if f.Times > 1 {
			f.Times--
		}
		return &taken
	}
	return nil
}

// serve answers a request whose path is below the issuer, with a fault if there is one for it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_fake/") {
		s.mux.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat)) // a moved clock shows there as well
	entry := s.record(w, r)
	answer := &answer{ResponseWriter: w, status: http.StatusOK}
	defer func() { s.recordStatus(entry, answer.status) }()
	if f := s.takeFault(entry.Path); f != nil {
		s.serveFault(answer, r, f)
		return
	}
	s.mux.ServeHTTP(answer, r)
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// memory is a response that is not sent yet.
type memory struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header         { return m.header }
func (m *memory) WriteHeader(status int)      { m.status = status }
func (m *memory) Write(b []byte) (int, error) { return m.body.Write(b) }

// serveFault answers as the fault says.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request, f *Fault) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	m := &memory{header: http.Header{}, status: http.StatusOK}
	if f.Status != 0 {
		m.status = f.Status
		m.header.Set("Content-Type", "application/json")
		m.body.WriteString(f.Body)
	} else {
		s.mux.ServeHTTP(m, r)
		if err := f.change(r.Context(), s.keys, m); err != nil {
			m.status = http.StatusInternalServerError
		}
	}
	for k, v := range f.Header {
		m.header.Set(k, v)
	}
	f.send(w, r, m)
}

// change changes an answer in JSON or a redirect to the client. Any other is left alone.
func (f *Fault) change(ctx context.Context, keys *keyring, m *memory) error {
	if location, err := url.Parse(m.header.Get("Location")); err == nil && location.Query().Has("iss") {
		location.RawQuery = f.changeQuery(location.Query()).Encode()
		m.header.Set("Location", location.String())
		return nil
	}
	var body map[string]any
	touched := len(f.Set)+len(f.Append)+len(f.SetKeys)+len(f.AddKeys) > 0 || f.IDToken != nil
	if !touched || json.Unmarshal(m.body.Bytes(), &body) != nil {
		return nil
	}
	if token, ok := body["id_token"].(string); ok && f.IDToken != nil {
		forged, err := f.IDToken.forge(ctx, keys, token)
		if err != nil {
			return err
		}
		body["id_token"] = forged
	}
	if set, ok := body["keys"].([]any); ok {
		for _, key := range set {
			if key, ok := key.(map[string]any); ok {
				alter(key, f.SetKeys, nil)
			}
		}
		body["keys"] = append(set, f.AddKeys...)
	}
	alter(body, f.Set, f.Append)
	data, err := json.Marshal(body)
	m.body.Reset()
	m.body.Write(data)
	return err
}

// alter sets members, takes those out that are nil, and puts text behind others.
func alter(members, set map[string]any, behind map[string]string) {
	for k, v := range set {
		if members[k] = v; v == nil {
			delete(members, k)
		}
	}
	for k, text := range behind {
		members[k] = asString(members[k]) + text
	}
}

func asString(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (f *Fault) changeQuery(q url.Values) url.Values {
	for k, v := range f.Set {
		q.Del(k)
		list, ok := v.([]any)
		if !ok && v != nil {
			list = []any{v}
		}
		for _, one := range list {
			q.Add(k, asString(one))
		}
	}
	for k, text := range f.Append {
		q.Set(k, q.Get(k)+text)
	}
	return q
}

func (f *Fault) send(w http.ResponseWriter, r *http.Request, m *memory) {
	maps.Copy(w.Header(), m.header)
	body := m.body.Bytes()
	if f.Cut {
		// A body that is shorter than announced makes the HTTP server close the connection.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		body = body[:len(body)/2]
	}
	w.WriteHeader(m.status)
	w.Write(body)
	if f.Endless {
		blanks := bytes.Repeat([]byte(" "), 1<<16)
		for sent := 0; sent < endlessLimit && r.Context().Err() == nil; sent += len(blanks) {
			if _, err := w.Write(blanks); err != nil {
				return
			}
		}
	}
}

// check refuses faults that cannot be answered.
func (f *Fault) check() error {
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		return fmt.Errorf("status %d: it is 200 to 599", f.Status)
	}
	if f.IDToken != nil && !slices.Contains(signatures, f.IDToken.Signature) {
		return fmt.Errorf("signature %q: it is one of %s", f.IDToken.Signature, strings.Join(signatures[1:], ", "))
	}
	if f.Times < 0 || f.Delay < 0 {
		return fmt.Errorf("times or delay below zero")
	}
	return nil
}
