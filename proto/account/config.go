package account

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"oidc-agent/proto/cjson"
)

// Config is what the `config` files of 5.x say: DIR/config, or the file that $OIDC_USER_CONFIG names, over
// /etc/oidc-agent/config. It has a section for each program that reads it.
type Config struct {
	Agent AgentConfig
	Gen   GenConfig
	Add   AddConfig
}

// AgentConfig is the section "oidc-agent".
type AgentConfig struct {
	CertPath           string // "cert_path" (or "cert-path"): a bundle of CAs
	BindAddress        string // "bind_address"
	Confirm            bool   // "confirm": ask before each token
	Autoload           bool   // "autoload"
	AutoReauthenticate bool   // "auto-reauthenticate"
	AutoGen            bool   // "auto-gen"
	AutoGenScopeMode   string // "auto-gen-scope-mode": max or exact
	CustomURIScheme    bool   // "custom-uri-scheme"
	Webserver          bool   // "webserver"
	Lifetime           int64  // "lifetime" of loaded accounts in seconds, 0 for ever
	Group              string // "group" that may use the socket
	DebugLogging       bool   // "debug_logging"
	AlwaysAllowIDToken bool   // "always_allow_id_token"
}

// GenConfig is the section "oidc-gen".
type GenConfig struct {
	ClientNameIdentifier string // "cnid"
	AutoOpenURL          bool   // "auto-open-url"
	DefaultGPGKey        string // "default_gpg_key"
	Prompt               string // "prompt": cli, gui or none
	PwPrompt             string // "pw-prompt": cli or gui
	AnswerConfirmPrompts string // "answer-confirm-prompts": yes, no or default
	DebugLogging         bool   // "debug_logging"
	AccountFormat        string // "account-format", ours: "c" for new files in the C tools' format
}

// AddConfig is the section "oidc-add".
type AddConfig struct {
	StorePw      bool   // "store-pw"
	PwPrompt     string // "pw-prompt": cli or gui
	SkipCheck    bool   // "skip-check"
	DebugLogging bool   // "debug_logging"
}

// shipped is what the C tools' own file switches on. It stands in for a section that no file has.
const shipped = `{
	"oidc-agent": {"autoload": true, "auto-reauthenticate": true, "custom-uri-scheme": true, "webserver": true},
	"oidc-gen": {"auto-open-url": true, "prompt": "cli", "pw-prompt": "cli"},
	"oidc-add": {"pw-prompt": "cli"}
}`

// FindConfig is LoadConfig for the directory that FindDir finds. Without one /etc counts all the same.
func FindConfig() (*Config, error) {
	dir, err := FindDir()
	if err != nil {
		dir = Dir{}
	}
	return LoadConfig(dir)
}

// LoadConfig reads the `config` files, the user's over the system's, key by key. Where no file has a
// section, its values are those of the file that comes with the C tools; a key that is missing from a
// section is false, zero or empty, as with them. d may be the zero Dir.
func LoadConfig(d Dir) (*Config, error) { return loadConfig(d, etc, os.Getenv) }

func loadConfig(d Dir, etc string, getenv func(string) string) (*Config, error) {
	user := getenv("OIDC_USER_CONFIG")
	if user == "" && d.path != "" {
		user = filepath.Join(d.path, "config")
	}
	merged := cjson.New()
	for _, path := range [...]string{filepath.Join(etc, "config"), user} {
		o, err := readConfig(path)
		if err != nil {
			return nil, err
		}
		mergePatch(merged, o)
	}
	standard, err := cjson.Parse([]byte(shipped))
	if err != nil {
		return nil, err
	}
	mergeMissing(merged, standard)
	return &Config{
		Agent: agentConfig(section(merged, "oidc-agent")),
		Gen:   genConfig(section(merged, "oidc-gen")),
		Add:   addConfig(section(merged, "oidc-add")),
	}, nil
}

func section(o *cjson.Object, name string) *cjson.Object {
	if s := o.Object(name); s != nil {
		return s
	}
	return cjson.New()
}

// readConfig reads one file; a missing one, or /dev/null, says nothing.
func readConfig(path string) (*cjson.Object, error) {
	if path == "" || path == os.DevNull {
		return cjson.New(), nil
	}
	data, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cjson.New(), nil
	}
	if err != nil {
		return nil, err
	}
	o, err := cjson.Parse(withoutComments(data))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return o, nil
}

// withoutComments takes out what stands in lines that start with a #. The line ends stay.
func withoutComments(data []byte) []byte {
	var kept []byte
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			line = []byte("\n")
		}
		kept = append(kept, line...)
	}
	return kept
}

// mergePatch changes o as RFC 7396 says: objects are merged, null takes a member out, all else replaces.
func mergePatch(o, patch *cjson.Object) {
	for _, key := range patch.Keys() {
		nested := patch.Object(key)
		switch {
		case string(patch.Raw(key)) == "null":
			o.Delete(key)
		case nested != nil:
			merged := section(o, key)
			mergePatch(merged, nested)
			o.SetObject(key, merged)
		default:
			o.SetRaw(key, patch.Raw(key))
		}
	}
}

func agentConfig(o *cjson.Object) AgentConfig {
	lifetime, _ := o.Int("lifetime")
	return AgentConfig{
		CertPath:           firstText(o, "cert_path", "cert-path"), // C reads one, its own file has the other
		BindAddress:        o.Text("bind_address"),
		Confirm:            o.Bool("confirm"),
		Autoload:           o.Bool("autoload"),
		AutoReauthenticate: o.Bool("auto-reauthenticate"),
		AutoGen:            o.Bool("auto-gen"),
		AutoGenScopeMode:   o.Text("auto-gen-scope-mode"),
		CustomURIScheme:    o.Bool("custom-uri-scheme"),
		Webserver:          o.Bool("webserver"),
		Lifetime:           max(lifetime, 0),
		Group:              o.Text("group"),
		DebugLogging:       o.Bool("debug_logging"),
		AlwaysAllowIDToken: o.Bool("always_allow_id_token"),
	}
}

func genConfig(o *cjson.Object) GenConfig {
	return GenConfig{
		ClientNameIdentifier: o.Text("cnid"),
		AutoOpenURL:          o.Bool("auto-open-url"),
		DefaultGPGKey:        o.Text("default_gpg_key"),
		Prompt:               o.Text("prompt"),
		PwPrompt:             o.Text("pw-prompt"),
		AnswerConfirmPrompts: o.Text("answer-confirm-prompts"),
		DebugLogging:         o.Bool("debug_logging"),
		AccountFormat:        o.Text("account-format"),
	}
}

func addConfig(o *cjson.Object) AddConfig {
	return AddConfig{
		StorePw:      o.Bool("store-pw"),
		PwPrompt:     o.Text("pw-prompt"),
		SkipCheck:    o.Bool("skip-check"),
		DebugLogging: o.Bool("debug_logging"),
	}
}
