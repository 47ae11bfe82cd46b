package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// leeway is how much the provider's clock and ours may differ (RFC 7519 section 4.1.4).
const leeway = time.Minute

// IDTokenCheck is what an id_token must match.
type IDTokenCheck struct {
	Nonce   string // of the authorization request; if empty, the token's nonce does not matter
	Subject string // of the login; if empty, any subject is accepted
	// Refreshed accepts an expired id_token, because the response to a refresh may repeat that of the login (Core
	// section 12.2). That the rest of the response is new follows from the request, without a clock.
	Refreshed bool
}

// VerifyIDToken checks the signature and the claims of a response's id_token (Core section 3.1.3.7) and returns its
// subject. If the provider's keys are not available, a TLS connection to the token endpoint replaces the check of the
// signature (step 6). It does not excuse an invalid signature, the algorithm none or a shared secret.
func (p *Provider) VerifyIDToken(ctx context.Context, t *TokenResponse, want IDTokenCheck) (subject string, err error) {
	j, alg, err := p.verify(ctx, t.IDToken)
	if _, unknown := errors.AsType[unverifiable](err); err != nil && !(unknown && strings.HasPrefix(p.TokenEndpoint, "https:")) {
		return "", fmt.Errorf("id_token: %w", err)
	}
	o := j.claims
	o.required("iss", "sub", "aud", "exp", "iat") // Core section 2
	o.checkParties(p, want)
	o.checkTimes(time.Now(), t.date, want)
	o.checkAccessTokenHash(alg, t.AccessToken)
	if o.err != nil {
		return "", fmt.Errorf("id_token: %w", o.err)
	}
	return o.text("sub"), nil
}

func (o *object) checkParties(p *Provider, want IDTokenCheck) {
	client, issuer, subject := p.ClientID, o.text("iss"), o.text("sub")
	var audience []string // a string or an array of strings (RFC 7519 section 4.1.3)
	if raw := o.raw("aud"); raw != nil && raw[0] == '"' {
		audience = []string{o.text("aud")}
	} else {
		audience = o.texts("aud")
	}
	nonce, azp := o.text("nonce"), o.text("azp")
	switch {
	case !sameIssuer(issuer, p.Issuer): // step 2
		o.fail("\"iss\" is %s, not %s", shown(issuer), shown(p.Issuer))
	// Step 3: we trust no other audience, unless azp says that the token was issued to us (step 4).
	case !slices.Contains(audience, client) || len(audience) > 1 && azp != client:
		o.fail("\"aud\" is %s, not our client", shown(fmt.Sprint(audience)))
	case azp != "" && azp != client: // step 5
		o.fail("\"azp\" is %s, not our client", shown(azp))
	case want.Nonce != "" && nonce != want.Nonce: // step 11
		o.fail("\"nonce\" is not the one of this login")
	case want.Subject != "" && subject != want.Subject: // Core section 12.2
		o.fail("\"sub\" is %s, not %s as before", shown(subject), shown(want.Subject))
	}
}

// checkTimes names both clocks in its errors, if it knows the provider's: often it is the local clock that is wrong.
func (o *object) checkTimes(now, theirs time.Time, want IDTokenCheck) {
	expires, issued, from := o.date("exp"), o.date("iat"), o.date("nbf")
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	clocks := "the clock here says " + stamp(now)
	if !theirs.IsZero() {
		clocks += ", the provider's " + stamp(theirs)
	}
	switch {
	case want.Refreshed:
	case !now.Before(expires.Add(leeway)): // step 9, RFC 7519 section 4.1.4
		o.fail("it expired at %s (%s)", stamp(expires), clocks)
	case now.Add(leeway).Before(issued):
		o.fail("it was issued in the future, at %s (%s)", stamp(issued), clocks)
	case now.Add(leeway).Before(from): // RFC 7519 section 4.1.5
		o.fail("it is not valid before %s (%s)", stamp(from), clocks)
	}
}

// checkAccessTokenHash checks that at_hash is the left half of the access token's hash (Core section 3.1.3.8). It is
// optional in the code flow (section 3.1.3.6).
func (o *object) checkAccessTokenHash(alg algorithm, accessToken secret.Secret) {
	if accessToken.IsEmpty() || !o.has("at_hash") {
		return
	}
	sum := alg.digest(accessToken.Reveal())
	if o.text("at_hash") != base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]) {
		o.fail("\"at_hash\" is not that of the access token")
	}
}

// UnverifiedIssuer returns the iss claim of a JWT (RFC 7519 section 4.1.1), unverified. It tells whose keys to try.
func UnverifiedIssuer(token secret.Secret) (string, error) {
	j, err := decodeJWT(token)
	if err != nil {
		return "", err
	}
	issuer := j.claims.text("iss")
	return issuer, j.claims.err
}

// VerifySignature checks that a JWT of any kind is signed with a key of its issuer, p. It checks no claim but iss.
// invalid is what is wrong with the token, or nil; if err is not nil the signature could not be checked.
func (p *Provider) VerifySignature(ctx context.Context, token secret.Secret) (invalid, err error) {
	j, _, err := p.verify(ctx, token)
	if _, unknown := errors.AsType[unverifiable](err); unknown {
		return nil, err
	}
	if err != nil {
		return err, nil
	}
	if issuer := j.claims.text("iss"); !sameIssuer(issuer, p.Issuer) {
		return fmt.Errorf("\"iss\" is %s, not %s", shown(issuer), shown(p.Issuer)), nil
	}
	return nil, nil
}
