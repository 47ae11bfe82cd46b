package iam

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
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

var blanks = bytes.Repeat([]byte(" "), 1<<16)

// Fail adds a fault. The error is for one that cannot be answered, which is not added.
func (s *Server) Fail(f Fault) error {
	_, err := json.Marshal(f)
	switch {
	case err != nil:
		return err
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d: it is 200 to 599", f.Status)
	case f.IDToken != nil && !slices.Contains(signatures, f.IDToken.Signature):
		return fmt.Errorf("signature %q: it is one of %s", f.IDToken.Signature, strings.Join(signatures[1:], ", "))
	case f.Times < 0 || f.Delay < 0:
		return errors.New("times or delay below zero")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Path = strings.TrimPrefix(f.Path, "/")
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault finds the fault for a path and counts it; the zero one does no harm.
func (s *Server) takeFault(path string) Fault {
	i := slices.IndexFunc(s.faults, func(f *Fault) bool { return f.Path == "" || f.Path == path })
	if i < 0 {
		return Fault{}
	}
	f := s.faults[i]
	taken := *f
	if f.Times--; f.Times == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return taken
}

// change changes an answer in JSON or a redirect to the client. Any other is left alone.
func (f *Fault) change(keys *keyring, a *response) {
	if len(f.Set)+len(f.Append)+len(f.SetKeys)+len(f.AddKeys) == 0 && f.IDToken == nil {
		return
	}
	if location, err := url.Parse(a.header.Get("Location")); err == nil && location.Query().Has("iss") {
		q := location.Query()
		f.changeQuery(q)
		location.RawQuery = q.Encode()
		a.header.Set("Location", location.String())
		return
	}
	var body map[string]any
	if json.Unmarshal(a.body.Bytes(), &body) != nil {
		return
	}
	if token, ok := body["id_token"].(string); ok && f.IDToken != nil {
		body["id_token"] = f.IDToken.forge(keys, token)
	}
	if set, ok := body["keys"].([]any); ok {
		for _, key := range set {
			alter(key.(map[string]any), f.SetKeys, nil)
		}
		body["keys"] = append(set, f.AddKeys...)
	}
	alter(body, f.Set, f.Append)
	a.body.Reset()
	a.body.Write(toJSON(body))
}

// alter sets members, takes those out that are nil, and puts text behind others.
func alter(members, set map[string]any, behind map[string]string) {
	for k, v := range set {
		if members[k] = v; v == nil {
			delete(members, k)
		}
	}
	for k, text := range behind {
		if members[k] == nil {
			members[k] = ""
		}
		members[k] = fmt.Sprint(members[k]) + text
	}
}

func (f *Fault) changeQuery(q url.Values) {
	for name, v := range f.Set {
		list, ok := v.([]any)
		if !ok && v != nil {
			list = []any{v}
		}
		q.Del(name)
		for _, one := range list {
			q.Add(name, fmt.Sprint(one))
		}
	}
	for name, text := range f.Append {
		q.Set(name, q.Get(name)+text)
	}
}

// send sends an answer, true or not, with what the fault does to its header and to the connection.
func (f *Fault) send(w http.ResponseWriter, a *response) {
	for k, v := range f.Header {
		a.header.Set(k, v)
	}
	maps.Copy(w.Header(), a.header)
	body := a.body.Bytes()
	if f.Cut {
		// A body that is shorter than announced makes the HTTP server close the connection.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		body = body[:len(body)/2]
	}
	w.WriteHeader(a.status)
	_, err := w.Write(body)
	for sent := 0; f.Endless && err == nil && sent < endlessLimit; sent += len(blanks) {
		_, err = w.Write(blanks)
	}
}

// Forgery spoils the ID token of an answer. What is changed is signed again by the server's key, unless
// Signature or HMACKey say otherwise.
type Forgery struct {
	Header  map[string]any    `json:"header"`   // members to change; nil takes one out
	Claims  map[string]any    `json:"claims"`   // as Header
	Append  map[string]string `json:"append"`   // text behind a claim: a good value becomes a bad one
	Move    map[string]int64  `json:"move"`     // seconds by which claims that are times move; absent ones start now
	Double  string            `json:"double"`   // this claim stands there twice
	Tail    string            `json:"tail"`     // text behind the token
	Rotate  bool              `json:"rotate"`   // sign with a new key, made in this moment
	HMACKey string            `json:"hmac_key"` // sign by HS256 with this key

	// Signature is "" for the right one, "bad" for wrong bytes, "none" for none; of ES256 "der" for ASN.1, "short"
	// or "zero"; "foreign" for one by a key that nobody knows and that stands in the header; "public-key" for HS256
	// with the public key, as PEM, for the shared one.
	Signature string `json:"signature"`
}

var signatures = []string{"", "bad", "none", "der", "short", "zero", "foreign", "public-key"}

// forge returns a token with the changes.
func (f *Forgery) forge(keys *keyring, token string) string {
	parts := strings.Split(token, ".")
	header, claims := jwtMembers(parts[0]), jwtMembers(parts[1])
	if f.Rotate {
		keys.rotate()
	}
	key := keys.newest()
	header["kid"] = key.public["kid"]
	if f.Signature == "foreign" {
		key.signer, key.alg = newECKey(), ES256
		header["alg"] = key.alg
		header["jwk"], _ = publicJWK(key.signer.Public())
	}
	alter(header, f.Header, nil)
	alter(claims, f.Claims, f.Append)
	for name, seconds := range f.Move {
		from, ok := claims[name].(float64)
		if !ok {
			from, _ = claims["iat"].(float64)
		}
		claims[name] = from + float64(seconds)
	}
	text := toJSON(claims)
	if f.Double != "" {
		text = append(fmt.Appendf(nil, `{%q:"first",`, f.Double), text[1:]...)
	}
	input := jwtPart(header) + "." + b64(text)
	return input + "." + b64(f.sign(key, input)) + f.Tail
}

func jwtMembers(part string) (members map[string]any) {
	data, _ := base64.RawURLEncoding.DecodeString(part) // never fails: the token is one of ours
	json.Unmarshal(data, &members)
	return members
}

func (f *Forgery) sign(key signingKey, input string) []byte {
	sig, secret := key.sign(input), []byte(f.HMACKey)
	if f.Signature == "public-key" {
		der, _ := x509.MarshalPKIXPublicKey(key.signer.Public()) // never fails: it is RSA or P-256
		secret = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if len(secret) > 0 {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(input))
		sig = h.Sum(nil)
	}
	switch f.Signature {
	case "none":
		return nil
	case "zero":
		clear(sig)
	case "bad":
		for i := range sig {
			sig[i] ^= 0x5a
		}
	case "short":
		return sig[:len(sig)-1]
	case "der":
		r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
		sig, _ = asn1.Marshal(struct{ R, S *big.Int }{r, s})
	}
	return sig
}

// switches are the named ways to misbehave, each a list of faults: those that a relying party must
// withstand by the conformance suite's oidcc-client-test modules, and by the RFCs.
func (s *Server) switches() map[string][]Fault {
	var concerns map[string]map[string][]faultJSON
	s.document("switches.json", &concerns)
	all := map[string][]Fault{}
	for _, some := range concerns {
		for name, list := range some {
			for _, f := range list {
				all[name] = append(all[name], f.fault())
			}
		}
	}
	for _, expires := range []string{`"3600"`, "3600.0", "0", "-1", "1e15", "null", `"soon"`} {
		set := map[string]any{"expires_in": json.RawMessage(expires)}
		all["tok-expiry-"+strings.Trim(expires, `"`)] = []Fault{{Path: "token", Set: set}}
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "exp"} {
		all["missing-"+name] = []Fault{{Path: "token", IDToken: &Forgery{Claims: map[string]any{name: nil}}}}
	}
	var keys []any
	s.document("decoys.json", &keys)
	for _, k := range keys[:6] {
		delete(k.(map[string]any), "kid")
	}
	nameless := Fault{Path: "token", IDToken: &Forgery{Header: map[string]any{"kid": nil}}}
	bare := map[string]any{"kid": nil, "alg": nil}
	all["keys-odd"] = []Fault{{Path: "jwk", AddKeys: keys[6:]}}
	all["kid-absent"] = []Fault{nameless, {Path: "jwk", AddKeys: keys[2:6], SetKeys: bare}}
	all["kids-absent"] = []Fault{nameless, {Path: "jwk", AddKeys: keys[:2], SetKeys: bare}}
	return all
}

// Switches lists the names that Switch knows, sorted.
func (s *Server) Switches() []string { return slices.Sorted(maps.Keys(s.switches())) }

// Switch turns on a named way to misbehave: it adds the faults that the name stands for. ClearFaults ends it.
// Those that are a number of answers happen once, one after the other.
func (s *Server) Switch(name string) error {
	list, ok := s.switches()[name]
	if !ok {
		return fmt.Errorf("there is no switch %q", name)
	}
	for _, f := range list {
		s.Fail(f)
	}
	return nil
}
