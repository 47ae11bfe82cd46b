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

type options struct {
	listen string
	tls    bool
	caOut  string
	config iam.Config
}

const help = `Usage: fakeidp [OPTION...]
fakeidp -- a fake INDIGO IAM for tests. When it is ready it prints its issuer
URL, alone, as the first line on stdout. It keeps everything in memory and exits
on SIGTERM. Users sign in at the issuer URL; a dashboard there shows their
clients and tokens and lets them create clients.

 Address:
  --listen=HOST:PORT     Address to listen on; by default a free port of
                         127.0.0.1
  --issuer=URL           Issuer URL, if clients reach the server under another
                         name
  --tls                  Serve https, with a certificate from a CA created for
                         this run
  --ca-out=FILE          Write that CA's certificate to FILE, for clients to
                         trust

 Behaviour:
  --auto-approve         Approve every device code and authorization request at
                         once, for the first user
  --silent-denial        Keep a denied device code pending, as IAM does, instead
                         of answering access_denied
  --device-interval=5s   Announce a polling interval, and answer slow_down to
                         clients that poll faster
  --config=FILE          Read users, clients and scopes from a JSON file:
                         {"users": [...], "clients": [...], "scopes": [...]}
  --conformance          Behave like the provider of the OpenID Foundation's
                         conformance suite
  --control              Serve the control API below /_fake/. Anyone who can
                         reach it controls the server. See fakeidp(1)

 Tokens:
  --profile=wlcg|iam|aarc    Profile of access tokens, by default wlcg
  --alg=RS256|ES256      Signature algorithm, by default RS256
  --access-token-lifetime=20m
                         By default 20 minutes
  --refresh-token-lifetime=720h
                         By default 30 days
  --rotate               Issue a new refresh token with every refresh. Reuse of
                         an old one revokes all tokens of that login

 Help:
  --help                 Give this help list
  --version              Print program version

Without --config the users are alice and bob, each with the username as the
password.
`

// parseOptions returns nil options after it has printed the help or the version.
func parseOptions(args []string, stdout io.Writer) (*options, error) {
	var o options
	var config string
	f := flag.NewFlagSet("fakeidp", flag.ContinueOnError)
	f.SetOutput(io.Discard) // Parse returns its errors, and --help prints help
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
	f.StringVar((*string)(&o.config.Profile), "profile", "", "")
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
	return &o, o.check(config)
}

func (o *options) check(config string) error {
	if o.caOut != "" && !o.tls {
		return &usageError{errors.New("--ca-out needs --tls")}
	}
	if min(o.config.AccessTokenLifetime, o.config.RefreshTokenLifetime, o.config.DeviceInterval) < 0 {
		return &usageError{errors.New("a lifetime or interval must not be below zero")}
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
