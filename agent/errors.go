package main

import (
	"errors"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// The texts of the C agent, which scripts look for.
var (
	errNoRefreshToken   = &ipc.Failure{Text: "No or malformed refresh token"}
	errNoNewToken       = &ipc.Failure{Text: "OIDP response does not contain a refresh token"}
	errWrongDeviceCode  = &ipc.Failure{Text: "wrong device code"}
	errNotJSON          = &ipc.Failure{Text: "Bad Request: could not parse json"}
	errNoRequestType    = &ipc.Failure{Text: "Bad Request: No request type."}
	errUnknownRequest   = &ipc.Failure{Text: "Bad Request: Unknown request type."}
	errNoConfig         = &ipc.Failure{Text: "Bad Request: no account in 'config'"}
	errNoFlowGiven      = &ipc.Failure{Text: "Bad Request: no flow given"}
	errNoIssuer         = &ipc.Failure{Text: "Bad Request: issuer url or configuration endpoint must be given"}
	errNoShortname      = &ipc.Failure{Text: "Bad Request: Have to provide shortname of the account config that should be removed."}
	errNeitherAccount   = &ipc.Failure{Text: "Bad Request: neither an account nor an issuer is named"}
	errNoMytoken        = &ipc.Failure{Text: "Not a valid mytoken configuration: mytoken is not supported yet"}
	errFileNotFound     = &ipc.Failure{Text: "File not found"}
	errAccountMissing   = &ipc.Failure{Text: "Bad request. Required field 'account' not present."}
	errAlreadyLoaded    = &ipc.Failure{Text: "An account with this shortname is already loaded. I will not register a new one."}
	errRegisteredScopes = &ipc.Failure{Text: "Could not register the necessary scopes dynamically"}
	errNotRevoked       = &ipc.Failure{Text: "Could not revoke token"}
	errNotDeleted       = &ipc.Failure{Text: "Could not delete client"}
	errNoFlow           = &ipc.Failure{Text: "No flow was successful."}
	errWrongState       = &ipc.Failure{Text: "wrong state"}
	errStateMalformed   = &ipc.Failure{Text: "state malformed"}
	errLoginExpired     = &ipc.Failure{Text: "this login was started too long ago"}
	errMalformedURI     = &ipc.Failure{Text: "redirected uri is malformed"}
	errNoState          = &ipc.Failure{Text: "redirected uri did not contain state parameter"}
	errNoCode           = &ipc.Failure{Text: "redirected uri did not contain code parameter"}
)

// hint is what to type next after an OAuth error (RFC 6749 section 5.2), as the C agent says it. NAME stands
// for the account.
type hint struct {
	codes []string
	text  string
}

var hints = [...]hint{
	{[]string{"invalid_grant", "invalid_token"},
		"Most likely the refresh token expired. To create a new one, just run:\n\t$ oidc-gen NAME --reauthenticate\n"},
	{[]string{"invalid_scope"},
		"We cannot get these scopes with the current configuration. To get these scopes you might need to adapt the account configuration with\n" +
			"\t$ oidc-gen -m NAME\nbut it also might be necessary to change the client configuration with the OpenID provider.\n"},
	{[]string{"invalid_client", "unauthorized_client"},
		"The provider does not accept this account's client: it may have been deleted there, or its secret changed. To register a new one:\n\t$ oidc-gen -d NAME\n\t$ oidc-gen NAME\n"},
	{[]string{"invalid_request"},
		"The provider did not understand the request. If the account was made by hand, look at its values:\n\t$ oidc-gen -m NAME\n"},
}

// info finds the hint that belongs to an error of an account.
func info(err error, name string) string {
	code := ""
	if refused := new(oidc.Error); errors.As(err, &refused) {
		code = refused.Code
	} else if errors.Is(err, errNoRefreshToken) {
		code = "invalid_grant"
	}
	for _, h := range hints {
		for _, c := range h.codes {
			if c == code {
				return strings.ReplaceAll(h.text, "NAME", name)
			}
		}
	}
	return ""
}

// failure is the answer that tells an error. name is the account, for the hint; it may be empty.
func failure(err error, name string) *cjson.Object {
	answer := &ipc.Failure{Text: err.Error()}
	if missing := new(oidc.NoEndpointError); errors.As(err, &missing) && unsupported(missing.Name) != "" {
		answer.Text = unsupported(missing.Name)
	}
	if known := new(ipc.Failure); errors.As(err, &known) {
		answer.Info = known.Info
	}
	if name != "" && answer.Info == "" {
		answer.Info = info(err, name)
	}
	return answer.Encode()
}

// unsupported is what the C agent says of a provider that has no such endpoint.
func unsupported(endpoint string) string {
	switch endpoint {
	case "registration_endpoint":
		return "Dynamic client registration not supported by this issuer."
	case "device_authorization_endpoint":
		return "Device Flow not Supported by OpenID Provider"
	}
	return ""
}
