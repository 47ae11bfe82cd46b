package account

import (
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"oidc-agent/proto/cjson"
)

// Config holds the settings of the `config` files of 5.x, with a section for each program.
type Config struct {
	Agent AgentConfig `key:"oidc-agent"`
	Gen   GenConfig   `key:"oidc-gen"`
	Add   AddConfig   `key:"oidc-add"`
}

// AgentConfig holds the settings of oidc-agent.
type AgentConfig struct {
	CertPath           string `key:"cert_path cert-path"` // of CAs; C reads the first key and installs the second
	BindAddress        string `key:"bind_address"`
	Confirm            bool   `key:"confirm"` // ask before each token
	Autoload           bool   `key:"autoload"`
	AutoReauthenticate bool   `key:"auto-reauthenticate"`
	CustomURIScheme    bool   `key:"custom-uri-scheme"`
	Webserver          bool   `key:"webserver"`
	Lifetime           int64  `key:"lifetime"` // of loaded accounts in seconds; 0: no limit
	Group              string `key:"group"`    // whose members may use the socket
	DebugLogging       bool   `key:"debug_logging"`
	AlwaysAllowIDToken bool   `key:"always_allow_id_token"`
}

// GenConfig holds the settings of oidc-gen.
type GenConfig struct {
	ClientNameIdentifier string `key:"cnid"`
	AutoOpenURL          bool   `key:"auto-open-url"`
	DefaultGPGKey        string `key:"default_gpg_key"`
	Prompt               string `key:"prompt"`                 // cli, gui or none
	PwPrompt             string `key:"pw-prompt"`              // cli or gui
	AnswerConfirmPrompts string `key:"answer-confirm-prompts"` // yes, no or default
	AccountFormat        string `key:"account-format"`         // ours: "c" writes new files in the C tools' format
}

// AddConfig holds the settings of oidc-add.
type AddConfig struct {
	PwPrompt  string `key:"pw-prompt"` // cli or gui
	SkipCheck bool   `key:"skip-check"`
}

// LoadConfig reads /etc/oidc-agent/config and then the user's file, which is $OIDC_USER_CONFIG or `config` in the
// configuration directory. Keys of the user's file override those of the other. As with the C tools, a section
// that no file has gets the values of the file that they install, and a key that is missing from a section is
// false, zero or empty.
func LoadConfig() (*Config, error) { return loadConfig(places()) }

func loadConfig(dirs []string) (*Config, error) {
	site, user := filepath.Join(dirs[len(dirs)-1], "config"), filepath.Join(dirs[0], "config")
	user = cmp.Or(os.Getenv("OIDC_USER_CONFIG"), user)
	if user == os.DevNull {
		user = site
	}
	var found []*cjson.Object
	for _, path := range [...]string{site, user} {
		objects, err := readObjects(path, nil)
		if err != nil {
			return nil, err
		}
		found = append(found, objects...)
	}
	c := &Config{ // the file that the C tools install
		Agent: AgentConfig{Autoload: true, AutoReauthenticate: true, CustomURIScheme: true, Webserver: true},
		Gen:   GenConfig{AutoOpenURL: true, Prompt: "cli", PwPrompt: "cli"},
		Add:   AddConfig{PwPrompt: "cli"},
	}
	for keys, section := range members(c) {
		if slices.ContainsFunc(found, func(o *cjson.Object) bool { return o.Has(keys[0]) }) {
			reflect.ValueOf(section).Elem().SetZero()
		}
	}
	for _, o := range found {
		fromJSON(o, c)
	}
	c.Agent.Lifetime = max(c.Agent.Lifetime, 0)
	return c, nil
}
