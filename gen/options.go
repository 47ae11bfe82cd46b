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
	argument string // of the option that chose do: a file, a new name, a URI or a state
	name     string // short name of the account
	json     bool   // for -l
	given    account.Account

	manual, public, onlyAT, noSave   bool
	noURLCall, noWebserver, noScheme bool

	secretGiven bool // a client secret was given, perhaps an empty one
	clientFile  string
	flows       []string      // to try, in order
	authorize   secret.Secret // bearer token for the registration endpoint
	cnid        string

	password      prompt.Source
	gpgKey        string // of an option
	defaultGPGKey string // of the settings: for new files
	format        string // of an option: scrypt or c
	writesC       bool   // of the settings: new files are in the C tools' format
	cAgent        bool   // see findAgent
	prompt        string // cli, gui or none
	answers       string // yes, no or default; if empty, ask
	verbose       bool
}

func options(r *request) *cli.Program {
	var ignored bool
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
	g := &r.given
	port := func(value string) error { return cli.Append(&g.RedirectURIs)("http://localhost:" + value) }
	flow := both(cli.OneOf(new(string), "code", "device", "password", "refresh"), cli.Append(&r.flows))
	useRefreshToken := func(string) error { return flow("refresh") }
	groups := []struct {
		title   string
		options []cli.Option
	}{
		{"Managing account configurations", []cli.Option{
			{Long: "accounts", Short: 'l', Set: do(list), Help: "List the accounts that exist, as oidc-add -l does"},
			{Long: "json", Set: cli.Flag(&r.json), Help: "Print the names of -l as a JSON array"},
			{Long: "print", Short: 'p', Arg: "FILE", Set: do(printFile),
				Help: "Print the decrypted contents of FILE, an account's name or an absolute path"},
			{Long: "reauthenticate", Set: do(reauthenticate),
				Help: "Log in again and save the new refresh token in the account's file; change nothing else"},
			{Long: "rename", Arg: "NEW_SHORTNAME", Set: do(rename), Help: "Give the account a new name"},
			{Long: "update", Short: 'u', Arg: "FILE", Set: do(update),
				Help: "Decrypt FILE, an account's name or an absolute path, and encrypt it again in the current format"},
			{Long: "delete", Short: 'd', Set: do(deleteAccount), Help: "Revoke the refresh token and delete the account"},
		}},
		{"Generating a new account configuration:", []cli.Option{
			{Long: "file", Short: 'f', Arg: "FILE", Set: both(cli.Text(&r.clientFile), cli.Flag(&r.manual)),
				Help: "Read the client from the JSON in FILE; implies -m"},
			{Long: "manual", Short: 'm', Set: cli.Flag(&r.manual),
				Help: "Use a client that was registered by hand, or edit the account if it exists"},
			{Long: "no-save", Set: cli.Flag(&r.noSave), Help: "Keep the account in the agent only; write no file"},
			{Long: "pub", Set: cli.Flag(&r.public), Help: "Use the public client that is known for the provider"},
			{Long: "issuer", Aliases: []string{"iss"}, Arg: "ISSUER_URL", Set: cli.Text(&g.IssuerURL),
				Help: "Use the provider with this issuer URL"},
			{Long: "scope", Arg: "SCOPE", Set: cli.Join(&g.AuthScope),
				Help: "Request these scopes, separated by spaces; may be given several times; 'max' requests all scopes"},
			{Long: "scope-all", Aliases: []string{"scope-max"}, Set: word(&g.AuthScope, "max"), Help: "Same as --scope=max"},
			{Long: "client-id", Arg: "CLIENT_ID", Set: both(cli.Text(&g.ClientID), cli.Flag(&r.manual)),
				Help: "Use the registered client with this id; implies -m"},
			{Long: "client-secret", Arg: "CLIENT_SECRET", Secret: true,
				Set: both(keep(&g.ClientSecret), cli.Flag(&r.secretGiven)), Help: "Use this client secret"},
			{Long: "redirect-uri", Aliases: []string{"redirect-url"}, Arg: "URI", Set: cli.Append(&g.RedirectURIs),
				Help: "Use these redirect URIs, separated by spaces; may be given several times. They look like " +
					"http://localhost:PORT[/PATH] or edu.kit.data.oidc-agent:/PATH"},
			{Long: "port", Arg: "PORT", Set: port, Help: "Same as --redirect-uri=http://localhost:PORT"},
			{Long: "oauth2", Aliases: []string{"oauth"}, Set: cli.Flag(&g.OAuth2),
				Help: "Expect a provider that supports OAuth 2.0 but not OpenID Connect"},
			{Long: "mytoken-url", Aliases: []string{"mytoken-issuer"}, Arg: "URI", Optional: true, Set: mytoken,
				Help: "Use this mytoken server (not supported yet)"},
			{Long: "mytoken", Aliases: []string{"mytoken-profile"}, Arg: "PROFILE", Set: mytoken,
				Help: "Use this mytoken profile (not supported yet)"},
		}},
		{"Generating a new account configuration - Advanced:", []cli.Option{
			{Long: "access-token", Aliases: []string{"at"}, Arg: "ACCESS_TOKEN", Secret: true, Set: keep(&r.authorize),
				Help: "Present this access token when registering the client"},
			{Long: "audience", Aliases: []string{"aud"}, Arg: "AUDIENCE", Set: cli.Text(&g.Audience),
				Help: "Request tokens for this audience; separate several with spaces"},
			{Long: "op-username", Arg: "USERNAME", Set: cli.Text(&g.Username), Help: "Use this user name for --flow=password"},
			{Long: "op-password", Arg: "PASSWORD", Secret: true, Set: keep(&g.Password),
				Help: "Use this password for --flow=password"},
			{Long: "client-name-identifier", Aliases: []string{"cnid"}, Arg: "IDENTIFIER", Set: cli.Text(&r.cnid),
				Help: "Put IDENTIFIER into the client's name instead of the host name"},
			{Long: "cert-path", Aliases: []string{"cp", "cert-file"}, Arg: "FILE", Set: cli.Text(&g.CertPath),
				Help: "Trust the CA certificates in FILE when connecting to the provider"},
			{Long: "refresh-token", Aliases: []string{"rt"}, Arg: "REFRESH_TOKEN", Secret: true,
				Set:  both(keep(&g.RefreshToken), useRefreshToken),
				Help: "Use this refresh token instead of logging in; implies --flow=refresh"},
			{Long: "device-authorization-endpoint", Aliases: []string{"dae"}, Arg: "URI",
				Set:  cli.Text(&g.DeviceAuthorizationEndpoint),
				Help: "Use this device authorization endpoint instead of the provider's own"},
			{Long: "configuration-endpoint", Aliases: []string{"config-endpoint", "discovery-endpoint"}, Arg: "URI",
				Set: cli.Text(&g.ConfigEndpoint), Help: "Read the provider's metadata from this URI"},
			{Long: "flow", Short: 'w', Arg: "code|device|password|refresh", Set: flow,
				Help: "Log in with this flow; may be given several times: the first that works is used"},
			{Long: "only-at", Set: cli.Flag(&r.onlyAT),
				Help: "Print an access token and create no account; needs a registered client"},
		}},
		{"Advanced:", append(r.password.Options(0), []cli.Option{
			{Long: "codeExchange", Arg: "URI", Set: do(codeExchange),
				Help: "Finish the code flow with the URI that the browser was sent to"},
			{Long: "confirm-default", Set: word(&r.answers, "default"), Help: "Answer every question with its default"},
			{Long: "confirm-no", Set: word(&r.answers, "no"), Help: "Answer every question with no"},
			{Long: "confirm-yes", Set: word(&r.answers, "yes"), Help: "Answer every question with yes"},
			{Long: "no-scheme", Set: cli.Flag(&r.noScheme), Help: "Code flow: do not use redirect URIs with a custom scheme"},
			{Long: "no-url-call", Set: cli.Flag(&r.noURLCall), Help: "Do not open the URL in a browser"},
			{Long: "no-webserver", Set: cli.Flag(&r.noWebserver), Help: "Code flow: do not start a local web server"},
			{Long: "prompt", Arg: "cli|gui|none", Set: cli.OneOf(&r.prompt, "cli", "gui", "none"),
				Help: "Ask for missing values (cli, gui), or fail instead (none)"},
			{Long: "pw-gpg", Aliases: []string{"pw-pgp", "gpg", "pgp"}, Arg: "KEY_ID", Set: cli.Text(&r.gpgKey),
				Help: "Encrypt the file for this GPG key instead of with a password"},
			{Long: "format", Arg: "scrypt|c", Set: cli.OneOf(&r.format, "scrypt", "c"),
				Help: "Write the file in our own format (scrypt) or in the C tools' format (c)"},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},
		}...)},
		{"Internal options:", []cli.Option{
			{Long: "state", Arg: "STATE", Set: do(fetchState), Help: "Fetch the account that this login has created"},
		}},
		{"Verbosity:", []cli.Option{
			{Long: "debug", Short: 'g', Set: cli.Flag(&ignored), Help: "Accepted for compatibility; this program logs nothing"},
			{Long: "verbose", Short: 'v', Set: cli.Flag(&r.verbose), Help: "Print the finished account, including its secrets"},
		}},
	}
	p := &cli.Program{
		Name:    "oidc-gen",
		Version: version,
		ArgsDoc: "[ACCOUNT_SHORTNAME]",
		Doc:     "Creates accounts for oidc-agent and manages their files",
		Footer:  "Create an account:  oidc-gen NAME",
		MaxArgs: 1,
	}
	for i, group := range groups {
		p.Groups = append(p.Groups, group.title)
		for _, o := range group.options {
			o.Group = i
			p.Options = append(p.Options, o)
			if o.Secret {
				p.Options = append(p.Options, fromEnv(o))
			}
		}
	}
	return p
}

