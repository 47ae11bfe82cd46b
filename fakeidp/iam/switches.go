package iam

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Short forms for the table below: what a switch changes, and where.
type set = map[string]any

const (
	atDiscovery = ".well-known/openid-configuration"
	atUserinfo  = "userinfo"
	elsewhere   = "https://elsewhere.example/" // a host that nobody should ask
	pendingCode = "authorization_pending"
)

func spoil(path string, members set) []Fault { return []Fault{{Path: path, Set: members}} }
func behind(path, member, text string) []Fault {
	return []Fault{{Path: path, Append: map[string]string{member: text}}}
}
func forge(f Forgery) []Fault   { return []Fault{{Path: "token", IDToken: &f}} }
func claim(members set) []Fault { return forge(Forgery{Claims: members}) }
func suffix(claim, text string) []Fault {
	return forge(Forgery{Append: map[string]string{claim: text}})
}
func shift(claim string, d time.Duration) []Fault {
	return forge(Forgery{Move: map[string]int64{claim: int64(d / time.Second)}})
}
func signed(signature string, header set) []Fault {
	return forge(Forgery{Signature: signature, Header: header})
}
func answers(path string, list ...Fault) []Fault { return onPath(path, 1, list) }
func always(path string, list ...Fault) []Fault  { return onPath(path, 0, list) }
func oauthError(status int, code string) Fault {
	return Fault{Status: status, Body: `{"error":"` + code + `"}`}
}
func typed(status int, media, body string) Fault {
	return Fault{Status: status, Body: body, Header: map[string]string{"Content-Type": media}}
}
func headed(status int, name, value string) Fault {
	return Fault{Status: status, Header: map[string]string{name: value}}
}
func page(status int) Fault { return typed(status, "text/html", "<html><h1>Sorry</h1></html>") }

func onPath(path string, times int, list []Fault) []Fault {
	for i := range list {
		list[i].Path, list[i].Times = path, times
	}
	return list
}

// switches are the named ways to misbehave, each a list of faults: those that a relying party must
// withstand by the conformance suite's oidcc-client-test modules, and by the RFCs.
func (s *Server) switches() map[string][]Fault {
	all := map[string][]Fault{}
	for _, some := range []map[string][]Fault{s.ofDiscovery(), s.ofDevices(), s.ofCallbacks(), s.ofClaims(), s.ofSignatures(),
		s.ofKeys(), s.ofRegistration(), s.ofTokens()} {
		maps.Copy(all, some)
	}
	for _, expires := range []string{`"3600"`, "3600.0", "0", "-1", "1e15", "null", `"soon"`} {
		all["tok-expiry-"+strings.Trim(expires, `"`)] = spoil("token", set{"expires_in": json.RawMessage(expires)})
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "exp"} {
		all["missing-"+name] = claim(set{name: nil})
	}
	return all
}

// ofDiscovery are those of the metadata.
func (s *Server) ofDiscovery() map[string][]Fault {
	slashless := strings.TrimSuffix(s.cfg.Issuer, "/")
	return map[string][]Fault{
		"discovery-issuer-mismatch": behind(atDiscovery, "issuer", "INVALID"),
		"issuer-host":               spoil(atDiscovery, set{"issuer": elsewhere}),
		"jwks-uri-new":              spoil(atDiscovery, set{"jwks_uri": s.cfg.Issuer + "jwk-moved"}),
		"disc-slash":                slices.Concat(spoil(atDiscovery, set{"issuer": slashless}), spoil("authorize", set{"iss": slashless}), claim(set{"iss": slashless})),
		"disc-form":                 spoil(atDiscovery, set{"token_endpoint": "http://elsewhere.example/token"}),
		"disc-form-loopback":        spoil(atDiscovery, set{"token_endpoint": "http://127.0.0.1:1/token"}),
		"disc-other-host":           spoil(atDiscovery, set{"revocation_endpoint": elsewhere + "revoke"}),
		"disc-defaults":             spoil(atDiscovery, set{"grant_types_supported": nil, "token_endpoint_auth_methods_supported": nil, "code_challenge_methods_supported": nil}),
		"disc-junk":                 spoil(atDiscovery, set{"unknown": set{"a": []any{1, nil}}, "scopes_supported": nil, "mtls_endpoint_aliases": set{"token_endpoint": elsewhere}}),
		"disc-junk-null":            spoil(atDiscovery, set{"token_endpoint": nil}),
		"disc-junk-type":            spoil(atDiscovery, set{"token_endpoint": 5}),
		"disc-junk-html":            always(atDiscovery, page(200)),
		"disc-junk-endless":         always(atDiscovery, Fault{Endless: true}),
		"disc-junk-redirect":        always(atDiscovery, headed(302, "Location", "http://127.0.0.1:1/")),
		"oauth-only":                always(atDiscovery, Fault{Status: 404}),
		"one-auth-method-post":      spoil(atDiscovery, set{"token_endpoint_auth_methods_supported": []any{authPost}}),
		"one-auth-method-none":      spoil(atDiscovery, set{"token_endpoint_auth_methods_supported": []any{authNone}}),
		"pkce-plain":                spoil(atDiscovery, set{"code_challenge_methods_supported": []any{"plain"}}),
		"pkce-unannounced":          spoil(atDiscovery, set{"code_challenge_methods_supported": nil}),
		"mix-up":                    spoil(atDiscovery, set{"authorization_endpoint": elsewhere + "authorize"}),
	}
}

