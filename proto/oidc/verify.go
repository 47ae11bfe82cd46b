package oidc

import (
	"context"
	"errors"
	"fmt"

	"oidc-agent/proto/secret"
)

// InvalidSignatureError is about a JWT that its issuer has not signed, as far as the keys that it publishes tell.
type InvalidSignatureError struct{ Reason error }

func (e *InvalidSignatureError) Error() string { return e.Reason.Error() }

// UnverifiedIssuer returns the iss claim of a JWT (RFC 7519 section 4.1.1), of which nothing is verified: it says only
// whose keys to try.
func UnverifiedIssuer(token secret.Secret) (string, error) {
	j, err := DecodeJWT(token.Reveal())
	if err != nil {
		return "", err
	}
	issuer := j.claims.text("iss")
	return issuer, j.claims.err
}

// VerifySignature checks that a JWT, of whatever kind, was signed with one of the keys that its issuer publishes, by an
// algorithm that [Algorithms] lists. It looks at no claim but iss, and not at the times. The error is an
// [*InvalidSignatureError] where the token is to blame; with any other error nothing is known.
func (c *Client) VerifySignature(ctx context.Context, md *Metadata, token secret.Secret) error {
	j, err := DecodeJWT(token.Reveal())
	if err != nil {
		return err
	}
	if issuer := j.claims.text("iss"); issuer != md.Issuer {
		return &InvalidSignatureError{fmt.Errorf("\"iss\" is %s, not %s", shown(issuer), shown(md.Issuer))}
	}
	if _, err := j.algorithm(nil); err != nil {
		return &InvalidSignatureError{err}
	}
	_, err = c.verifySignature(ctx, md, j, nil)
	if errors.Is(err, errNoKey) || errors.Is(err, errSignature) {
		return &InvalidSignatureError{err}
	}
	return err
}
