package oidc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// leeway is how far the provider's clock and ours may be apart (RFC 7519 section 4.1.4).
const leeway = time.Minute

// IDTokenCheck is what an id_token must agree with.
type IDTokenCheck struct {
	ClientID string
	// Nonce of the authorization request. Empty: none was sent, and what the token says does not matter.
	Nonce string
	// NonceOptional is for a refresh: its token may leave the nonce out (Core section 12.2).
	NonceOptional bool
	// AuthTime of the login's own token. Zero: any.
	AuthTime time.Time
	// AccessToken that came with it: at_hash, where the token has one, must be of this.
	AccessToken secret.Secret
	// Subject of the login before. Empty: any.
	Subject string
	// MaxAge bounds the time since iat. 0: no bound.
	MaxAge time.Duration
	// Algorithms are those that the client registered. Empty: all that [Algorithms] lists.
	Algorithms []string
	// AnyTime is for a refresh: its token may be the login's own, and expired. What it brings is new by the
	// exchange itself, and lives for seconds that need no clock.
	AnyTime bool
	// Date of the answer that brought it, by the provider's clock, for the text of an error. Zero: not known.
	Date time.Time
	// Direct: it came straight from the token endpoint. Over TLS that vouches for it (Core section 3.1.3.7 step
	// 6), where the keys cannot be had; never for a wrong signature, or none, or one by a shared secret.
	Direct bool
}

// IDToken is a verified id_token (Core section 2). Times are zero where the token has none.
type IDToken struct {
	Issuer, Subject, Nonce        string
	Audience                      []string
	AuthorizedParty               string
	ExpiresAt, IssuedAt, AuthTime time.Time
	// Claims are all of them, a JSON object.
	Claims []byte
}

// VerifyIDToken checks signature and claims of an id_token (Core section 3.1.3.7).
func (c *Client) VerifyIDToken(ctx context.Context, md *Metadata, token secret.Secret, want IDTokenCheck) (*IDToken, error) {
	j, err := DecodeJWT(token.Reveal())
	if err != nil {
		return nil, fmt.Errorf("id_token: %w", err)
	}
	alg, err := c.verifySignature(ctx, md, j, want.Algorithms)
	vouched := want.Direct && strings.HasPrefix(md.TokenEndpoint, "https:") && errors.As(err, new(unverifiable))
	if err != nil && !vouched {
		return nil, fmt.Errorf("id_token: %w", err)
	}
	id := parseIDToken(j)
	if err := j.claims.err; err != nil {
		return nil, fmt.Errorf("id_token: %w", err)
	}
	for _, err := range []error{
		id.checkParties(md, want),
		id.checkTimes(j.claims, time.Now(), want),
		checkAccessTokenHash(j.claims, alg, want.AccessToken),
	} {
		if err != nil {
			return nil, fmt.Errorf("id_token: %w", err)
		}
	}
	return id, nil
}

func parseIDToken(j *JWT) *IDToken {
	o := j.claims
	o.required("iss", "sub", "aud", "exp", "iat") // Core section 2
	return &IDToken{
		Issuer:          o.text("iss"),
		Subject:         o.text("sub"),
		Nonce:           o.text("nonce"),
		Audience:        o.audience(),
		AuthorizedParty: o.text("azp"),
		ExpiresAt:       o.date("exp"),
		IssuedAt:        o.date("iat"),
		AuthTime:        o.date("auth_time"),
		Claims:          j.Claims,
	}
}

// audience reads a string or an array of strings (RFC 7519 section 4.1.3).
func (o *object) audience() []string {
	if raw := o.raw("aud"); raw != nil && raw[0] == '"' {
		return []string{o.text("aud")}
	}
	return o.texts("aud")
}

// date reads a NumericDate (RFC 7519 section 2): a number of any form, but no string.
func (o *object) date(name string) time.Time {
	var seconds float64
	if o.get(name, "a number", &seconds); !o.has(name) {
		return time.Time{}
	}
	const year9999 = 253402300799 // what lies beyond would overflow
	return time.Unix(int64(math.Max(-year9999, math.Min(seconds, year9999))), 0)
}

