package account

import (
	"strings"
	"testing"
)

// onlyDefaults is the configuration without any file.
var onlyDefaults = Config{
	Agent: AgentConfig{Autoload: true, AutoReauthenticate: true, CustomURIScheme: true, Webserver: true},
	Gen:   GenConfig{AutoOpenURL: true, Prompt: "cli", PwPrompt: "cli"},
	Add:   AddConfig{PwPrompt: "cli"},
}

func TestLoadConfig(t *testing.T) {
	const own = `{"oidc-agent":{"lifetime":"60"}}`
	agentOnly := onlyDefaults
	agentOnly.Agent = AgentConfig{Lifetime: 60}
	tests := []struct {
		name           string
		user, etc, env string // contents of the files, "" for none; "" or "other" or /dev/null
		want           Config
	}{
		{name: "no file", want: onlyDefaults},
		{name: "a section of the user", user: own, want: agentOnly},
		{name: "a section of the system", etc: own, want: agentOnly},
		{name: "the file of the environment", user: `{"oidc-agent":{"lifetime":1}}`, env: "other", want: agentOnly},
		{name: "no user file wanted", user: own, env: "/dev/null", want: onlyDefaults},
		{
			name: "user over system",
			user: "# a comment {\n{\"oidc-agent\":\n \t# another\n{\"autoload\":null,\"confirm\":1,\"group\":\"g\",\"cert_path\":\"\"}}",
			etc:  `{"oidc-agent":{"cert_path":"site","autoload":true,"confirm":false,"webserver":true},"oidc-gen":{"cnid":"x"}}`,
			want: Config{
				Agent: AgentConfig{Confirm: true, Webserver: true, Group: "g"},
				Gen:   GenConfig{ClientNameIdentifier: "x"}, Add: onlyDefaults.Add,
			},
		},
		{
			name: "every key",
			user: `{"oidc-agent":{"cert-path":"c","bind_address":"b","confirm":true,"autoload":true,"auto-reauthenticate":true,
				"auto-gen":true,"custom-uri-scheme":true,"webserver":true,"lifetime":5,"group":"g",
				"debug_logging":true,"always_allow_id_token":true},
				"oidc-gen":{"cnid":"i","auto-open-url":true,"default_gpg_key":"k","prompt":"gui","pw-prompt":"none",
				"answer-confirm-prompts":"yes","account-format":"c"},
				"oidc-add":{"pw-prompt":"gui","skip-check":true}}`,
			want: Config{
				AgentConfig{"c", "b", true, true, true, true, true, 5, "g", true, true},
				GenConfig{"i", true, "k", "gui", "none", "yes", "c"},
				AddConfig{"gui", true},
			},
		},
	}
	for _, test := range tests {
		user, etc := t.TempDir(), t.TempDir()
		if test.user != "" {
			user = tree(t, "config", test.user)
		}
		if test.etc != "" {
			etc = tree(t, "config", test.etc)
		}
		if test.env == "other" {
			test.env = tree(t, "mine", own) + "/mine"
		}
		t.Setenv("OIDC_USER_CONFIG", test.env)
		got, err := loadConfig([]string{user, etc})
		if err != nil || *got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", test.name, got, err, test.want)
		}
	}
	t.Setenv("OIDC_USER_CONFIG", "")
	if got, err := loadConfig([]string{t.TempDir()}); err != nil || *got != onlyDefaults {
		t.Errorf("no directory: %+v, %v", got, err)
	}
}

func TestDamagedConfig(t *testing.T) {
	t.Setenv("OIDC_USER_CONFIG", "")
	for _, text := range []string{"", "1", `{"oidc-agent":{} # no comment`, "{\n} x"} {
		user := tree(t, "config", text)
		_, err := loadConfig([]string{user, t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), user+"/config") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
