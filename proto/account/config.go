package account

import (
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"oidc-agent/proto/cjson"
)

// Config is what the `config` files of 5.x say: DIR/config, or the file that $OIDC_USER_CONFIG names, over
// /etc/oidc-agent/config. It has a section for each program that reads it.
type Config struct {
	Agent AgentConfig `key:"oidc-agent"`
	Gen   GenConfig   `key:"oidc-gen"`
	Add   AddConfig   `key:"oidc-add"`
}

// AgentConfig are the settings of oidc-agent.
type AgentConfig struct {
	CertPath           string `key:"cert_path cert-path"` // of CAs; C reads one key, its own file has the other
	BindAddress        string `key:"bind_address"`
	Confirm            bool   `key:"confirm"` // ask before each token
	Autoload           bool   `key:"autoload"`
	AutoReauthenticate bool   `key:"auto-reauthenticate"`
	CustomURIScheme    bool   `key:"custom-uri-scheme"`
	Webserver          bool   `key:"webserver"`
	Lifetime           int64  `key:"lifetime"` // of loaded accounts in seconds, 0 for ever
	Group              string `key:"group"`    // that may use the socket
	DebugLogging       bool   `key:"debug_logging"`
	AlwaysAllowIDToken bool   `key:"always_allow_id_token"`
}

// GenConfig are the settings of oidc-gen.
type GenConfig struct {
	ClientNameIdentifier string `key:"cnid"`
	AutoOpenURL          bool   `key:"auto-open-url"`
	DefaultGPGKey        string `key:"default_gpg_key"`
	Prompt               string `key:"prompt"`                 // cli, gui or none
	PwPrompt             string `key:"pw-prompt"`              // cli or gui
	AnswerConfirmPrompts string `key:"answer-confirm-prompts"` // yes, no or default
	AccountFormat        string `key:"account-format"`         // ours: "c" for new files in the C tools' format
}

// AddConfig are the settings of oidc-add.
type AddConfig struct {
	PwPrompt  string `key:"pw-prompt"` // cli or gui
	SkipCheck bool   `key:"skip-check"`
}

// LoadConfig reads the `config` files, the user's over the system's, key by key. Where no file has a
// section, its values are those of the file that comes with the C tools; a key that is missing from a
// section is false, zero or empty, as with them.
func LoadConfig() (*Config, error) { return loadConfig(places()) }

func loadConfig(dirs []string) (*Config, error) {
	site, user := filepath.Join(dirs[len(dirs)-1], "config"), filepath.Join(dirs[0], "config")
	user = cmp.Or(os.Getenv("OIDC_USER_CONFIG"), user)
	if user == os.DevNull {
		user = site
	}
	var said []*cjson.Object
	for _, path := range [...]string{site, user} {
		objects, err := readObjects(path, nil)
		if err != nil {
			return nil, err
		}
		said = append(said, objects...)
	}
	c := &Config{ // what the C tools' own file switches on
		Agent: AgentConfig{Autoload: true, AutoReauthenticate: true, CustomURIScheme: true, Webserver: true},
		Gen:   GenConfig{AutoOpenURL: true, Prompt: "cli", PwPrompt: "cli"},
		Add:   AddConfig{PwPrompt: "cli"},
	}
	for keys, section := range members(c) {
		if slices.ContainsFunc(said, func(o *cjson.Object) bool { return o.Has(keys[0]) }) {
			reflect.ValueOf(section).Elem().SetZero()
		}
	}
	for _, o := range said {
		fromJSON(o, c)
	}
	c.Agent.Lifetime = max(c.Agent.Lifetime, 0)
	return c, nil
}
