package oidc

import (
	"context"

	"oidc-agent/proto/secret"
)

// Revoke puts a token out of use (RFC 7009 section 2.1). hint is "refresh_token", "access_token" or empty.
// It succeeds as well when the provider does not know the token (section 2.2); after an error the token
// must be taken for alive.
func (c *Client) Revoke(ctx context.Context, md *Metadata, cred ClientCredentials, token secret.Secret, hint string) error {
	f := new(form)
	f.addSecret("token", token)
	f.add("token_type_hint", hint)
	cred.extend(f, ForRevocation)
	r, err := c.post(ctx, md, "revocation_endpoint", md.RevocationEndpoint, cred, f)
	if err != nil {
		return err
	}
	defer r.wipe()
	return r.check()
}
