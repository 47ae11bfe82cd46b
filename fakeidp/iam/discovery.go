package iam

import "net/http"

// Grant types (RFC 6749 section 4, RFC 8628 section 3.4, RFC 8693 section 2.1).
const (
	grantAuthorizationCode = "authorization_code"
	grantImplicit          = "implicit" // may be registered, as at IAM; there is no such flow here
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
	grantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// metadata is the discovery document (Core Discovery 1.0 section 3, RFC 8414 section 2). It announces what
// there is: IAM's lists, less the implicit flow, JWT client authentication and request objects.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	at := func(path string) string { return s.cfg.Issuer + path }
	metadata := map[string]any{
		"issuer":                                         s.cfg.Issuer,
		"authorization_endpoint":                         at("authorize"),
		"token_endpoint":                                 at("token"),
		"userinfo_endpoint":                              at("userinfo"),
		"jwks_uri":                                       at("jwk"),
		"registration_endpoint":                          at(registrationPath[1:]),
		"introspection_endpoint":                         at("introspect"),
		"revocation_endpoint":                            at("revoke"),
		"device_authorization_endpoint":                  at("devicecode"),
		"op_policy_uri":                                  at("about"),
		"op_tos_uri":                                     at("about"),
		"service_documentation":                          at("about"),
		"scopes_supported":                               s.cfg.Scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{grantAuthorizationCode, grantRefreshToken, grantClientCredentials, grantPassword, grantTokenExchange, grantDeviceCode},
		"token_endpoint_auth_methods_supported":          authMethods,
		"revocation_endpoint_auth_methods_supported":     authMethods,
		"introspection_endpoint_auth_methods_supported":  []string{authBasic, authPost},
		"code_challenge_methods_supported":               []string{"plain", "S256"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207 section 3
		"subject_types_supported":                        []string{"public", "pairwise"},
		"claim_types_supported":                          []string{"normal"},
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"require_request_uri_registration":               false,
		"id_token_signing_alg_values_supported":          []string{s.cfg.Alg},
		"claims_supported": []string{"sub", "name", "preferred_username", "given_name", "family_name", "middle_name", "nickname",
			"profile", "picture", "zoneinfo", "locale", "updated_at", "email", "email_verified", "organisation_name", "groups",
			"wlcg.groups", "external_authn"},
	}
	if s.settings.Conformance {
		metadata["response_types_supported"] = []string{"code", "id_token code", "token code", "id_token", "token id_token", "token id_token code"}
		metadata["token_endpoint_auth_methods_supported"] = []string{authBasic}
	}
	return writeJSON(w, http.StatusOK, metadata)
}
