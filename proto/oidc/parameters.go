package oidc

// Parameter is an extension parameter that a site or a user adds to requests (RFC 6749 section 8.2).
type Parameter struct{ Name, Value string }

// Kinds of requests that extension parameters are for, by the C tools' names.
const (
	ForRefresh       = "refresh"
	ForAuthorization = "auth_url"
	ForCode          = "code-exchange"
	ForDevice        = "device-init"
	ForPolling       = "device-polling"
	ForRevocation    = "revocation"
	ForPassword      = "password"
)

// extend adds the extension parameters for a kind of request.
func (cred ClientCredentials) extend(f *form, kind string) {
	if cred.Parameters == nil {
		return
	}
	for _, p := range cred.Parameters(kind) {
		f.add(p.Name, p.Value)
	}
}
