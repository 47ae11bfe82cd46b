package iam

import "time"

// What [Settings].Conformance changes stands here, or where the method is asked.

// conformanceIDTokenLifetime is how long that suite's ID tokens live.
const conformanceIDTokenLifetime = 300 * time.Second

func (s *Server) conformance() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.Conformance
}

// oddLocked puts punctuation behind a credential, which a client must encode to bring it back (RFC 6749
// section 2.3.1 and appendix B). All that do harm are always among them.
func (s *Server) oddLocked(credential string) string {
	if !s.settings.Conformance {
		return credential
	}
	const harmful, other = "%+&:\"\\ ", "!#$'()*,-./;<=>?@[]^_`{|}~"
	b := randomBytes(2)
	return credential + harmful + string(other[int(b[0])%len(other)]) + string(other[int(b[1])%len(other)])
}

// announce makes of our metadata those of the conformance suite's provider.
func announce(metadata map[string]any) {
	metadata["response_types_supported"] = []string{"code", "id_token code", "token code", "id_token", "token id_token", "token id_token code"}
	metadata["token_endpoint_auth_methods_supported"] = []string{authBasic}
}

// likeConformance takes out of a registration what that suite's provider does not tell.
func (r registration) likeConformance() map[string]any {
	return map[string]any{
		"client_id": r.ClientID, "client_secret": r.ClientSecret, "client_secret_expires_at": 0, "client_name": r.ClientName,
		"redirect_uris": r.RedirectURIs, "grant_types": r.GrantTypes, "response_types": r.ResponseTypes, "scope": r.Scope,
		"token_endpoint_auth_method": r.TokenEndpointAuthMethod,
	}
}