// sameIssuer compares exactly (Core section 3.1.3.7 step 2), but for one slash at the end: INDIGO IAM's metadata
// always have it, its tokens what was configured. Both name the same host, and the keys are those of the metadata.
func sameIssuer(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// isFor is step 3: we trust no other audience, unless the provider says that the token was made for us (azp, step 4).
func (id *IDToken) isFor(client string) bool {
	return slices.Contains(id.Audience, client) && (len(id.Audience) == 1 || id.AuthorizedParty == client)
}

func (id *IDToken) checkParties(md *Metadata, want IDTokenCheck) error {
	switch {
	case !sameIssuer(id.Issuer, md.Issuer):
		return fmt.Errorf("\"iss\" is %s, not %s", shown(id.Issuer), shown(md.Issuer))
	case !id.isFor(want.ClientID):
		return fmt.Errorf("\"aud\" is %s, not our client", shown(fmt.Sprint(id.Audience)))
	case id.AuthorizedParty != "" && id.AuthorizedParty != want.ClientID: // step 5
		return fmt.Errorf("\"azp\" is %s, not our client", shown(id.AuthorizedParty))
	case want.Nonce != "" && id.Nonce != want.Nonce && (id.Nonce != "" || !want.NonceOptional): // step 11
		return errors.New("\"nonce\" is not the one of this login")
	case !want.AuthTime.IsZero() && !id.AuthTime.IsZero() && !id.AuthTime.Equal(want.AuthTime): // Core section 12.2
		return errors.New("\"auth_time\" is not that of the login")
	case want.Subject != "" && id.Subject != want.Subject: // Core section 12.2
		return fmt.Errorf("\"sub\" is %s, not %s as before", shown(id.Subject), shown(want.Subject))
	}
	return nil
}

// checkTimes names our clock as well: on many a machine that is what is wrong.
func (id *IDToken) checkTimes(o *object, now time.Time, want IDTokenCheck) error {
	var problem string
	switch nbf := o.date("nbf"); {
	case o.err != nil:
		return o.err
	case want.AnyTime:
		return nil
	case !now.Before(id.ExpiresAt.Add(leeway)): // step 9, RFC 7519 section 4.1.4
		problem = "it expired at " + id.ExpiresAt.UTC().Format(time.RFC3339)
	case now.Add(leeway).Before(id.IssuedAt):
		problem = "it was issued in the future, at " + id.IssuedAt.UTC().Format(time.RFC3339)
	case now.Add(leeway).Before(nbf): // RFC 7519 section 4.1.5
		problem = "it is not valid before " + nbf.UTC().Format(time.RFC3339)
	case want.MaxAge > 0 && now.Sub(id.IssuedAt) > want.MaxAge+leeway: // step 10
		problem = "it was issued long ago, at " + id.IssuedAt.UTC().Format(time.RFC3339)
	default:
		return nil
	}
	clocks := "the clock here says " + now.UTC().Format(time.RFC3339)
	if !want.Date.IsZero() {
		clocks += ", the provider's " + want.Date.UTC().Format(time.RFC3339)
	}
	return fmt.Errorf("%s (%s)", problem, clocks)
}

// checkAccessTokenHash is Core section 3.1.3.8: at_hash is the left half of the access token's hash.
func checkAccessTokenHash(o *object, alg algorithm, accessToken secret.Secret) error {
	if accessToken.IsEmpty() || !o.has("at_hash") || alg.hash == 0 {
		return nil // section 3.1.3.6: optional in the code flow; 0 is an algorithm that we do not know
	}
	h := alg.hash.New()
	h.Write(accessToken.Reveal())
	sum := h.Sum(nil)
	if o.text("at_hash") != base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2]) || o.err != nil {
		return errors.New("\"at_hash\" is not that of the access token")
	}
	return nil
}
