package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/secret"
)

// request is what the command line asks for.
type request struct {
	do       func(*request) error
	argument string // of the option that says what to do: a file, a new name, a URI, a state
	name     string // short name of the account
	json     bool   // of -l
	given    account.Account

	manual, public, onlyAT, noSave   bool
	noURLCall, noWebserver, noScheme bool

	secretGiven bool // a client secret, empty perhaps
	clientFile  string
	flows       []string      // to try, in order
	authorize   secret.Secret // bearer token for the registration endpoint
	cnid        string

	password prompt.Source
	gpgKey   string
	format   string // scrypt, c, or as fileFormat finds it
	writesC  bool   // the site wants C's format
	cAgent   bool   // see findAgent
	prompt   string // cli, gui, none
	answers  string // yes, no, default; empty: ask
	verbose  bool
}

// Groups of the help text.
const (
	managing = iota
	generating
	generatingAdvanced
	advanced
	internal
	verbosity
)

func options(r *request) *cli.Program {
	var ignored bool
	var flow string
	do := func(action func(*request) error) func(string) error {
		return func(argument string) error {
			r.do, r.argument = action, argument
			return nil
		}
	}
	keep := func(s *secret.Secret) func(string) error {
		return func(value string) error { *s = secret.FromString(value); return nil }
	}
	word := func(p *string, value string) func(string) error {
		return func(string) error { *p = value; return nil }
	}
	useRefreshToken := func(string) error { r.flows = append(r.flows, "refresh"); return nil }
	g := &r.given
	return &cli.Program{
		Name:    "oidc-gen",
		Version: version,
		ArgsDoc: "[ACCOUNT_SHORTNAME]",
		Doc:     "Makes accounts for oidc-agent and manages their files",
		Footer:  "The shortest way to an account:  oidc-gen NAME",
		Groups: []string{
			managing:           "Managing account configurations",
			generating:         "Generating a new account configuration:",
			generatingAdvanced: "Generating a new account configuration - Advanced:",
			advanced:           "Advanced:",
			internal:           "Internal options:",
			verbosity:          "Verbosity:",
		},
		MaxArgs: 1,
		Options: append(r.password.Options(advanced), []cli.Option{
			{Long: "accounts", Short: 'l', Group: managing, Set: do(list), Help: "List the accounts that exist, as oidc-add -l"},
			{Long: "json", Group: managing, Set: cli.Flag(&r.json), Help: "With -l: print the names as a JSON array"},
			{Long: "print", Short: 'p', Arg: "FILE", Group: managing, Set: do(printFile), Help: "Print a file decrypted; FILE is an account's name or an absolute path"},
			{Long: "reauthenticate", Group: managing, Set: do(reauthenticate), Help: "Log in again and put the new refresh token into the account; nothing else changes"},
			{Long: "rename", Arg: "NEW_SHORTNAME", Group: managing, Set: do(rename), Help: "Give the account another name"},
			{Long: "update", Short: 'u', Arg: "FILE", Group: managing, Set: do(update), Help: "Decrypt a file and encrypt it again in the current format; FILE is an account's name or an absolute path"},
			{Long: "delete", Short: 'd', Group: managing, Set: do(deleteAccount), Help: "Revoke the account's refresh token and delete its file"},

			{Long: "file", Short: 'f', Arg: "FILE", Group: generating, Set: both(cli.Text(&r.clientFile), cli.Flag(&r.manual)), Help: "Read the client from FILE, as JSON; implies -m"},
			{Long: "manual", Short: 'm', Group: generating, Set: cli.Flag(&r.manual), Help: "Use a client that was registered by hand; edits the account if it exists"},
			{Long: "no-save", Group: generating, Set: cli.Flag(&r.noSave), Help: "Write no file: the account lives in the agent only"},
			{Long: "pub", Group: generating, Set: cli.Flag(&r.public), Help: "Use the public client that is known for the issuer"},
			{Long: "issuer", Aliases: []string{"iss"}, Arg: "ISSUER_URL", Group: generating, Set: cli.Text(&g.IssuerURL), Help: "The provider's URL"},
			{Long: "scope", Arg: "SCOPE", Group: generating, Set: cli.Join(&g.AuthScope), Help: "The scopes of the account, separated by blanks; may be given several times; 'max' is all that the provider lists"},
			{Long: "scope-all", Aliases: []string{"scope-max"}, Group: generating, Set: word(&g.AuthScope, "max"), Help: "The same as --scope=max"},
			{Long: "client-id", Arg: "CLIENT_ID", Group: generating, Set: both(cli.Text(&g.ClientID), cli.Flag(&r.manual)), Help: "The id of a client that was registered by hand; implies -m"},
			{Long: "client-secret", Arg: "CLIENT_SECRET", Secret: true, Group: generating, Set: both(keep(&g.ClientSecret), cli.Flag(&r.secretGiven)), Help: "Its secret"},
			{Long: "client-secret-env", Arg: "OIDC_CLIENT_SECRET", Optional: true, Default: "OIDC_CLIENT_SECRET", Whole: true, Group: generating, Set: both(fromEnv(&g.ClientSecret), cli.Flag(&r.secretGiven)), Help: "The same, from an environment variable, by default OIDC_CLIENT_SECRET"},
			{Long: "redirect-uri", Aliases: []string{"redirect-url"}, Arg: "URI", Group: generating, Set: cli.Append(&g.RedirectURIs), Help: "Redirect URIs, separated by blanks; may be given several times. http://localhost:PORT[/PATH] or edu.kit.data.oidc-agent:/PATH"},
			{Long: "port", Arg: "PORT", Group: generating, Set: func(v string) error { return cli.Append(&g.RedirectURIs)("http://localhost:" + v) }, Help: "Short for --redirect-uri=http://localhost:PORT"},
			{Long: "oauth2", Aliases: []string{"oauth"}, Group: generating, Set: cli.Flag(&g.OAuth2), Help: "The provider knows OAuth 2 only, no OpenID Connect"},
			{Long: "mytoken-url", Aliases: []string{"mytoken-issuer"}, Arg: "URI", Optional: true, Group: generating, Set: mytoken, Help: "A mytoken server (not supported yet)"},
			{Long: "mytoken", Aliases: []string{"mytoken-profile"}, Arg: "PROFILE", Group: generating, Set: mytoken, Help: "A mytoken profile (not supported yet)"},

			{Long: "access-token", Aliases: []string{"at"}, Arg: "ACCESS_TOKEN", Secret: true, Group: generatingAdvanced, Set: keep(&r.authorize), Help: "Present this token when the client is registered"},
			{Long: "access-token-env", Aliases: []string{"at-env"}, Arg: "OIDC_ACCESS_TOKEN", Optional: true, Default: "OIDC_ACCESS_TOKEN", Whole: true, Group: generatingAdvanced, Set: fromEnv(&r.authorize), Help: "The same, from an environment variable, by default OIDC_ACCESS_TOKEN"},
			{Long: "audience", Aliases: []string{"aud"}, Arg: "AUDIENCE", Group: generatingAdvanced, Set: cli.Text(&g.Audience), Help: "The audience of the account's tokens; several are separated by blanks"},
			{Long: "op-username", Arg: "USERNAME", Group: generatingAdvanced, Set: cli.Text(&g.Username), Help: "The user's name, for --flow=password"},
			{Long: "op-password", Arg: "PASSWORD", Secret: true, Group: generatingAdvanced, Set: keep(&g.Password), Help: "The user's password, for --flow=password"},
			{Long: "op-password-env", Arg: "OIDC_OP_PASSWORD", Optional: true, Default: "OIDC_OP_PASSWORD", Whole: true, Group: generatingAdvanced, Set: fromEnv(&g.Password), Help: "The same, from an environment variable, by default OIDC_OP_PASSWORD"},
			{Long: "client-name-identifier", Aliases: []string{"cnid"}, Arg: "IDENTIFIER", Group: generatingAdvanced, Set: cli.Text(&r.cnid), Help: "Put this into the client's name instead of the host's name"},
			{Long: "cert-path", Aliases: []string{"cp", "cert-file"}, Arg: "FILE", Group: generatingAdvanced, Set: cli.Text(&g.CertPath), Help: "Trust the CAs in this bundle for TLS"},
			{Long: "refresh-token", Aliases: []string{"rt"}, Arg: "REFRESH_TOKEN", Secret: true, Group: generatingAdvanced, Set: both(keep(&g.RefreshToken), useRefreshToken), Help: "Take this refresh token instead of a login; implies --flow=refresh"},
			{Long: "refresh-token-env", Aliases: []string{"rt-env"}, Arg: "OIDC_REFRESH_TOKEN", Optional: true, Default: "OIDC_REFRESH_TOKEN", Group: generatingAdvanced, Set: both(fromEnv(&g.RefreshToken), useRefreshToken), Help: "The same, from an environment variable, by default OIDC_REFRESH_TOKEN"},
			{Long: "device-authorization-endpoint", Aliases: []string{"dae"}, Arg: "URI", Group: generatingAdvanced, Set: both(cli.Text(&g.DeviceAuthorizationEndpoint), cli.Flag(&g.DeviceAuthorizationEndpointByUser)), Help: "Use this device authorization endpoint, whatever the provider's metadata say"},
			{Long: "configuration-endpoint", Aliases: []string{"config-endpoint", "discovery-endpoint"}, Arg: "URI", Group: generatingAdvanced, Set: cli.Text(&g.ConfigEndpoint), Help: "Read the provider's metadata from here"},
			{Long: "flow", Short: 'w', Arg: "code|device|password|refresh", Group: generatingAdvanced, Set: both(cli.OneOf(&flow, "code", "device", "password", "refresh"), cli.Append(&r.flows)), Help: "How to log in; may be given several times, the first that works is taken"},
			{Long: "only-at", Group: generatingAdvanced, Set: cli.Flag(&r.onlyAT), Help: "Print an access token and make no account; needs a client that is registered"},

			{Long: "codeExchange", Arg: "URI", Group: advanced, Set: do(codeExchange), Help: "Finish the code flow with the URI to which the browser was sent"},
			{Long: "confirm-default", Group: advanced, Set: word(&r.answers, "default"), Help: "Answer all questions with their default"},
			{Long: "confirm-no", Group: advanced, Set: word(&r.answers, "no"), Help: "Answer all questions with no"},
			{Long: "confirm-yes", Group: advanced, Set: word(&r.answers, "yes"), Help: "Answer all questions with yes"},
			{Long: "no-scheme", Group: advanced, Set: cli.Flag(&r.noScheme), Help: "Code flow: do not use redirect URIs with a custom scheme"},
			{Long: "no-url-call", Group: advanced, Set: cli.Flag(&r.noURLCall), Help: "Do not open the URL in a browser"},
			{Long: "no-webserver", Group: advanced, Set: cli.Flag(&r.noWebserver), Help: "Code flow: do not start a local web server"},
			{Long: "prompt", Arg: "cli|gui|none", Group: advanced, Set: cli.OneOf(&r.prompt, "cli", "gui", "none"), Help: "How to ask for what is missing; none asks nothing and fails"},
			{Long: "pw-gpg", Aliases: []string{"pw-pgp", "gpg", "pgp"}, Arg: "KEY_ID", Group: advanced, Set: cli.Text(&r.gpgKey), Help: "Encrypt with this GPG key instead of a password"},
			{Long: "format", Arg: "scrypt|c", Group: advanced, Set: cli.OneOf(&r.format, "scrypt", "c"), Help: "Write the file in this agent's own format (scrypt), or in the C oidc-agent's (c)"},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},

			{Long: "state", Arg: "STATE", Group: internal, Set: do(fetchState), Help: "Fetch the account that the flow with this state has made"},

			{Long: "debug", Short: 'g', Group: verbosity, Set: cli.Flag(&ignored), Help: "Accepted for compatibility; this program logs nothing"},
			{Long: "verbose", Short: 'v', Group: verbosity, Set: cli.Flag(&r.verbose), Help: "Print the finished account, with its secrets"},
		}...),
	}
}

