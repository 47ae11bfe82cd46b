// oidc-token prints an access token that the agent holds or fetches. Job scripts run it before every command,
// so it must start fast: it links neither HTTP nor TLS, and initializes nothing before main. Under the name
// oidc-tokensh it keeps a token in a file while a command runs.
//
// Start reading at run in this file. call.go talks to the agent, load.go loads an account that is not loaded,
// and shell.go is oidc-tokensh.
package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, start(os.Args))) }

func start(args []string) error {
	if len(args) > 0 && filepath.Base(args[0]) == "oidc-tokensh" {
		return runShell(args)
	}
	return run(args[min(1, len(args)):])
}

func run(args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	if r.decode {
		return decode(r)
	}
	t, err := fetch(r)
	if err != nil {
		return err
	}
	if r.outfile.wanted {
		return r.writeFile(t.value)
	}
	_, err = os.Stdout.WriteString(render(r, t))
	return err
}

func (r *request) writeFile(token secret.Secret) error {
	if r.outfile.variable == "" && os.Getenv(cli.EnvBearerToken) != "" {
		warn(cli.EnvBearerToken + " is set: programs use it instead of the file")
	}
	path := cmp.Or(r.outfile.variable, os.Getenv(cli.EnvBearerTokenFile), cli.DefaultBearerFile())
	return cli.WriteBearerFile(path, token)
}

// warn prints what the user should know although the command succeeds.
func warn(text string) { os.Stderr.WriteString(cli.Printable("oidc-token: warning: " + text + "\n")) }

// token is what the agent answers.
type token struct {
	value   secret.Secret
	issuer  string
	expires int64 // seconds since 1970; 0 if unknown
}

// fetch gets a token from the agent.
func fetch(r *request) (t token, err error) {
	answer, err := obtain(r, r.question())
	if err != nil {
		return token{}, err
	}
	if text := answer.Text(ipc.KeyWarning); text != "" {
		warn(text)
	}
	key := ipc.KeyAccessToken
	if r.idToken {
		key = ipc.KeyIDToken
	}
	t.value, t.issuer = answer.Secret(key), answer.Text(ipc.KeyIssuer)
	t.expires, _ = answer.Int(ipc.KeyExpiresAt)
	if t.value.IsEmpty() {
		return token{}, ipc.BadAnswer("it holds no " + key)
	}
	return t, nil
}

// question returns the request, with its keys in the order of the C client.
func (r *request) question() *cjson.Object {
	key := ipc.KeyAccount
	if isIssuer(r.name) {
		key = ipc.KeyIssuer
	}
	if r.idToken {
		return ipc.Request(ipc.RequestIDToken).SetText(key, r.name).SetText(ipc.KeyApplicationHint, "oidc-token")
	}
	minValid := r.minValid
	if r.force {
		minValid = -1
	}
	return ipc.Request(ipc.RequestAccessToken).SetInt(ipc.KeyMinValidPeriod, minValid).SetText(key, r.name).
		SetOptional(ipc.KeyScope, r.scope).SetOptional(ipc.KeyApplicationHint, r.hint).
		SetOptional(ipc.KeyAudience, r.audience)
}

// isIssuer tells an issuer URL from an account's name. Plain http is for a provider on loopback.
func isIssuer(name string) bool {
	return strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
}
