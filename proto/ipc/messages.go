package ipc

import (
	"cmp"

	"oidc-agent/proto/cjson"
)

// Requests, the values of KeyRequest.
const (
	// about the agent
	RequestCheck          = "check"
	RequestStatus         = "status"
	RequestStatusJSON     = "status_json"
	RequestLoadedAccounts = "loaded_accounts"
	RequestAccountInfo    = "account_info"
	RequestLock           = "lock"
	RequestUnlock         = "unlock"

	// tokens
	RequestAccessToken = "access_token"
	RequestIDToken     = "id_token"
	RequestMytoken     = "mytoken"
	RequestVerifyToken = "verify_token" // ours: check the signature of a JWT with its issuer's keys

	// loaded accounts
	RequestAdd       = "add"
	RequestRemove    = "remove"
	RequestRemoveAll = "remove_all"
	RequestSaved     = "saved"       // ours: the account was written to this file, which has this key
	RequestBearer    = "bearer_file" // ours: keep the account's access token in a token file with this absolute path

	// new accounts
	RequestScopes            = "scopes"
	RequestRegister          = "register"
	RequestGen               = "gen"
	RequestReauthenticate    = "reauthenticate"
	RequestDevice            = "device"
	RequestCodeExchange      = "code_exchange"
	RequestStateLookup       = "state_lookup"
	RequestTermHTTPServer    = "term_http_server"
	RequestDelete            = "delete"
	RequestDeleteClient      = "delete_client"
	RequestMytokenSupporting = "mytoken_supported_providers"

	// texts kept in the agent's memory
	RequestFileWrite  = "file_write"
	RequestFileRead   = "file_read"
	RequestFileRemove = "file_remove"
)

// Keys of requests.
const (
	KeyRequest            = "request"
	KeyAccount            = "account" // short name
	KeyIssuer             = "issuer"
	KeyMinValidPeriod     = "min_valid_period" // seconds; negative: always a new token
	KeyScope              = "scope"
	KeyAudience           = "audience"
	KeyApplicationHint    = "application_hint" // name of the calling program
	KeyTimeout            = "timeout"          // ours: seconds that the client waits; 0 or less: any time
	KeyNoAutoload         = "no_autoload"      // ours: do not ask for the password of an account that is not loaded
	KeyToken              = "token"            // ours: the token for verify_token
	KeyConfig             = "config"           // account configuration
	KeyPwEntry            = "pw_entry"         // where to get the password of the account file
	KeyLifetime           = "lifetime"         // seconds; 0: no limit
	KeyConfirm            = "confirm"
	KeyAlwaysAllowIDToken = "always_allow_id_token"
	KeyAlwaysAllowID      = "always_allow_id" // the same in 4.2.6
	KeyPlainAdd           = "plain_add"       // load without getting an access token
	KeyPassword           = "password"
	KeyFlow               = "flow" // a flow, or a list of them
	KeyAuthorization      = "authorization"
	KeyNoWebserver        = "no_webserver"
	KeyNoScheme           = "no_scheme"
	KeyOnlyAT             = "only_at"
	KeyRedirectURI        = "redirect_uri"
	KeyFromGen            = "from_gen"
	KeyConfigEndpoint     = "config_endpoint"
	KeyCertPath           = "cert_path"
	KeyFilename           = "filename"
	KeyData               = "data"     // base64url
	KeyFileKey            = "file_key" // ours, in add: {"file": path, "key": key}
	KeyFile               = "file"     // ours: absolute path of an account file or a token file
	KeyKey                = "key"      // ours: the key of that file
)

// Keys of answers, which have some of the keys of requests as well.
const (
	KeyStatus      = "status"
	KeyError       = "error"
	KeyInfo        = "info"
	KeyAccessToken = "access_token"
	KeyIDToken     = "id_token"
	KeyExpiresAt   = "expires_at" // seconds since 1970
	KeyWarning     = "warning"    // ours: what the user must know although the request succeeded
	KeyValid       = "valid"      // ours: whether a token's signature is valid, 1 or 0
	KeyClient      = "client"
	KeyMaxScopes   = "max_scopes"
	KeyOIDCDevice  = "oidc_device"
	KeyURI         = "uri"
	KeyState       = "state"
)

// Values of KeyStatus.
const (
	StatusSuccess          = "success"
	StatusFailure          = "failure"
	StatusAccepted         = "accepted" // a flow has started and waits for the user
	StatusNotFound         = "NotFound"
	StatusFoundButReceived = "FoundButReceived"
)

// Request returns a request of the given kind, one of the Request constants.
func Request(kind string) *cjson.Object { return cjson.New().SetText(KeyRequest, kind) }

// Flag returns a boolean for a request, 1 or 0, because version 4.2.6 reads true as 0.
func Flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// Success returns the answer of a request that succeeded. It has no info if that is empty.
func Success(info string) *cjson.Object {
	return cjson.New().SetText(KeyStatus, StatusSuccess).SetOptional(KeyInfo, info)
}

// Failure is the answer of an agent that could not do what it was asked for. Failures with the same text are the
// same for [errors.Is], whatever their Info.
type Failure struct {
	Text string
	Info string // what the user can do, possibly several lines
}

// Failures that callers distinguish. The texts are the C agent's.
var (
	ErrNotLoaded = &Failure{Text: "account not loaded"}
	ErrNoAccount = &Failure{Text: "No account configured with that short name"}
	ErrLocked    = &Failure{Text: "Agent locked"}
	ErrPending   = &Failure{Text: "authorization_pending"} // RFC 8628 section 3.5
	ErrSlowDown  = &Failure{Text: "slow_down"}             // RFC 8628 section 3.5

	ErrUnknownRequest = &Failure{Text: "Bad Request: Unknown request type."} // of a C agent: it lacks a request of ours
	ErrNoRegistration = &Failure{Text: "Dynamic client registration not supported by this issuer."}
)

// Error returns the agent's text.
func (f *Failure) Error() string { return f.Text }

// Hint returns the agent's Info, or ours if it sent none.
func (f *Failure) Hint() string {
	if f.Info != "" {
		return f.Info
	}
	switch f.Text {
	case ErrNotLoaded.Text:
		return "Load the account:  oidc-add NAME"
	case ErrNoAccount.Text:
		return "See which accounts there are:  oidc-add -l  or make a new one:  oidc-gen NAME"
	case ErrLocked.Text:
		return "Unlock it:  oidc-add -X"
	}
	return ""
}

// Is reports whether target is a failure with the same text.
func (f *Failure) Is(target error) bool {
	t, ok := target.(*Failure)
	return ok && t.Text == f.Text
}

// Encode returns the failure as an answer.
func (f *Failure) Encode() *cjson.Object {
	return cjson.New().SetText(KeyStatus, StatusFailure).SetText(KeyError, f.Text).SetOptional(KeyInfo, f.Info)
}

// Check returns a *[Failure] if the answer is one, or else nil. An answer with an error text is a failure whatever
// its status, because the answer of a mytoken server has no status.
func Check(answer *cjson.Object) error {
	text := answer.Text(KeyError)
	if answer.Text(KeyStatus) != StatusFailure && text == "" {
		return nil
	}
	return &Failure{cmp.Or(text, "the agent reported a failure without a reason"), answer.Text(KeyInfo)}
}
