package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
)

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
		"cprompt":   {cEntry(8, "", ""), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cprompt: the agent has no key for the account file: load the account with a password source"},
		"cnofile":   {cEntry(24, "pw_file", w.dir+"/nosuch"), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cnofile: password file"},
		"cwrongpw":  {cEntry(9, "password", "wrong"), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cwrongpw: wrong password"},
		"cnowhere":  {cEntry(9, "password", filePassword), "The provider gave a new refresh token, and it is not saved: "},
		"cdisagree": {cEntry(9, "password", filePassword), "The provider gave a new refresh token, and it is not saved: " + configDir() + "/cdisagree: someone else has put another refresh token into it"},
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
			if name != "cprompt" {
				return
			}
			// A prompt does not replace a way that works.
			w.must(w.agent, addRequest(account, "").SetObject("pw_entry", cEntry(8, "", "")))
			w.agent.accounts.find(name).file.key = crypt.Sealed{}
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
	if err := account.WriteFile(path, must(key.Encrypt(w.Context(), c.Object().Compact()))); err != nil {
		t.Fatal(err)
	}
	w.must(w.agent, forced(name))
	text, err := key.Decrypt(w.Context(), must(os.ReadFile(path)))
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
