package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/secret"
)

// request is what the command line asks for.
type request struct {
	action action
	name   string // short name of the account
	file   string // of -p, -u, --rename: file, or the new name
	json   bool   // of -l
	given  account.Account

	manual     bool
	clientFile string
	public     bool
	noSave     bool
	onlyAT     bool
	flows      []string
	authorize  secret.Secret // bearer token for the registration endpoint
	cnid       string

	noURLCall   bool
	noWebserver bool
	noScheme    bool
	codeURI     string
	state       string

	password prompt.Source
	gpgKey   string
	format   crypt.Format // 0: see fileFormat
	site     account.GenConfig
	cAgent   bool   // see findAgent
	prompt   string // cli, gui, none
	answers  prompt.Answer
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
	do := func(a action) func(string) error {
		return func(file string) error {
			r.action, r.file = a, file
			return nil
		}
	}
	sensitive := func(s *secret.Secret) func(string) error {
		return func(value string) error { *s = secret.FromString(value); return nil }
	}
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
			{Long: "accounts", Short: 'l', Group: managing, Set: do(actionList), Help: "List the accounts that exist, as oidc-add -l"},
			{Long: "json", Group: managing, Set: cli.Flag(&r.json), Help: "With -l: print the names as a JSON array"},
			{Long: "print", Short: 'p', Arg: "FILE", Group: managing, Set: do(actionPrint), Help: "Print a file decrypted; FILE is an account's name or an absolute path"},
			{Long: "reauthenticate", Group: managing, Set: do(actionReauthenticate), Help: "Log in again and put the new refresh token into the account; nothing else changes"},
			{Long: "rename", Arg: "NEW_SHORTNAME", Group: managing, Set: do(actionRename), Help: "Give the account another name"},
			{Long: "update", Short: 'u', Arg: "FILE", Group: managing, Set: do(actionUpdate), Help: "Decrypt a file and encrypt it again in the current format; FILE is an account's name or an absolute path"},
			{Long: "delete", Short: 'd', Group: managing, Set: do(actionDelete), Help: "Revoke the account's refresh token and delete its file"},

			{Long: "file", Short: 'f', Arg: "FILE", Group: generating, Set: func(v string) error { r.clientFile, r.manual = v, true; return nil }, Help: "Read the client from FILE, as JSON; implies -m"},
			{Long: "manual", Short: 'm', Group: generating, Set: cli.Flag(&r.manual), Help: "Use a client that was registered by hand; edits the account if it exists"},
			{Long: "no-save", Group: generating, Set: cli.Flag(&r.noSave), Help: "Write no file: the account lives in the agent only"},
			{Long: "pub", Group: generating, Set: cli.Flag(&r.public), Help: "Use the public client that is known for the issuer"},
			{Long: "issuer", Aliases: []string{"iss"}, Arg: "ISSUER_URL", Group: generating, Set: cli.Text(&g.IssuerURL), Help: "The provider's URL"},
			{Long: "scope", Arg: "SCOPE", Group: generating, Set: cli.Join(&g.AuthScope), Help: "The scopes of the account, separated by blanks; may be given several times; 'max' is all that the provider lists"},
			{Long: "scope-all", Aliases: []string{"scope-max"}, Group: generating, Set: func(string) error { g.AuthScope = "max"; return nil }, Help: "The same as --scope=max"},
			{Long: "client-id", Arg: "CLIENT_ID", Group: generating, Set: func(v string) error { g.ClientID, r.manual = v, true; return nil }, Help: "The id of a client that was registered by hand; implies -m"},
			{Long: "client-secret", Arg: "CLIENT_SECRET", Secret: true, Group: generating, Set: sensitive(&g.ClientSecret), Help: "Its secret"},
			{Long: "client-secret-env", Arg: "OIDC_CLIENT_SECRET", Optional: true, Default: "OIDC_CLIENT_SECRET", Whole: true, Group: generating, Set: fromEnv(&g.ClientSecret), Help: "The same, from an environment variable, by default OIDC_CLIENT_SECRET"},
			{Long: "redirect-uri", Aliases: []string{"redirect-url"}, Arg: "URI", Group: generating, Set: r.addRedirectURIs, Help: "Redirect URIs, separated by blanks; may be given several times. http://localhost:PORT[/PATH] or edu.kit.data.oidc-agent:/PATH"},
			{Long: "port", Arg: "PORT", Group: generating, Set: func(v string) error { return r.addRedirectURIs("http://localhost:" + v) }, Help: "Short for --redirect-uri=http://localhost:PORT"},
			{Long: "oauth2", Aliases: []string{"oauth"}, Group: generating, Set: cli.Flag(&g.OAuth2), Help: "The provider knows OAuth 2 only, no OpenID Connect"},
			{Long: "mytoken-url", Aliases: []string{"mytoken-issuer"}, Arg: "URI", Optional: true, Group: generating, Set: mytoken, Help: "A mytoken server (not supported yet)"},
			{Long: "mytoken", Aliases: []string{"mytoken-profile"}, Arg: "PROFILE", Group: generating, Set: mytoken, Help: "A mytoken profile (not supported yet)"},

			{Long: "access-token", Aliases: []string{"at"}, Arg: "ACCESS_TOKEN", Secret: true, Group: generatingAdvanced, Set: sensitive(&r.authorize), Help: "Present this token when the client is registered"},
			{Long: "access-token-env", Aliases: []string{"at-env"}, Arg: "OIDC_ACCESS_TOKEN", Optional: true, Default: "OIDC_ACCESS_TOKEN", Whole: true, Group: generatingAdvanced, Set: fromEnv(&r.authorize), Help: "The same, from an environment variable, by default OIDC_ACCESS_TOKEN"},
			{Long: "audience", Aliases: []string{"aud"}, Arg: "AUDIENCE", Group: generatingAdvanced, Set: cli.Text(&g.Audience), Help: "The audience of the account's tokens; several are separated by blanks"},
			{Long: "op-username", Arg: "USERNAME", Group: generatingAdvanced, Set: cli.Text(&g.Username), Help: "The user's name, for --flow=password"},
			{Long: "op-password", Arg: "PASSWORD", Secret: true, Group: generatingAdvanced, Set: sensitive(&g.Password), Help: "The user's password, for --flow=password"},
			{Long: "op-password-env", Arg: "OIDC_OP_PASSWORD", Optional: true, Default: "OIDC_OP_PASSWORD", Whole: true, Group: generatingAdvanced, Set: fromEnv(&g.Password), Help: "The same, from an environment variable, by default OIDC_OP_PASSWORD"},
			{Long: "client-name-identifier", Aliases: []string{"cnid"}, Arg: "IDENTIFIER", Group: generatingAdvanced, Set: cli.Text(&r.cnid), Help: "Put this into the client's name instead of the host's name"},
			{Long: "cert-path", Aliases: []string{"cp", "cert-file"}, Arg: "FILE", Group: generatingAdvanced, Set: cli.Text(&g.CertPath), Help: "Trust the CAs in this bundle for TLS"},
			{Long: "refresh-token", Aliases: []string{"rt"}, Arg: "REFRESH_TOKEN", Secret: true, Group: generatingAdvanced, Set: r.refreshTokenFromOption, Help: "Take this refresh token instead of a login; implies --flow=refresh"},
			{Long: "refresh-token-env", Aliases: []string{"rt-env"}, Arg: "OIDC_REFRESH_TOKEN", Optional: true, Default: "OIDC_REFRESH_TOKEN", Group: generatingAdvanced, Set: r.refreshTokenFromEnv, Help: "The same, from an environment variable, by default OIDC_REFRESH_TOKEN"},
			{Long: "device-authorization-endpoint", Aliases: []string{"dae"}, Arg: "URI", Group: generatingAdvanced, Set: func(v string) error {
				g.DeviceAuthorizationEndpoint, g.DeviceAuthorizationEndpointByUser = v, true
				return nil
			}, Help: "Use this device authorization endpoint, whatever the provider's metadata say"},
			{Long: "configuration-endpoint", Aliases: []string{"config-endpoint", "discovery-endpoint"}, Arg: "URI", Group: generatingAdvanced, Set: cli.Text(&g.ConfigEndpoint), Help: "Read the provider's metadata from here"},
			{Long: "flow", Short: 'w', Arg: "code|device|password|refresh", Group: generatingAdvanced, Set: r.addFlow, Help: "How to log in; may be given several times, the first that works is taken"},
			{Long: "only-at", Group: generatingAdvanced, Set: cli.Flag(&r.onlyAT), Help: "Print an access token and make no account; needs a client that is registered"},

			{Long: "codeExchange", Arg: "URI", Group: advanced, Set: cli.Text(&r.codeURI), Help: "Finish the code flow with the URI to which the browser was sent"},
			{Long: "confirm-default", Group: advanced, Set: r.answers.Set(prompt.AlwaysDefault), Help: "Answer all questions with their default"},
			{Long: "confirm-no", Group: advanced, Set: r.answers.Set(prompt.AlwaysNo), Help: "Answer all questions with no"},
			{Long: "confirm-yes", Group: advanced, Set: r.answers.Set(prompt.AlwaysYes), Help: "Answer all questions with yes"},
			{Long: "no-scheme", Group: advanced, Set: cli.Flag(&r.noScheme), Help: "Code flow: do not use redirect URIs with a custom scheme"},
			{Long: "no-url-call", Group: advanced, Set: cli.Flag(&r.noURLCall), Help: "Do not open the URL in a browser"},
			{Long: "no-webserver", Group: advanced, Set: cli.Flag(&r.noWebserver), Help: "Code flow: do not start a local web server"},
			{Long: "prompt", Arg: "cli|gui|none", Group: advanced, Set: cli.OneOf(&r.prompt, "cli", "gui", "none"), Help: "How to ask for what is missing; none asks nothing and fails"},
			{Long: "pw-gpg", Aliases: []string{"pw-pgp", "gpg", "pgp"}, Arg: "KEY_ID", Group: advanced, Set: cli.Text(&r.gpgKey), Help: "Encrypt with this GPG key instead of a password"},
			{Long: "format", Arg: "scrypt|c", Group: advanced, Set: r.setFormat, Help: "Write the file in this agent's own format (scrypt), or in the C oidc-agent's (c)"},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},

			{Long: "state", Arg: "STATE", Group: internal, Set: cli.Text(&r.state), Help: "Fetch the account that the flow with this state has made"},

			{Long: "debug", Short: 'g', Group: verbosity, Set: cli.Flag(&ignored), Help: "Accepted for compatibility; this program logs nothing"},
			{Long: "verbose", Short: 'v', Group: verbosity, Set: cli.Flag(&r.verbose), Help: "Print the finished account, with its secrets"},
		}...),
	}
}

