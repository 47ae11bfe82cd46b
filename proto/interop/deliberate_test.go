package interop

// A deliberate difference between our programs and the C programs 5.3.3 in one
// command of a transcript.
type deliberate struct {
	name    string // of the transcript
	command int    // counted from 1
	reason  string
	ours    streams
}

// streams has patterns for the output of our programs, by the names of the streams
// that differ. They may contain placeholders.
type streams map[string]string

// The output of our programs after a successful login.
const (
	visit     = "\nUsing a browser on any device, visit:\n.*\n\nAnd enter the code: <USER_CODE>\n"
	created   = "Registering Client ...\nGenerating account configuration ...\naccepted\n"
	allWell   = created + "Everything setup correctly!"
	started   = "OIDC_SOCK=.*; export OIDC_SOCK;\nOIDCD_PID=<PID>; export OIDCD_PID;\necho Agent pid \\$OIDCD_PID"
	grantGone = "Error: invalid_grant: Refresh token is expired or revoked\nMost likely the refresh token expired\\..*\n\t\\$ oidc-gen acc --reauthenticate"
)

// deliberates lists all of them. The test fails for a difference that is not listed,
// and for an entry without a difference.
var deliberates = []deliberate{
	// Crashes and hangs of C.
	{"add-corrupt", 1, "C crashes", streams{"stderr": `Error: \S+: the file is damaged: its end is missing`, "exit": "1"}},
	{"add-remote-ok", 1, "C crashes; ours finds the agent, for oidc-token too", streams{"stdout": "demo\n<ISSUER>", "stderr": noAgent + "\n.*", "exit": "0"}},
	{"add-pw-prompt", 1, "C's window crashes without a display", streams{"stderr": `Error: \S+: password window: there is no askpass program: .*`, "exit": "1"}},
	{"add-revoked-reauthenticate", 1, "C hangs: it tries to log in again without a display", streams{"stderr": grantGone, "exit": "1"}},
	{"add-revoked-reauthenticate", 2, "C's agent hangs with the command before", streams{"exit": "0"}},
	{"agent-command-missing", 3, "C hangs where -d, meant for ls, reaches the agent", streams{"stdout": `(?s)bin\n.*usr\n.*`, "exit": "0"}},
	{"agent-start-race", 1, "C's agent is not ready when it says so", streams{"stderr": ""}},
	{"agent-command", 4, "C's agent is not ready when the command starts", streams{"stderr": "", "exit": "0"}},
	{"token-revoked-reauthenticate", 1, "C hangs: it tries to log in again without a display", streams{"stderr": grantGone, "exit": "1"}},
	{"token-rotating", 3, "C has lost the new refresh token and hangs", streams{"stdout": "success", "exit": "0"}},
	{"token-rotating", 4, "C has lost the new refresh token and hangs", streams{"stdout": "<ROTATING_ISSUER>", "exit": "0"}},
	{"token-rotating", 5, "C has lost the new refresh token and hangs", streams{"stdout": "acc", "exit": "0"}},
	{"token-rotating-no-password", 3, "C has lost the new refresh token and hangs", streams{"stdout": "success", "exit": "0"}},
	{"token-rotating-no-password", 4, "C has lost the new refresh token and hangs", streams{"stdout": "<ROTATING_ISSUER>", "exit": "0"}},
	{"token-rotating-no-password", 5, "C has lost the new refresh token and hangs", streams{"stdout": "acc", "exit": "0"}},

	// C reports success although there was an error.
	{"agent-pid-file", 2, "C does not tell that there is no pid file", streams{"stdout": "", "stderr": `Error: the agent did not start: writing "/no/such/dir/pid": .*`, "exit": "1"}},
	{"agent-socket-long", 1, "C cuts the path and serves another one", streams{"stdout": "", "stderr": `Error: socket path "/tmp/x+": longer than .*\n.*kill: usage: .*`, "exit": "2"}},
	{"agent-socket-no-directory", 4, "C prints a socket and dies", streams{"stdout": "", "stderr": `Error: socket path "/proc/my\.sock": .*`, "exit": "1"}},
	{"gen-cert", 1, "C does not tell that the CA file is missing", streams{"stdout": "", "stderr": `Error: the scopes that "<FAKE>/ok/" supports: CA file: .*no such file.*`, "exit": "1"}},
	{"gen-gpg", 1, "C does not tell that nothing was saved", streams{"stdout": created, "stderr": visit + `Error: gpg: .*nobody@example.org.*\nThe account is loaded in the agent and works, but it is not saved: .*`, "exit": "1"}},
	{"gen-missing-password", 1, "C does not tell that nothing was saved", streams{"stdout": created, "stderr": visit + `Error: there is no terminal to ask on\nThe account is loaded .*, but it is not saved: .*`, "exit": "1"}},
	{"gen-pw-sources", 3, "C does not tell that nothing was saved", streams{"stdout": created, "stderr": visit + `Error: password file "nothere": no such file or directory\nThe account is loaded .*, but it is not saved: .*`, "exit": "1"}},
	{"token-expired-account", 2, "5.3.3 drops oidc-add -t", streams{"stdout": ""}},
	{"token-expired-account", 3, "5.3.3 drops oidc-add -t", streams{"stdout": "", "stderr": "Error: account not loaded\n.*", "exit": "1"}},
	{"add-force", 3, "5.3.3 drops oidc-add -t", streams{"stderr": `account already loaded\. Lifetime set to 3600 seconds\.`}},
	{"add-loaded-lifetimes", 1, "5.3.3 drops oidc-add -t", streams{"stderr": "Lifetime set to 3600 seconds"}},
	{"add-loaded-lifetimes", 3, "5.3.3 drops oidc-add -t", streams{"stderr": "Lifetime set to 100000 seconds"}},
	{"agent-lifetime", 2, "5.3.3 drops oidc-add -t", streams{"stderr": "Lifetime set to 60 seconds"}},

	// The user at the terminal is asked.
	{"pty-token-not-loaded", 1, "ours loads the account", streams{"terminal": "Enter decryption password for account config 'demo': ", "exit": "none: still running after 3 s"}},

	// What C does but should not.
	{"add-corrupt", 4, "our files have a checksum: a damaged one is not used", streams{"stdout": "", "stderr": `Error: \S+: the file is damaged: its checksum does not match`, "exit": "1"}},
	{"agent-kill-socket-gone", 2, "SIGTERM leaves nothing behind", streams{"stdout": "", "stderr": `ls: cannot access '<SOCKET>': .*\nls: cannot access '<SOCKET_DIR>': .*`}},
	// A process that has ended still exists until init has reaped it.
	{"agent-command-after", 1, "the agent ends with its command, as the manual says", streams{"stdout": "(?:gone)?", "stderr": `ls: cannot access '<SOCKET>': .*`, "exit": "2"}},
	{"agent-socket-file", 1, "a file that is no socket is not replaced", streams{"stdout": "", "stderr": `Error: socket path "<HOME>/file": .*not a socket.*`, "exit": "1"}},
	{"agent-socket-file", 2, "a file that is no socket is not replaced", streams{"stdout": "regular empty file"}},
	{"agent-socket-taken", 2, "the socket of an agent that lives is not taken over", streams{"stdout": "", "stderr": `Error: socket path "<HOME>/my.sock": an agent already listens there.*`, "exit": "1"}},
	{"agent-group", 3, "the group may use the socket, and not put another one in its place", streams{"stdout": "drwxr-x---\nsrw-rw----"}},
	{"gen-names", 4, "a name may not leave the directory", streams{"stdout": "", "stderr": `Error: "a/b" cannot be the name of an account: .*`, "exit": "1"}},
	{"gen-names", 5, "a name may not leave the directory", streams{"stdout": "", "stderr": `Error: "\.\./up" cannot be the name of an account: .*`, "exit": "1"}},
	{"gen-names", 6, "a name may not leave the directory; a lock lies beside the file that it guards", streams{
		"stdout": `(?:\.config/oidc-agent/\..+\.lock\n)+\.config/oidc-agent/a b\n\.config/oidc-agent/demo\n\.config/oidc-agent/issuer\.config`}},
	{"gen-rename-errors", 5, "a name may not leave the directory: C loses the account", streams{"stderr": `Error: "a/b" cannot be the name of an account: .*`, "exit": "1"}},
	{"gen-rename-errors", 6, "a name may not leave the directory: C loses the account", streams{"stdout": "demo\ntaken"}},
	{"gen-device", 4, "files with secrets are for their owner only", streams{"stdout": "issuer.config\nnew\n600\n700"}},
	{"gen-temporary", 2, "C offers a client that it registered at another provider", streams{"stdout": allWell, "stderr": visit, "exit": "0"}},
	{"gen-temporary", 3, "so the account exists already", streams{"stdout": "", "stderr": `Error: there is an account "acc" already\n.*`, "exit": "1"}},
	{"gen-exists", 1, "C's message misleads", streams{"stderr": `Error: there is an account "demo" already\n.*`}},
	{"gen-exists", 2, "C's message misleads", streams{"stderr": `Error: there is an account "demo" already\n.*`}},
	{"gen-exists", 3, "C's message misleads", streams{"stderr": `Error: there is an account "demo" already\n.*`}},
	{"gen-loaded-name", 1, "C's message misleads", streams{"stderr": `Error: there is an account "demo" already\n.*`}},
	{"gen-poll-error", 2, "a gateway may come back: it is told, and asked thrice more", streams{
		"stderr": `\s*Using a browser [\s\S]*\nAsking the provider again later: .*502.*\nError: .*502.*`}},
	{"gen-file-errors", 1, "C ignores a file that is not there", streams{"stderr": `Error: "nothere": no such account file: .*`}},
	{"gen-file-errors", 2, "C ignores a file that it cannot read", streams{"stderr": `Error: "bad" is neither JSON nor an encrypted file`}},
	{"gen-file-errors", 3, "C ignores a file that it cannot read", streams{"stderr": `Error: nil: the file is damaged: it is empty`}},
	{"gen-registration-text", 1, "the provider's text in one line", streams{
		"stderr": "The following error .*:\n" + notJSON + `: Registration closed\. Contact support@example\.org` + "\nError: Dynamic client registration not successful .*\n.*"}},
	{"gen-registration-text", 2, "a page for a browser is not printed", streams{
		"stderr": "The following error .*:\n" + notJSON + "\nError: Dynamic client registration not successful .*\n.*"}},
	{"pty-gen-registration-401", 1, "the error comes last, above the hint", streams{
		"terminal": "Registering Client ...\nThe following error .*:\ninvalid_token: .*\nTry using .*\nUnfortunately no contact .*\nError: Dynamic client .*\nRegister a client .*"}},
	{"pty-gen-registration-refused", 1, "the error comes last, above the hint", streams{
		"terminal": "Registering Client ...\nThe following error .*:\ninvalid_client_metadata: .*\nTry using .*\nUnfortunately no contact .*\nError: Dynamic client .*\nRegister a client .*"}},

	{"add-provider-down", 2, "a failure leaves nothing behind; C unloads the account ten seconds later", streams{"stdout": ""}},
	{"add-revoked", 2, "a failure leaves nothing behind; C unloads the account ten seconds later", streams{"stdout": ""}},
	{"agent-config-broken", 1, "C exits with an error number of its own", streams{"exit": "1"}},
	{"agent-config-broken", 2, "C exits with an error number of its own", streams{"exit": "1"}},
	{"agent-config-broken", 3, "C exits with an error number of its own", streams{"exit": "1"}},
	{"gen-update", 3, "C exits with an error number of its own", streams{"exit": "1"}},

	// What ours can do and C cannot.
	{"gen-rt-register", 1, "C forgets the refresh token when it registers a client", streams{
		"stdout": "Registering Client ...\nGenerating account configuration ...\nsuccess\nThe generated account .*\nEverything setup correctly!", "stderr": "", "exit": "0"}},
	{"gen-oauth2", 1, "the metadata of an OAuth 2.0 server may lie where OpenID has it", streams{"stdout": allWell, "stderr": visit, "exit": "0"}},
	{"gen-no-slash", 3, "an issuer on loopback may have http", streams{"stdout": "eyJ", "stderr": ""}},
	{"token-by-issuer-http", 1, "an issuer on loopback may have http", streams{"stdout": "<ACCESS_TOKEN>", "stderr": "", "exit": "0"}},
	{"token-by-issuer-http", 2, "an issuer on loopback may have http", streams{"stdout": "<ACCESS_TOKEN>", "stderr": "", "exit": "0"}},
	{"token-id-token-agent", 3, "an issuer on loopback may have http", streams{"stdout": "<ID_TOKEN>", "stderr": "", "exit": "0"}},
	{"token-scope-cache", 2, "the same scopes in another order give the same token", streams{"stdout": "same token"}},
	{"token-provider-no-token", 2, "a token that is good stays, whatever the provider answered since", streams{"stdout": "<ACCESS_TOKEN>", "stderr": "", "exit": "0"}},
	{"gen-print", 1, "what deletes the client is kept", streams{"stdout": printed("demo", "")}},
	{"gen-print", 2, "what deletes the client is kept", streams{"stdout": `(?s)audience\n.*refresh_token\nregistration_access_token\nregistration_client_uri\ntoken_endpoint_auth_method\nusername\nuses_pub_client`}},
	{"pty-gen-print", 1, "what deletes the client is kept", streams{"terminal": printed("demo", "Enter decryption password for account config 'demo': \nEnter decryption password for account config 'demo': \n")}},
	{"gen-device-plain", 2, "what deletes the client is kept", streams{"stdout": printed("acc", "")}},
	{"add-gpg", 1, "an option of 4.2.6 that is accepted; the file is not under a key of gpg's", streams{"stderr": `Error: \S+: a password is needed, .*\n.*`, "exit": "1"}},
	{"agent-pw-store", 1, "an option of 4.2.6 that is accepted", streams{"stdout": started, "stderr": "", "exit": "0"}},
	{"agent-pw-store", 2, "an option of 4.2.6 that is accepted", streams{"stdout": started, "stderr": "", "exit": "0"}},
	{"agent-seccomp", 1, "an option of 4.2.6 that is accepted and does nothing", streams{"stdout": started, "stderr": "", "exit": "0"}},
	{"agent-seccomp", 2, "an option of 4.2.6 that is accepted and does nothing", streams{"stderr": "", "exit": "0"}},
	{"token-seccomp", 1, "an option of 4.2.6 that is accepted and does nothing", streams{"stdout": "<ACCESS_TOKEN>", "stderr": "", "exit": "0"}},

	// C's output was still in its buffer when it was killed.
	{"agent-status", 1, "ours says more of each account", streams{"stdout": `(?s)####.*\nCurrently there are 1 accounts loaded: demo\n\ndemo: 0 answered from the cache, 1 refreshed, 0 failures\n\ttoken valid until .*`}},
	{"agent-status", 2, "ours says more of each account", streams{"stdout": `\{"version":"unknown","command_line_options":"","loaded_accounts":\["demo"\],"pid":\d+,"accounts":\[\{"name":"demo",.*\}\]\}`}},
	{"agent-log-stderr", 1, "C prints into a buffer that is lost", streams{"stdout": started}},
	{"gen-code-waits", 1, "C prints into a buffer that is lost", streams{"stdout": created}},
	// mytoken is not supported yet.
	{"gen-mytoken", 1, "mytoken is not supported yet", streams{"stdout": "", "stderr": "Error: mytoken is not supported yet: .*"}},
	{"token-mytoken", 1, "mytoken is not supported yet", streams{"stderr": "Error: mytoken is not supported yet: .*"}},
	{"token-mytoken", 2, "mytoken is not supported yet", streams{"stderr": "Error: mytoken is not supported yet: .*"}},
}

// printed matches an account of ours as oidc-gen -p prints it.
func printed(name, before string) string {
	return before + `\{"name":"` + name + `","client_name":"oidc-agent:` + name + `-<HOST>",.*,"username":"","password":"",` +
		`"registration_access_token":"[^"]+","registration_client_uri":"[^"]+"(?:,"token_endpoint_auth_method":"[^"]+")?\}`
}

// deliberately returns the entry for one stream of one command.
func deliberately(name string, command int, stream string) (d deliberate, ours string, ok bool) {
	for _, d := range deliberates {
		if ours, ok := d.ours[stream]; ok && d.name == name && d.command == command {
			return d, ours, true
		}
	}
	return deliberate{}, "", false
}
