package iam

import (
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// profile returns the server's profile, unless exactly one profile is among the client's scopes.
func (s *Server) profile(c *client) Profile {
	named := slices.DeleteFunc(slices.Clone(profiles), func(p Profile) bool { return !slices.Contains(c.scopes(), string(p)) })
	if len(named) == 1 {
		return named[0]
	}
	return s.cfg.Profile
}

// accessClaims returns the claims of an access token, by profile.
func (s *Server) accessClaims(c *client, d *issue, issued, expires time.Time) map[string]any {
	claims := map[string]any{
		"iss": s.cfg.Issuer, "sub": d.grant.sub, "iat": issued.Unix(), "exp": expires.Unix(),
		"jti": newUUID(), "client_id": c.ClientID,
	}
	if len(d.audience) == 1 { // RFC 7519 section 4.1.3: one audience is a string
		claims["aud"] = d.audience[0]
	} else if len(d.audience) > 1 {
		claims["aud"] = d.audience
	}
	if d.grant.act != nil {
		claims["act"] = d.grant.act
	}
	switch s.profile(c) {
	case WLCG:
		claims["nbf"] = issued.Unix()
		claims["wlcg.ver"] = "1.0"
		if len(d.scope) > 0 {
			claims["scope"] = strings.Join(d.scope, " ")
		}
		if len(d.audience) == 0 {
			claims["aud"] = "https://wlcg.cern.ch/jwt/v1/any" // WLCG, "aud"
		}
		addGroups(claims, d.grant.user, d.scope)
	case AARC:
		if d.grant.user != nil {
			addAARC(claims, d.grant.user, d.scope)
		}
	}
	return claims
}

// addGroups adds wlcg.groups: first the groups that the scope names, in its order, then all others, sorted by name
// (WLCG, "wlcg.groups").
func addGroups(claims map[string]any, u *User, scope []string) {
	if u == nil || !slices.ContainsFunc(scope, wlcgGroup.MatchString) {
		return
	}
	var groups []string
	for _, w := range append(slices.Clone(scope), "wlcg.groups") {
		for _, g := range slices.Sorted(slices.Values(u.Groups)) {
			if g = "/" + g; (w == "wlcg.groups" || w == "wlcg.groups:"+g) && !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	if len(groups) > 0 {
		claims["wlcg.groups"] = groups
	}
}

// addAARC adds the claims of the AARC guidelines (G002 and G069 for entitlements): voperson_id, and the requested ones.
func addAARC(claims map[string]any, u *User, scope []string) {
	entitlements := []string{}
	for _, g := range u.Groups {
		entitlements = append(entitlements, "urn:geant:iam.example:group:"+strings.ReplaceAll(g, "/", ":"))
	}
	values := map[string]any{
		"eduperson_scoped_affiliation": "member@iam.example",
		"eduperson_entitlement":        entitlements,
		"entitlements":                 entitlements,
		"eduperson_assurance":          []string{"https://refeds.org/assurance", "https://refeds.org/assurance/IAP/low"},
	}
	for name, v := range values {
		if slices.Contains(scope, name) || slices.Contains(scope, "aarc") {
			claims[name] = v
		}
	}
	claims["voperson_id"] = u.Sub
}

// idClaims returns the claims of an ID token (Core section 2).
func (s *Server) idClaims(c *client, d *issue, issued, expires time.Time, accessToken string) map[string]any {
	digest := sha256.Sum256([]byte(accessToken)) // for RS256 and ES256
	claims := map[string]any{
		"iss": s.cfg.Issuer, "aud": c.ClientID, "iat": issued.Unix(), "exp": expires.Unix(), "jti": newUUID(),
		"auth_time": d.grant.authTime.Unix(),
		"at_hash":   b64(digest[:16]), // Core section 3.1.3.6: the left half
	}
	if d.grant.nonce != "" {
		claims["nonce"] = d.grant.nonce
	}
	s.addUserClaims(claims, c, d.grant.user, d.scope)
	return claims
}

// addUserClaims adds the claims about a user that the scopes ask for (Core section 5.4), for ID tokens and userinfo.
func (s *Server) addUserClaims(claims map[string]any, c *client, u *User, scope []string) {
	profile := s.profile(c)
	claims["sub"] = u.Sub
	if slices.Contains(scope, "profile") {
		claims["name"], claims["preferred_username"] = u.Name(), u.Username
		claims["given_name"], claims["family_name"] = u.GivenName, u.FamilyName
		claims["organisation_name"] = "fakeidp"
		if profile == IAM {
			claims["groups"] = append([]string{}, u.Groups...)
		}
	}
	if slices.Contains(scope, "email") && u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, true
	}
	switch profile {
	case WLCG:
		claims["wlcg.ver"] = "1.0"
		addGroups(claims, u, scope)
	case AARC:
		addAARC(claims, u, scope)
	}
}