func (r *request) setFormat(value string) error {
	var name string
	if err := cli.OneOf(&name, "scrypt", "c")(value); err != nil {
		return err
	}
	r.format = map[string]crypt.Format{"scrypt": crypt.FormatScrypt, "c": crypt.FormatC}[name]
	return nil
}

func mytoken(string) error {
	return &cli.ExitError{Code: cli.CodeError, Err: errors.New("mytoken is not supported yet: make an account at the provider itself")}
}

func (r *request) addRedirectURIs(value string) error {
	r.given.RedirectURIs = append(r.given.RedirectURIs, strings.Fields(value)...)
	return nil
}

func (r *request) addFlow(value string) error {
	var flow string
	if err := cli.OneOf(&flow, "code", "device", "password", "refresh")(value); err != nil {
		return err
	}
	r.flows = append(r.flows, flow)
	return nil
}

func (r *request) useRefreshToken(token secret.Secret) {
	r.given.RefreshToken = token
	r.flows = append(r.flows, "refresh")
}

func (r *request) refreshTokenFromOption(token string) error {
	r.useRefreshToken(secret.FromString(token))
	return nil
}

func (r *request) refreshTokenFromEnv(variable string) error {
	var token secret.Secret
	err := fromEnv(&token)(variable)
	r.useRefreshToken(token)
	return err
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
	r := new(request)
	args = options(r).Conceal(args)
	if err := r.readConfig(); err != nil {
		return nil, err
	}
	operands, err := options(r).Parse(args)
	if err != nil {
		return nil, err
	}
	cli.Forget()
	if len(operands) > 0 {
		r.name = operands[0]
	}
	r.given.AuthScope = strings.Join(strings.Fields(r.given.AuthScope), " ")
	return r, nil
}

// readConfig takes the site's and the user's settings; options count more.
func (r *request) readConfig() error {
	config, err := account.FindConfig()
	if err != nil {
		return err
	}
	r.site = config.Gen
	r.cnid, r.gpgKey = r.site.ClientNameIdentifier, r.site.DefaultGPGKey
	r.prompt = r.site.Prompt
	r.noURLCall = !r.site.AutoOpenURL
	switch r.site.AnswerConfirmPrompts {
	case "yes":
		r.answers = prompt.AlwaysYes
	case "no":
		r.answers = prompt.AlwaysNo
	case "default":
		r.answers = prompt.AlwaysDefault
	}
	if r.site.PwPrompt == "gui" {
		return r.password.SetPrompt("gui")
	}
	return nil
}
