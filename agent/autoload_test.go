package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

func configDir() string { return os.Getenv("OIDC_CONFIG_DIR") }

// pipe makes the user think about an account's question until the test answers it with the returned function.
func pipe(t *testing.T, name string) (reply func(text string)) {
	t.Helper()
	path := filepath.Join(answers, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// The question's count is a pipe as well: who opens it knows that the window is there.
	if err := unix.Mkfifo(path+".asked", 0o600); err != nil {
		t.Fatal(err)
	}
	return func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// awaitQuestion returns the question of a pipe's account when it is on the screen.
func awaitQuestion(t *testing.T, name string) string {
	t.Helper()
	question, err := os.ReadFile(filepath.Join(answers, name+".asked"))
	if err != nil {
		t.Fatal(err)
	}
	return string(question)
}

func TestAutoload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	path := filepath.Join(configDir(), "auto")
	c := w.account("under another name") // a renamed file keeps the old one inside
	w.write(path, c)
	answer(t, "auto", filePassword)
	w.must(w.agent, tokenFor("auto"))
	w.must(w.agent, forced("auto"))
	if got := questions(t, "auto"); len(got) != 1 || got[0] != "Enter the encryption password of the account 'auto', of which a token is wanted:\n" {
		t.Errorf("asked %q", got)
	}
	if w.tokenInFile(path) != w.tokenInMemory(w.agent, "auto") {
		t.Error("the file is not up to date")
	}
	if names := w.agent.accounts.names(); len(names) != 1 || names[0] != "auto" {
		t.Errorf("loaded: %v", names)
	}
}

func TestAutoloadRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	for _, name := range []string{"autowrong", "autocancelled", "autodamaged", "autorubbish"} {
		w.write(filepath.Join(configDir(), name), w.account(name))
	}
	data := must(os.ReadFile(filepath.Join(configDir(), "autodamaged")))
	damaged := strings.Replace(string(data), "\n", "\n ", 3)
	if err := os.WriteFile(filepath.Join(configDir(), "autodamaged"), []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(configDir(), "autorubbish"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer(t, "autowrong", "not the password")
	answer(t, "autocancelled", "")
	answer(t, "autodamaged", filePassword)
	for _, c := range []struct {
		name, failure string
		questions     int
	}{
		{"autowrong", "wrong password", 3},
		{"autocancelled", "account not loaded", 1},
		{"autodamaged", configDir() + "/autodamaged: the file is damaged...", 1},
		{"autorubbish", configDir() + "/autorubbish: not an encrypted file of a known format", 0},
		{"autonosuch", "No account configured with that short name", 0},
		{"../auto", "No account configured with that short name", 0},
		{"issuer.config", "No account configured with that short name", 0},
	} {
		want(t, ask(w.agent, tokenFor(c.name)), c.failure)
		if c.questions > 0 || !strings.Contains(c.name, "/") {
			if got := questions(t, c.name); len(got) != c.questions {
				t.Errorf("%s: asked %q", c.name, got)
			}
		}
	}
	w.agent.settings.noAutoload = true
	want(t, ask(w.agent, tokenFor("autowrong")), "account not loaded")
	want(t, ask(w.agent, tokenFor("autonosuch")), "account not loaded")
	if names := w.agent.accounts.names(); len(names) != 0 {
		t.Errorf("loaded: %v", names)
	}
}

// All who want the same account share one window, and who comes when it has just been answered gets none.
func TestAutoloadOneWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	name := "autoshared"
	path := filepath.Join(configDir(), name)
	w.write(path, w.account(name))
	reply := pipe(t, name)
	waiting := make(chan []*cjson.Object)
	go func() { waiting <- together(w.agent, 20, tokenFor(name)) }()
	awaitQuestion(t, name)
	// While the user thinks another agent rotates: the file is read when the password is there.
	other := w.newAgent()
	w.must(other, addRequest(w.read(path), path))
	w.must(other, forced(name))
	reply(filePassword)
	for _, got := range <-waiting {
		if got.Text("status") != "success" {
			t.Errorf("answered %s", got.Compact())
		}
	}
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
	l, err := w.agent.shareAutoload(t.Context(), name, path)
	if err != nil || l != w.agent.accounts.find(name) {
		t.Errorf("a second window: %v", err)
	}
}

// oidc-add may be faster than the user at the window.
func TestAutoloadOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	name := "autolate"
	path := filepath.Join(configDir(), name)
	c := w.account(name)
	w.write(path, c)
	reply := pipe(t, name)
	waiting := make(chan *cjson.Object)
	go func() { waiting <- ask(w.agent, tokenFor(name)) }()
	awaitQuestion(t, name)
	w.must(w.agent, addRequest(c, path).SetBool("always_allow_id_token", true))
	reply(filePassword)
	if got := <-waiting; got.Text("status") != "success" {
		t.Errorf("answered %s", got.Compact())
	}
	if l := w.agent.accounts.find(name); !l.idTokenFree || len(w.agent.accounts.names()) != 1 {
		t.Error("the window's account has replaced the one that oidc-add loaded")
	}
}

