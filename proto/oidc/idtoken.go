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

// leeway is how far the provider's clock and ours may be apart (RFC 7519 section 4.1.4).
const leeway = time.Minute

// IDTokenCheck is what an id_token must agree with.
type IDTokenCheck struct {
	Nonce   string // of the authorization request; empty: none was sent, and what the token says does not matter
	Subject string // of the login before; empty: any
	// Refreshed is for a refresh (Core section 12.2): its token may be the login's own, and expired. What it brings is
	// new by the exchange itself, and lives for seconds that need no clock.
	Refreshed bool
}

// VerifyIDToken checks signature and claims of an answer's id_token (Core section 3.1.3.7) and returns whom it is
// about. Over TLS the token endpoint vouches for the signature (step 6) where the keys cannot be had; never for one
// that is wrong, or none, or by a shared secret.
func (p *Provider) VerifyIDToken(ctx context.Context, t *TokenResponse, want IDTokenCheck) (subject string, err error) {
	j, alg, err := p.verify(ctx, t.IDToken)
	if _, open := errors.AsType[unverifiable](err); err != nil && !(open && strings.HasPrefix(p.TokenEndpoint, "https:")) {
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
	// Step 3: we trust no other audience, unless the provider says that the token was made for us (azp, step 4).
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

// checkTimes names our clock as well, and the provider's where it is known: on many a machine that is what is wrong.
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

// checkAccessTokenHash is Core section 3.1.3.8: at_hash is the left half of the access token's hash. Section 3.1.3.6:
// it is optional in the code flow.
func (o *object) checkAccessTokenHash(alg algorithm, accessToken secret.Secret) {
	if accessToken.IsEmpty() || !o.has("at_hash") {
		return
	}
	sum := alg.digest(accessToken.Reveal())
	if o.text("at_hash") != base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]) {
		o.fail("\"at_hash\" is not that of the access token")
	}
}

// UnverifiedIssuer returns the iss claim of a JWT (RFC 7519 section 4.1.1), of which nothing is verified: it says only
// whose keys to try.
func UnverifiedIssuer(token secret.Secret) (string, error) {
	j, err := decodeJWT(token)
	if err != nil {
		return "", err
	}
	issuer := j.claims.text("iss")
	return issuer, j.claims.err
}

// VerifySignature checks that a JWT, of whatever kind, was signed with one of the keys that its issuer publishes. It
// looks at no claim but iss, and not at the times. invalid is what is wrong with the token, or nil; with an error
// nothing is known.
func (p *Provider) VerifySignature(ctx context.Context, token secret.Secret) (invalid, err error) {
	j, _, err := p.verify(ctx, token)
	if _, open := errors.AsType[unverifiable](err); open {
		return nil, err
	}
	if err != nil {
		return err, nil
	}
	if issuer := j.claims.text("iss"); issuer != p.Issuer {
		return fmt.Errorf("\"iss\" is %s, not %s", shown(issuer), shown(p.Issuer)), nil
	}
	return nil, nil
}