// both stores a value in two places.
func both(first, second func(string) error) func(string) error {
	return func(value string) error { return cmp.Or(first(value), second(value)) }
}

func mytoken(string) error {
	return &cli.ExitError{Code: cli.CodeError, Err: errors.New("mytoken is not supported yet: make an account at the provider itself")}
}

// fromEnv takes a secret out of the environment, where no program that we run needs it.
func fromEnv(s *secret.Secret) func(variable string) error {
	return func(variable string) error {
		value, set := os.LookupEnv(variable)
		if !set {
			return &cli.ExitError{Code: cli.CodeError, Err: fmt.Errorf("%s not set!", variable)}
		}
		*s = secret.FromString(value)
		return os.Unsetenv(variable)
	}
}

func parse(args []string) (*request, error) {
	r := &request{do: newAccount}
	program := options(r)
	args = program.Conceal(args)
	config, err := account.LoadConfig()
	if err != nil {
		return nil, err
	}
	r.take(&config.Gen)
	operands, err := program.Parse(args)
	if err != nil {
		return nil, err
	}
	cli.Forget()
	if len(operands) > 0 {
		r.name = operands[0]
	}
	// Without a choice it is the code flow where there is a display for a browser, and else the device flow.
	if len(r.flows) == 0 && hasDisplay() {
		r.flows = []string{"code"}
	} else if len(r.flows) == 0 {
		r.flows = []string{"device"}
	}
	r.given.AuthScope = strings.Join(strings.Fields(r.given.AuthScope), " ")
	r.given.RedirectURIs = strings.Fields(strings.Join(r.given.RedirectURIs, " "))
	return r, nil
}

// take takes the site's and the user's settings; options count more.
func (r *request) take(config *account.GenConfig) {
	r.cnid, r.gpgKey, r.prompt = config.ClientNameIdentifier, config.DefaultGPGKey, config.Prompt
	r.writesC = config.AccountFormat == "c"
	r.noURLCall = !config.AutoOpenURL
	_ = cli.OneOf(&r.answers, "yes", "no", "default")(config.AnswerConfirmPrompts) // any other word asks
	if config.PwPrompt == "gui" {
		_ = r.password.SetPrompt("gui") // a word that it knows
	}
}