// By issuer: a loaded account, the default one before the last, else the default is loaded.
func TestChooseByIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	byIssuer := tokenFor("", "issuer", w.idp.Issuer())
	want(t, ask(w.agent, byIssuer), "account not loaded")
	want(t, askText(w.agent, `{"request":"access_token"}`), "Bad Request: neither an account nor an issuer is named")
	answer(t, "issuer1", filePassword)
	w.write(filepath.Join(configDir(), "issuer1"), w.account("issuer1"))
	w.must(w.agent, addRequest(w.account("issuer1"), "")) // is in issuer.config from now on
	w.must(w.agent, addRequest(w.account("issuer2"), ""))
	chosen := func() string {
		t.Helper()
		l, err := w.agent.choose(t.Context(), request{byIssuer})
		if err != nil {
			t.Fatal(err)
		}
		return l.name()
	}
	if got := chosen(); got != "issuer2" {
		t.Errorf("chose %q, not the last", got)
	}
	w.must(w.agent, cjson.New().SetText("request", "remove_all"))
	if got := chosen(); got != "issuer1" {
		t.Errorf("chose %q, not the first of issuer.config", got)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{})
	answer(t, "consent", "yes")
	w.must(w.agent, addRequest(w.account("consent"), "").SetBool("confirm", true))
	w.must(w.agent, tokenFor("consent", "application_hint", "a script"))
	answer(t, "consent", "")
	want(t, ask(w.agent, tokenFor("consent")), "operation forbidden")
	want(t, askText(w.agent, `{"request":"id_token","account":"consent"}`), "operation forbidden")
	got := strings.Join(questions(t, "consent"), "")
	if got != "a script requests an access token for 'consent'. Do you want to allow this?\n"+
		"An application requests an access token for 'consent'. Do you want to allow this?\n"+
		"An application requests an id token for 'consent'. Do you want to allow this?\n" {
		t.Errorf("asked %s", got)
	}
	// For every account, where the agent was started so.
	w.must(w.agent, addRequest(w.account("consent2"), ""))
	w.must(w.agent, tokenFor("consent2"))
	w.agent.settings.confirm = true
	want(t, ask(w.agent, tokenFor("consent2")), "operation forbidden")
}

// cEntry is the pw_entry of a C client.
func cEntry(kind int64, name, value string) *cjson.Object {
	o := cjson.New().SetText("account", "x").SetInt("type", kind)
	if name != "" {
		o.SetText(name, value)
	}
	return o
}

// A C client gives no key but a way to the password: the agent derives the key when it has to write.
func TestCClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	passwordFile := filepath.Join(w.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(filePassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		entry *cjson.Object
	}{
		{"cmemory", cEntry(9, "password", filePassword)},
		{"ccommand", cEntry(12, "command", "cat "+passwordFile)},
		{"cfile", cEntry(24, "pw_file", passwordFile)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(configDir(), c.name)
			account := w.account(c.name)
			w.write(path, account)
			if info := w.must(w.agent, addRequest(account, "").SetObject("pw_entry", c.entry)).Text("info"); info != "" {
				t.Errorf("info %q", info)
			}
			for range 2 {
				if w.tokenInFile(path) != w.tokenInMemory(w.agent, c.name) {
					t.Error("the file is not up to date")
				}
				w.must(w.agent, forced(c.name))
			}
		})
	}
}