// ofDevices are those of the device grant (RFC 8628).
func (s *Server) ofDevices() map[string][]Fault {
	slow, pending := oauthError(400, "slow_down"), oauthError(400, pendingCode)
	return map[string][]Fault{
		"dev-missing-device_code":      spoil("devicecode", set{"device_code": nil}),
		"dev-missing-user_code":        spoil("devicecode", set{"user_code": nil}),
		"dev-missing-verification_uri": spoil("devicecode", set{"verification_uri": nil}),
		"dev-verification_url":         spoil("devicecode", set{"verification_uri": nil, "verification_url": s.cfg.Issuer + "device"}),
		"dev-missing-expires_in":       spoil("devicecode", set{"expires_in": nil}),
		"dev-interval-0":               spoil("devicecode", set{"interval": 0}),
		"dev-interval-31":              spoil("devicecode", set{"interval": 31}),
		"dev-interval-long":            spoil("devicecode", set{"interval": 120, "expires_in": 60}),
		"dev-pending":                  answers("token", pending, oauthError(401, pendingCode), oauthError(428, pendingCode), oauthError(200, pendingCode)),
		"dev-slow-down":                answers("token", slow, pending, slow, pending),
		"dev-access_denied":            answers("token", pending, pending, oauthError(400, "access_denied")),
		"dev-expired_token":            answers("token", pending, pending, oauthError(400, "expired_token")),
		"dev-invalid_request":          answers("token", pending, pending, oauthError(400, "invalid_request")),
		"dev-invalid_grant":            answers("token", pending, oauthError(400, "invalid_grant")),
		"dev-invalid_client":           answers("token", pending, oauthError(401, "invalid_client")),
		"dev-unknown-error":            answers("token", pending, oauthError(400, "out_of_paper")),
		"dev-forever":                  always("token", pending),
		"dev-timeout":                  answers("token", pending, Fault{Delay: time.Minute, Status: 504}, Fault{Delay: time.Minute, Status: 504}),
		"dev-refused":                  answers("token", pending, Fault{Cut: true, Status: 200, Body: "{}"}),
		"dev-slow-answer":              answers("token", Fault{Delay: 14 * time.Second, Status: 400, Body: pending.Body}),
		"dev-display-javascript":       spoil("devicecode", set{"verification_uri": "javascript:alert(1)"}),
		"dev-display-file":             spoil("devicecode", set{"verification_uri_complete": "file:///etc/passwd"}),
		"dev-display-escape":           spoil("devicecode", set{"user_code": "AB\x1b[31mC-\u202e1"}),
		"dev-display-error":            answers("token", Fault{Status: 400, Body: `{"error":"access_denied","error_description":"no\u001b]0;x\u0007\nway"}`}),
	}
}

// ofCallbacks are those of what the browser brings back.
func (s *Server) ofCallbacks() map[string][]Fault {
	slashless := strings.TrimSuffix(s.cfg.Issuer, "/")
	return map[string][]Fault{
		"callback-error":       spoil("authorize", set{"code": nil, "error": "login_required", "error_description": "max_age=0 <script>"}),
		"callback-iss":         behind("authorize", "iss", "1"),
		"callback-iss-slash":   spoil("authorize", set{"iss": slashless}),
		"callback-iss-case":    spoil("authorize", set{"iss": strings.ToUpper(s.cfg.Issuer)}),
		"callback-iss-escaped": spoil("authorize", set{"iss": strings.Replace(s.cfg.Issuer, "/", "%2F", 1)}),
		"callback-no-iss":      spoil("authorize", set{"iss": nil}),
		"callback-error-iss":   spoil("authorize", set{"code": nil, "error": "access_denied", "iss": elsewhere}),
		"iss-unannounced":      spoil(atDiscovery, set{"authorization_response_iss_parameter_supported": nil}),
		"callback-state":       behind("authorize", "state", "1"),
		"callback-state-empty": spoil("authorize", set{"state": ""}),
		"callback-no-state":    spoil("authorize", set{"state": nil}),
		"callback-code-twice":  spoil("authorize", set{"code": []any{"a", "b"}}),
		"callback-state-twice": spoil("authorize", set{"state": []any{"a", "b"}}),
		"callback-iss-twice":   spoil("authorize", set{"iss": []any{s.cfg.Issuer, s.cfg.Issuer}}),
		"callback-both":        spoil("authorize", set{"error": "access_denied"}),
		"callback-neither":     spoil("authorize", set{"code": nil}),
	}
}

