package iam

import "time"

// What [Settings].Conformance changes stands here, or where the setting is asked for.

// conformanceIDTokenLifetime is how long that suite's ID tokens live.
const conformanceIDTokenLifetime = 300 * time.Second

// odd puts punctuation behind a credential, which a client must encode to bring it back (RFC 6749
// section 2.3.1 and appendix B). All that do harm are always among them.
func (s *Server) odd(credential string) string {
	if !s.settings.Conformance {
		return credential
	}
	const harmful, other = "%+&:\"\\ ", "!#$'()*,-./;<=>?@[]^_`{|}~"
	b := randomBytes(2)
	return credential + harmful + string(other[int(b[0])%len(other)]) + string(other[int(b[1])%len(other)])
}

// likeConformance is what that suite's provider tells of a client.
func (c Client) likeConformance() map[string]any {
	return map[string]any{
		"client_id": c.ClientID, "client_secret": c.ClientSecret, "client_secret_expires_at": 0, "client_name": c.ClientName,
		"redirect_uris": c.RedirectURIs, "grant_types": c.GrantTypes, "response_types": c.ResponseTypes, "scope": c.Scope,
		"token_endpoint_auth_method": c.TokenEndpointAuthMethod,
	}
}
