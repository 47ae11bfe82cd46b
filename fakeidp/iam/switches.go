package iam

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
