package main

import (
	"cmp"
	"errors"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// Errors that more than one place refers to. Most are in the words of the C agent, which scripts look for.
var (
	errNoRefreshToken  = &ipc.Failure{Text: "No or malformed refresh token"}
	errWrongDeviceCode = &ipc.Failure{Text: "wrong device code"}
	errNoConfig        = &ipc.Failure{Text: "Bad Request: no account in 'config'"}
	errNoFlowGiven     = &ipc.Failure{Text: "Bad Request: no flow given"}
	errNoIssuer        = &ipc.Failure{Text: "Bad Request: issuer url or configuration endpoint must be given"}
	errAlreadyLoaded   = &ipc.Failure{Text: "An account with this shortname is already loaded. " +
		"I will not register a new one."}
	errRegisteredScopes = &ipc.Failure{Text: "Could not register the necessary scopes dynamically"}
	errNotRevoked       = &ipc.Failure{Text: "Could not revoke token"}
	errNotDeleted       = &ipc.Failure{Text: "Could not delete client"}
	errPassword         = &ipc.Failure{Text: "wrong password"}
	errForbidden        = &ipc.Failure{Text: "operation forbidden"}
	errWrongState       = &ipc.Failure{Text: "wrong state"}
)

// info is what the user can do about an account's OAuth error (RFC 6749 section 5.2), in the C agent's form.
func info(err error, name string) string {
	code := ""
	if refused, ok := errors.AsType[*oidc.Error](err); ok {
		code = refused.Code
	} else if errors.Is(err, errNoRefreshToken) {
		code = "invalid_grant"
	}
	switch code {
	case "invalid_grant", "invalid_token":
		return "Most likely the refresh token expired. To create a new one, just run:\n" +
			"\t$ oidc-gen " + name + " --reauthenticate\n"
	case "invalid_scope":
		return "We cannot get these scopes with the current configuration. To get these scopes you might need to " +
			"adapt the account configuration with\n\t$ oidc-gen -m " + name + "\n" +
			"but it also might be necessary to change the client configuration with the OpenID provider.\n"
	case "invalid_client", "unauthorized_client":
		return "The provider does not accept this account's client: it may have been deleted there, or its secret " +
			"changed. To register a new one:\n\t$ oidc-gen -d " + name + "\n\t$ oidc-gen " + name + "\n"
	case "invalid_request":
		return "The provider did not understand the request. If the account was made by hand, check its values:\n" +
			"\t$ oidc-gen -m " + name + "\n"
	}
	return ""
}

// failure is the answer that reports an error. name is the account, for the hint; it may be empty.
func failure(err error, name string) *cjson.Object {
	answer := &ipc.Failure{Text: err.Error()}
	if missing, ok := errors.AsType[oidc.NoEndpointError](err); ok {
		switch missing { // in the C agent's words
		case "registration_endpoint":
			answer.Text = ipc.ErrNoRegistration.Text
		case "device_authorization_endpoint":
			answer.Text = "Device Flow not Supported by OpenID Provider"
		}
	}
	if told, ok := errors.AsType[*ipc.Failure](err); ok {
		answer.Info = told.Info
	}
	if name != "" {
		answer.Info = cmp.Or(info(err, name), answer.Info)
	}
	return answer.Encode()
}
