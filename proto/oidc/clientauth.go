package oidc

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"oidc-agent/proto/secret"
)

// Client authentication methods that we have (RFC 7591 section 2, Core section 9).
const (
	ClientSecretBasic = "client_secret_basic"
	ClientSecretPost  = "client_secret_post"
	AuthNone          = "none"
)

// ClientCredentials are what a client shows to the provider.
type ClientCredentials struct {
	ID     string
	Secret secret.Secret // empty: the client does not authenticate (RFC 6749 section 2.1, public)
	// AuthMethod is the token_endpoint_auth_method that registration gave back. Empty: the metadata decide.
	AuthMethod string
	// Public clients are shared by many users and only name themselves. Some providers (Google) give them a
	// secret that is none and want it in the body.
	Public bool
	// Parameters gives the extension parameters for a kind of request; nil: there are none.
	Parameters func(kind string) []Parameter
}

// method chooses one method, for RFC 6749 section 2.3 forbids more than one in a request.
func (cred ClientCredentials) method(md *Metadata) (string, error) {
	offered := md.TokenEndpointAuthMethodsSupported
	switch {
	case cred.Secret.IsEmpty():
		return AuthNone, nil
	case cred.AuthMethod == ClientSecretBasic || cred.AuthMethod == ClientSecretPost || cred.AuthMethod == AuthNone:
		return cred.AuthMethod, nil
	case cred.AuthMethod != "":
		return "", fmt.Errorf("client authentication by %s is not supported", shown(cred.AuthMethod))
	case cred.Public:
		return ClientSecretPost, nil
	case len(offered) == 0:
		return ClientSecretBasic, nil // RFC 8414 section 2: the default
	}
	// RFC 6749 section 2.3.1: every server knows Basic, the body is for those that cannot have it.
	for _, method := range []string{ClientSecretBasic, ClientSecretPost, AuthNone} {
		if slices.Contains(offered, method) {
			return method, nil
		}
	}
	return "", fmt.Errorf("the provider offers none of our ways of client authentication, only %s", shown(fmt.Sprint(offered)))
}

// authenticate adds the client's authentication to a request.
func (cred ClientCredentials) authenticate(md *Metadata, header http.Header, f *form) error {
	method, err := cred.method(md)
	if err != nil {
		return err
	}
	switch method {
	case ClientSecretBasic:
		header.Set("Authorization", cred.basic())
		f.secrets = append(f.secrets, cred.Secret)
	case ClientSecretPost:
		f.add("client_id", cred.ID)
		f.addSecret("client_secret", cred.Secret)
	case AuthNone:
		f.add("client_id", cred.ID) // RFC 6749 section 3.2.1
	}
	return nil
}

// basic returns the Authorization header. RFC 6749 section 2.3.1: both parts are form-encoded first, so
// that a colon, a blank or a percent sign in them arrives as it is.
func (cred ClientCredentials) basic() string {
	pair := make([]byte, 0, 3*len(cred.ID)+1+3*cred.Secret.Len())
	pair = append(appendEscaped(pair, []byte(cred.ID)), ':')
	pair = appendEscaped(pair, cred.Secret.Reveal())
	defer clear(pair)
	header := append(make([]byte, 0, len("Basic ")+base64.StdEncoding.EncodedLen(len(pair))), "Basic "...)
	header = base64.StdEncoding.AppendEncode(header, pair)
	defer clear(header)
	return string(header)
}
