// oidc-token prints an access token that the agent holds or fetches. It stands in front of every command of
// a job script, so its start is the product: no HTTP, no TLS, nothing built before main.
package main

import (
	"context"
	"os"
	"strings"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// version is set when the program is linked.
var version = "unknown"

// timeout bounds the whole call. It is a little longer than the agent itself waits for a provider, so that
// the agent's own words arrive.
const timeout = 40 * time.Second

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(os.Args[1:]))) }

func run(args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t, err := fetch(ctx, r)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(render(r, t))
	return err
}

// fetch asks the agent.
func fetch(ctx context.Context, r *request) (ipc.AccessToken, error) {
	if r.idToken {
		return fetchIDToken(ctx, r)
	}
	question := ipc.AccessTokenRequest{
		MinValidPeriod: r.minValid, Scope: r.scope, Audience: r.audience, ApplicationHint: r.hint,
	}
	if r.force {
		question.MinValidPeriod = -1
	}
	if isIssuer(r.name) {
		question.Issuer = r.name
	} else {
		question.Account = r.name
	}
	answer, err := call(ctx, question.Encode())
	if err != nil {
		return ipc.AccessToken{}, err
	}
	return ipc.ParseAccessToken(answer)
}

func fetchIDToken(ctx context.Context, r *request) (ipc.AccessToken, error) {
	key := ipc.KeyAccount
	if isIssuer(r.name) {
		key = ipc.KeyIssuer
	}
	question := ipc.Request(ipc.RequestIDToken).SetText(key, r.name).SetText(ipc.KeyApplicationHint, "oidc-token")
	answer, err := call(ctx, question)
	if err == nil {
		err = ipc.Check(answer)
	}
	if err != nil {
		return ipc.AccessToken{}, err
	}
	return idToken(answer), nil
}

func idToken(answer *cjson.Object) ipc.AccessToken {
	return ipc.AccessToken{Token: answer.Secret(ipc.KeyIDToken), Issuer: answer.Text(ipc.KeyIssuer)}
}

// isIssuer: an account's name has no scheme. Plain http is for a provider on the loopback.
func isIssuer(name string) bool {
	return strings.HasPrefix(name, "https://") || strings.HasPrefix(name, "http://")
}
