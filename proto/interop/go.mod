// Tests against real peers. What they need beside Go is installed by name:
// see ../../build.sh, interop.
module oidc-agent/interop

go 1.26.0

require (
	github.com/coreos/go-oidc/v3 v3.21.0
	golang.org/x/crypto v0.58.0
	golang.org/x/oauth2 v0.37.0
	oidc-agent v0.0.0-00010101000000-000000000000
)

require (
	github.com/go-jose/go-jose/v4 v4.1.4 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace oidc-agent => ../..
