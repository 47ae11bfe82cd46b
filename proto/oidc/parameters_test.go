package oidc

import (
	"testing"

	"oidc-agent/proto/secret"
)

// Each kind of request carries its own extension parameters and no others.
func TestParameters(t *testing.T) {
	t.Parallel()
	cred := ClientCredentials{ID: "client", Parameters: func(kind string) []Parameter {
		return []Parameter{{"kind", kind}, {"a b", "c&d"}}
	}}
	md := testMetadata()
	ctx, token := t.Context(), secret.FromString("token-of-the-user")
	for kind, call := range map[string]func(c *Client) error{
		ForRefresh:    func(c *Client) error { _, err := c.Refresh(ctx, md, cred, token, TokenRequest{}); return err },
		ForPassword:   func(c *Client) error { _, err := c.Password(ctx, md, cred, "u", token, TokenRequest{}); return err },
		ForPolling:    func(c *Client) error { _, err := c.PollDevice(ctx, md, cred, token, TokenRequest{}); return err },
		ForDevice:     func(c *Client) error { _, err := c.AuthorizeDevice(ctx, md, cred, "openid"); return err },
		ForRevocation: func(c *Client) error { return c.Revoke(ctx, md, cred, token, "refresh_token") },
		ForCode: func(c *Client) error {
			_, err := c.ExchangeCode(ctx, md, cred, token, "http://127.0.0.1:1", token, TokenRequest{})
			return err
		},
	} {
		client, sent := recording(t, 400, `{"error":"x"}`)
		call(client) // the answer does not matter
		if sent.form.Get("kind") != kind || sent.form.Get("a b") != "c&d" {
			t.Errorf("%s sent %v", kind, sent.form)
		}
	}
}