// ofClaims are those of what an ID token says.
func (s *Server) ofClaims() map[string][]Fault {
	return map[string][]Fault{
		"invalid-iss":    suffix("iss", "1"),
		"invalid-sub":    suffix("sub", "1"),
		"invalid-aud":    suffix("aud", "1"),
		"invalid-azp":    claim(set{"azp": "another client"}),
		"nonce-invalid":  suffix("nonce", "1"),
		"invalid-athash": suffix("at_hash", "1"),
		"missing-nonce":  claim(set{"nonce": nil}),
		"missing-athash": claim(set{"at_hash": nil}),
		"secondary-aud":  claim(set{"aud": []any{"client", "stranger"}}),
		"expired-exp":    forge(Forgery{Claims: set{"exp": nil}, Move: map[string]int64{"exp": -360}}),
		"iat-week-past":  shift("iat", -7*24*time.Hour),
		"iat-ahead":      shift("iat", 2*time.Minute),
		"nbf-ahead":      shift("nbf", 2*time.Minute),
		"auth_time":      shift("auth_time", -time.Hour),
		"exp-scientific": claim(set{"exp": json.RawMessage("41e8")}),
		"exp-fraction":   claim(set{"exp": json.RawMessage("4100000000.5")}),
		"exp-text":       claim(set{"exp": "4100000000"}),
	}
}

// ofSignatures are those of how an ID token is signed and written.
func (s *Server) ofSignatures() map[string][]Fault {
	return map[string][]Fault{
		"sig-none":             signed("none", set{"alg": "none", "kid": nil}),
		"sig-None":             signed("none", set{"alg": "None"}),
		"sig-nOnE":             signed("none", set{"alg": "nOnE"}),
		"sig-empty":            signed("none", nil),
		"sig-bad":              signed("bad", nil),
		"sig-bad-hs256":        forge(Forgery{Header: set{"alg": "HS256"}, HMACKey: "secret", Signature: "bad"}),
		"sig-hs256-public-key": signed("public-key", set{"alg": "HS256"}),
		"sig-der":              signed("der", nil),
		"sig-short":            signed("short", nil),
		"sig-zero":             signed("zero", nil),
		"header-jwk":           signed("foreign", nil),
		"header-urls":          forge(Forgery{Header: set{"jku": elsewhere, "x5u": elsewhere, "x5c": []any{"MIIB"}}}),
		"header-crit":          forge(Forgery{Header: set{"crit": []any{"exp"}, "exp": 1}}),
		"header-crit-b64":      forge(Forgery{Header: set{"crit": []any{"b64"}, "b64": true}}),
		"kid-unknown":          forge(Forgery{Header: set{"kid": "never"}}),
		"rotate-at-signing":    forge(Forgery{Rotate: true}),
		"claim-twice":          forge(Forgery{Double: "sub"}),
		"jwt-padding":          forge(Forgery{Tail: "="}),
		"jwt-4-parts":          forge(Forgery{Tail: ".e30"}),
		"jwt-5-parts":          forge(Forgery{Tail: ".e30.e30"}),
		"jwt-2-parts":          spoil("token", set{"id_token": "e30.e30"}),
		"jwt-unsigned":         spoil("token", set{"id_token": "eyJhbGciOiJub25lIn0.eyJqdGkiOiJ4In0."}),
	}
}

// ofKeys are those of the key set.
func (s *Server) ofKeys() map[string][]Fault {
	d := s.keys.decoys()
	return map[string][]Fault{
		"keys-odd":    {{Path: "jwk", AddKeys: d[6:]}},
		"keys-enc":    {{Path: "jwk", SetKeys: set{"use": "enc"}}},
		"keys-alg":    {{Path: "jwk", SetKeys: set{"alg": "ES384"}}},
		"keys-away":   always("jwk", page(503)),
		"kid-absent":  append(forge(Forgery{Header: set{"kid": nil}}), Fault{Path: "jwk", AddKeys: keysOnly(d[2:6]), SetKeys: set{"kid": nil, "alg": nil}}),
		"kids-absent": append(forge(Forgery{Header: set{"kid": nil}}), Fault{Path: "jwk", AddKeys: keysOnly(d[:2]), SetKeys: set{"kid": nil, "alg": nil}}),
	}
}