// fromEnv returns an option that moves the secret of another one out of the environment, so that programs that we
// run do not get it.
func fromEnv(o cli.Option) cli.Option {
	variable := "OIDC_" + strings.ToUpper(strings.ReplaceAll(o.Long, "-", "_"))
	env := cli.Option{Long: o.Long + "-env", Arg: variable, Optional: true, Default: variable, Group: o.Group,
		Whole: o.Long != "refresh-token", // that one is C's
		Help:  "Read it from an environment variable, by default " + variable}
	for _, alias := range o.Aliases {
		env.Aliases = append(env.Aliases, alias+"-env")
	}
	env.Set = func(variable string) error {
		value, set := os.LookupEnv(variable)
		if !set {
			return &cli.ExitError{Code: cli.CodeError, Err: fmt.Errorf("%s not set!", variable)}
		}
		os.Unsetenv(variable)
		return o.Set(value)
	}
	return env
}

// both stores a value in two places.
func both(first, second func(string) error) func(string) error {
	return func(value string) error { return cmp.Or(first(value), second(value)) }
}

func mytoken(string) error {
	err := errors.New("mytoken is not supported yet: create an account at the provider itself")
	return &cli.ExitError{Code: cli.CodeError, Err: err}
}

func parse(args []string) (*request, error) {
	r := &request{do: newAccount}
	program := options(r)
	args = program.Conceal(args)
	config, err := account.LoadConfig()
	if err != nil {
		return nil, err
	}
	r.use(&config.Gen)
	operands, err := program.Parse(args)
	if err != nil {
		return nil, err
	}
	cli.Forget()
	if len(operands) > 0 {
		r.name = operands[0]
	}
	// By default, the code flow where there is a display for a browser, and the device flow otherwise.
	if len(r.flows) == 0 && hasDisplay() {
		r.flows = []string{"code"}
	} else if len(r.flows) == 0 {
		r.flows = []string{"device"}
	}
	g := &r.given
	g.AuthScope = strings.Join(strings.Fields(g.AuthScope), " ")
	g.RedirectURIs = strings.Fields(strings.Join(g.RedirectURIs, " "))
	g.DeviceAuthorizationEndpointByUser = g.DeviceAuthorizationEndpoint != ""
	return r, nil
}

// use applies the settings of the config files. Options override them.
func (r *request) use(config *account.GenConfig) {
	r.cnid, r.defaultGPGKey, r.prompt = config.ClientNameIdentifier, config.DefaultGPGKey, config.Prompt
	r.writesC = config.AccountFormat == "c"
	r.noURLCall = !config.AutoOpenURL
	_ = cli.OneOf(&r.answers, "yes", "no", "default")(config.AnswerConfirmPrompts) // any other word: ask
	if config.PwPrompt == "gui" {
		_ = r.password.SetPrompt("gui") // cannot fail
	}
}
