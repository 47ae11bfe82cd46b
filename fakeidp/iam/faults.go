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

// Fault is a deliberate misbehaviour for requests to one path. Of several faults the oldest applies.
type Fault struct {
	Path  string        `json:"path"`  // below the issuer: "token"; "": any
	Times int           `json:"times"` // number of requests; 0: all, until ClearFaults
	Delay time.Duration `json:"-"`     // wait before the request is handled

	Status int               `json:"status"` // answer with Status, Header and Body only; 0: handle the request
	Header map[string]string `json:"header"` // added to a regular answer too
	Body   string            `json:"body"`

	// Set and Append change the members of a regular answer in JSON, or the parameters of a redirect to the
	// client. In Set nil removes a member, and a list repeats a parameter.
	Set     map[string]any    `json:"set"`
	Append  map[string]string `json:"append"`   // text to append to the right value
	SetKeys map[string]any    `json:"set_keys"` // as Set, in each key of a JWK set
	AddKeys []any             `json:"add_keys"` // added to a JWK set
	IDToken *Forgery          `json:"id_token"` // changes the ID token of a regular answer
	Cut     bool              `json:"cut"`      // handle the request, but close the connection in mid-body
	Endless bool              `json:"endless"`  // never end the body
}

// endlessLimit is the size in bytes of an endless body, for clients that never give up.
const endlessLimit = 1 << 28

var blanks = bytes.Repeat([]byte(" "), 1<<16)

// Fail adds a fault, or returns an error if the fault is not valid.
func (s *Server) Fail(f Fault) error {
	_, err := json.Marshal(f)
	switch {
	case err != nil:
		return err
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return fmt.Errorf("status %d: must be 200 to 599", f.Status)
	case f.IDToken != nil && !slices.Contains(signatures, f.IDToken.Signature):
		return fmt.Errorf("signature %q: must be one of %s", f.IDToken.Signature, strings.Join(signatures[1:], ", "))
	case f.Times < 0 || f.Delay < 0:
		return errors.New("times and delay must not be below zero")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Path = strings.TrimPrefix(f.Path, "/")
	s.faults = append(s.faults, &f)
	return nil
}

// ClearFaults removes all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault returns the fault for a path, and counts it. Without one it returns the zero Fault, which changes nothing.
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

// change applies the fault to an answer in JSON or a redirect to the client.
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

// alter sets members, removes those that are nil in set, and appends text to others.
func alter(members, set map[string]any, appended map[string]string) {
	for k, v := range set {
		if members[k] = v; v == nil {
			delete(members, k)
		}
	}
	for k, text := range appended {
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

// send sends an answer, with the fault's changes to the header and the connection.
func (f *Fault) send(w http.ResponseWriter, a *response) {
	for k, v := range f.Header {
		a.header.Set(k, v)
	}
	maps.Copy(w.Header(), a.header)
	body := a.body.Bytes()
	if f.Cut {
		// net/http closes the connection when the body is shorter than announced.
		w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
		body = body[:len(body)/2]
	}
	w.WriteHeader(a.status)
	_, err := w.Write(body)
	for sent := 0; f.Endless && err == nil && sent < endlessLimit; sent += len(blanks) {
		_, err = w.Write(blanks)
	}
}

// Forgery changes the ID token of an answer. The token is signed again with the server's key, unless Signature or
// HMACKey is set.
type Forgery struct {
	Header  map[string]any    `json:"header"`   // members to set; nil removes one
	Claims  map[string]any    `json:"claims"`   // as Header
	Append  map[string]string `json:"append"`   // text to append to claims
	Move    map[string]int64  `json:"move"`     // seconds to add to claims that are times; to iat if absent
	Double  string            `json:"double"`   // repeat this claim
	Tail    string            `json:"tail"`     // text to append to the token
	Rotate  bool              `json:"rotate"`   // sign with a new key, generated now
	HMACKey string            `json:"hmac_key"` // sign with this key (HS256)

	// Signature is "" (right), "bad" (wrong bytes), "none" (empty), "foreign" (by an unknown key, which is in the
	// header) or "public-key" (HS256 with the public key in PEM as the secret). For ES256 it can also be "der"
	// (ASN.1), "short" or "zero".
	Signature string `json:"signature"`
}

var signatures = []string{"", "bad", "none", "der", "short", "zero", "foreign", "public-key"}

// forge returns the changed token.
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
	data, _ := base64.RawURLEncoding.DecodeString(part) // never fails: the token is ours
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

// switches returns the named lists of faults: what a relying party must withstand according to the RFCs and to the
// oidcc-client-test modules of the conformance suite.
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

// Switches returns the names for Switch, sorted.
func (s *Server) Switches() []string { return slices.Sorted(maps.Keys(s.switches())) }

// Switch adds the faults that a name stands for, until ClearFaults. A name may stand for a sequence of answers, each of
// which is given once.
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