// ofRegistration are those of the registration (RFC 7591).
func (s *Server) ofRegistration() map[string][]Fault {
	path := registrationPath[1:]
	return map[string][]Fault{
		"reg-alg-none":         spoil(path, set{"id_token_signed_response_alg": "none", "grant_types": []any{grantAuthorizationCode}}),
		"reg-replaced":         spoil(path, set{"scope": "openid", "grant_types": []any{grantAuthorizationCode}, "redirect_uris": []any{"http://localhost:1"}, "token_endpoint_auth_method": authPost, "client_name": "x"}),
		"reg-expiry":           spoil(path, set{"client_secret_expires_at": 4100000000}),
		"reg-expiry-past":      spoil(path, set{"client_secret_expires_at": 1}),
		"reg-expiry-absent":    spoil(path, set{"client_secret_expires_at": nil}),
		"reg-error-uri":        always(path, oauthError(400, "invalid_redirect_uri")),
		"reg-error-metadata":   always(path, oauthError(400, "invalid_client_metadata")),
		"reg-error-401":        always(path, Fault{Status: 401}),
		"reg-error-403":        always(path, typed(403, "text/plain", "not you")),
		"reg-error-text":       always(path, typed(200, "text/plain", "fine")),
		"reg-error-no-id":      spoil(path, set{"client_id": nil}),
		"reg-public":           spoil(path, set{"client_secret": nil, "token_endpoint_auth_method": nil}),
		"reg-manage-new-token": spoil(path, set{"registration_access_token": "another"}),
		"reg-without-manage":   spoil(path, set{"registration_access_token": nil, "registration_client_uri": nil}),
	}
}

// ofTokens are those of the token endpoint, of revocation and of userinfo.
func (s *Server) ofTokens() map[string][]Fault {
	return map[string][]Fault{
		"tok-type-bearer":       spoil("token", set{"token_type": "bEARER"}),
		"tok-type-DPoP":         spoil("token", set{"token_type": "DPoP"}),
		"tok-type-mac":          spoil("token", set{"token_type": "mac"}),
		"tok-type-none":         spoil("token", set{"token_type": nil}),
		"tok-no-scope":          spoil("token", set{"scope": nil, "expires_in": nil}),
		"tok-scope-smaller":     spoil("token", set{"scope": "openid"}),
		"tok-scope-larger":      behind("token", "scope", " admin"),
		"tok-extra":             spoil("token", set{"unknown": set{"a": 1}, "access_token": strings.Repeat("x", 16<<10), "id_token": nil}),
		"tok-no-token":          spoil("token", set{"access_token": nil}),
		"tok-error-200":         always("token", oauthError(200, "invalid_grant")),
		"tok-form":              always("token", typed(200, "application/x-www-form-urlencoded", "access_token=a&token_type=bearer")),
		"tok-bad-error-html":    always("token", page(400)),
		"tok-bad-error-401":     always("token", typed(401, "", "")),
		"tok-bad-error-502":     always("token", page(502)),
		"tok-bad-error-control": always("token", Fault{Status: 400, Body: `{"error":"invalid_request","error_description":"a\u001b[2J\"b\r\nc"}`}),
		"tok-redirect-307":      always("token", headed(307, "Location", elsewhere+"token")),
		"tok-redirect-308":      always("token", headed(308, "Location", elsewhere+"token")),
		"tok-busy-429":          answers("token", headed(429, "Retry-After", "7")),
		"tok-busy-503":          answers("token", headed(503, "Retry-After", "7")),
		"tok-opaque":            spoil("token", set{"access_token": "opaque", "id_token": nil}),
		"ref-not-rotated":       spoil("token", set{"refresh_token": nil}),
		"ref-cut":               answers("token", Fault{Cut: true}),
		"ref-500":               answers("token", page(500)),
		"ref-portal":            answers("token", page(200)),
		"ref-idtoken-absent":    spoil("token", set{"id_token": nil}),
		"revoke-503":            always("revoke", typed(503, "text/plain", "later")),
		"revoke-unsupported":    always("revoke", oauthError(400, "unsupported_token_type")),
		"revoke-none":           spoil(atDiscovery, set{"revocation_endpoint": nil}),
		"ui-401":                answers(atUserinfo, headed(401, "WWW-Authenticate", `Bearer error="invalid_token"`)),
		"userinfo-invalid-sub":  behind(atUserinfo, "sub", "invalid"),
	}
}

// keysOnly takes the kids off.
func keysOnly(keys []any) (bare []any) {
	for _, k := range keys {
		if k, ok := k.(jwk); ok {
			k.Kid = ""
			bare = append(bare, k)
		}
	}
	return bare
}

// Switches lists the names that Switch knows, sorted.
func (s *Server) Switches() []string {
	return slices.Sorted(maps.Keys(s.switches()))
}

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