// Where a C client's way leads nowhere the user hears of it, the token stays in memory, and a later oidc-add mends it.
func TestCClientWithoutPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true})
	for name, c := range map[string]struct {
		entry *cjson.Object
		info  string
	}{
		"cprompt":   {cEntry(8, "", ""), "The provider gave a new refresh token, and it is not saved: the agent has no key of the account's file. Load the account with a password source"},
		"cnofile":   {cEntry(24, "pw_file", w.dir+"/nosuch"), "The provider gave a new refresh token, and it is not saved: password file"},
		"cwrongpw":  {cEntry(9, "password", "wrong"), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cwrongpw: wrong password"},
		"cnowhere":  {cEntry(9, "password", filePassword), "The provider gave a new refresh token, and it is not saved: "},
		"cdisagree": {cEntry(9, "password", filePassword), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cdisagree: somebody else has put another refresh token into it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, account := filepath.Join(configDir(), name), w.account(name)
			switch name {
			case "cnowhere": // there is no file
			case "cdisagree": // a C oidc-gen has not written it yet, or somebody has logged in elsewhere
				w.write(path, w.account(name))
			default:
				w.write(path, account)
			}
			reply := w.must(w.agent, addRequest(account, "").SetInt("lifetime", 100).SetObject("pw_entry", c.entry))
			info := reply.Text("info")
			if !strings.HasPrefix(info, "Lifetime set to 100 seconds\n"+c.info) {
				t.Errorf("info %q", info)
			}
			inMemory := w.tokenInMemory(w.agent, name)
			if name == "cdisagree" || name == "cnowhere" {
				w.write(path, account) // now the C oidc-gen writes it
			}
			again := addRequest(account, "").SetObject("pw_entry", cEntry(9, "password", filePassword))
			if info := w.must(w.agent, again).Text("info"); info != "account already loaded." {
				t.Errorf("info %q", info)
			}
			if w.tokenInFile(path) != inMemory {
				t.Error("the refresh token is not in the file")
			}
			// A prompt does not replace a way that works.
			w.must(w.agent, addRequest(account, "").SetObject("pw_entry", cEntry(8, "", "")))
			w.agent.accounts.find(name).file.hasKey = false
			w.must(w.agent, forced(name))
			if w.tokenInFile(path) != w.tokenInMemory(w.agent, name) {
				t.Error("the file is not up to date")
			}
		})
	}
}

// A C oidc-gen writes the file under a new salt, and may do so after the first rotation.
func TestCGenWritesAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, iam.Settings{Rotate: true, AutoApprove: true})
	name := "cgen"
	path := filepath.Join(configDir(), name)
	w.write(path, w.account(name)) // an old one, which is to be replaced
	c := w.finishDevice(name, func(r *cjson.Object) { r.SetObject("pw_entry", cEntry(9, "password", filePassword)) })
	old := w.tokenInFile(path)
	w.must(w.agent, forced(name))
	if w.tokenInFile(path) != old {
		t.Error("the old file was overwritten")
	}
	w.must(w.agent, forced(name)) // and its token is not taken over
	key, err := crypt.NewKey(fileKeyPassword(), crypt.FormatScrypt)
	if err != nil {
		t.Fatal(err)
	}
	if err := account.WriteFile(path, must(key.Encrypt(c.Object().Compact()))); err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, forced(name))
	text, err := key.Decrypt(must(os.ReadFile(path)))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(account.Parse(text.Reveal())); string(got.RefreshToken.Reveal()) != w.tokenInMemory(w.agent, name) {
		t.Error("the refresh token is not in the file")
	}
	if w.presentedTwice() != "" {
		t.Error("a refresh token was used twice")
	}
}
