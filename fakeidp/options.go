package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"oidc-agent/fakeidp/iam"
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

type options struct {
	listen string
	tls    bool
	caOut  string
	config iam.Config
}

const help = `Usage: fakeidp [OPTION...]
fakeidp -- a fake INDIGO IAM for tests. When it is ready it prints its issuer, alone, as the first line on
stdout. It keeps everything in memory, and ends on SIGTERM. People sign in at the issuer, see their clients
and tokens on the dashboard there, and make clients by hand.

 Address:
  --listen=HOST:PORT     listen there; default: 127.0.0.1 and a port that is free
  --issuer=URL           what the server calls itself, if the world sees it under another name
  --tls                  serve https, with a certificate from a CA made for this run
  --ca-out=FILE          write that CA's certificate there, for clients to trust

 Behaviour:
  --auto-approve         approve every device code and authorization request at once, for the first user
  --silent-denial        a denied device code stays pending, as at IAM, instead of access_denied
  --device-interval=5s   tell clients an interval, and say slow_down to those who poll faster
  --config=FILE          users, clients and scopes (JSON: {"users": [...], "clients": [...], "scopes": [...]})
  --conformance          look like the provider of the OpenID Foundation's conformance suite
  --control              serve the control API below /_fake/: whoever reaches it rules the server

 Tokens:
  --profile=NAME         claims of access tokens: wlcg (default), iam or aarc
  --alg=NAME             RS256 (default) or ES256
  --access-token-lifetime=20m
  --refresh-token-lifetime=720h
  --rotate               a new refresh token with every refresh; the old one, used again, ends them all

  --help, --version

Control API, with --control: JSON, and posts say so in their Content-Type.
  POST /_fake/approve       {"user_code": "ABC234", "username": "bob"}; without a code the only one that waits
  POST /_fake/deny          {"user_code": "ABC234"}
  GET  /_fake/codes         the user codes that wait
  POST /_fake/clock         {"move": "25m"}: moves the clock, answers the time
  GET, POST /_fake/settings {"rotate": true, "access_token_lifetime": "5s", ...}: some of what GET shows
  POST /_fake/revoke        {"token": "..."}
  POST /_fake/suspend       {"username": "bob", "suspended": true}, or a client_id
  POST /_fake/rotate-key    signs with a new key from now on
  POST /_fake/faults        {"path": "token", "times": 2, "status": 503, "header": {"Retry-After": "7"}, "body": "..."}
                            {"path": "token", "delay": "2s", "cut": true}; also "endless": true
                            {"path": "token", "set": {"expires_in": null}, "id_token": {"claims": {"iss": "x"}}};
                            set and append (text behind a value) change an answer in JSON, or what the browser
                            brings back; set_keys and add_keys a JWK set. id_token takes "header", "claims",
                            "append", "move" (seconds), "double", "tail", "rotate", "hmac_key", and "signature":
                            bad, none, der, short, zero, foreign (its key in the header) or public-key (as HS256's)
                            no path: any; no times: until DELETE /_fake/faults
  GET  /_fake/switches      names of faults that are ready made; DELETE /_fake/faults ends them
  POST /_fake/switch        {"name": "invalid-iss"}: what its name says, as in the rows of a relying party's tests
  GET  /_fake/requests      what was received, the last 1000; DELETE forgets it
  GET  /_fake/counters      how often each address was asked

Unless a file says otherwise, the users are alice and bob, each with the name as the password.
`

// parseOptions returns nil when it has already said all that was asked for.
func parseOptions(args []string, stdout io.Writer) (*options, error) {
	var o options
	var config, profile string
	f := flag.NewFlagSet("fakeidp", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "")
	f.StringVar(&o.config.Issuer, "issuer", "", "")
	f.BoolVar(&o.tls, "tls", false, "")
	f.StringVar(&o.caOut, "ca-out", "", "")
	f.BoolVar(&o.config.AutoApprove, "auto-approve", false, "")
	f.BoolVar(&o.config.SilentDenial, "silent-denial", false, "")
	f.DurationVar(&o.config.DeviceInterval, "device-interval", 0, "")
	f.BoolVar(&o.config.Conformance, "conformance", false, "")
	f.StringVar(&config, "config", "", "")
	f.BoolVar(&o.config.Control, "control", false, "")
	f.StringVar(&profile, "profile", "", "")
	f.StringVar(&o.config.Alg, "alg", "", "")
	f.DurationVar(&o.config.AccessTokenLifetime, "access-token-lifetime", 0, "")
	f.DurationVar(&o.config.RefreshTokenLifetime, "refresh-token-lifetime", 0, "")
	f.BoolVar(&o.config.Rotate, "rotate", false, "")
	showVersion := f.Bool("version", false, "")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		_, err := io.WriteString(stdout, help)
		return nil, err
	case err != nil:
		return nil, &usageError{err}
	case *showVersion:
		_, err := fmt.Fprintln(stdout, "fakeidp", version)
		return nil, err
	case f.NArg() > 0:
		return nil, &usageError{fmt.Errorf("unexpected argument %q", f.Arg(0))}
	}
	o.config.Profile = iam.Profile(profile)
	return &o, o.check(config)
}

func (o *options) check(config string) error {
	if o.caOut != "" && !o.tls {
		return &usageError{errors.New("--ca-out needs --tls")}
	}
	if o.config.AccessTokenLifetime < 0 || o.config.DeviceInterval < 0 {
		return &usageError{errors.New("a lifetime or interval below zero")}
	}
	if config == "" {
		return nil
	}
	file, err := os.Open(config)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := o.config.ReadFile(file); err != nil {
		return fmt.Errorf("%s: %w", config, err)
	}
	return nil
}
