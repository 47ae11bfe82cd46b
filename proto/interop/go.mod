// Tests against real peers. What they need beside Go is installed by name:
// see ../../build.sh, interop.
module oidc-agent/interop

go 1.26.0

require oidc-agent v0.0.0-00010101000000-000000000000

require golang.org/x/sys v0.49.0 // indirect

replace oidc-agent => ../..
