package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"oidc-agent/proto/cjson"
)

// defaultMinValid returns default-min-lifetime of the section oidc-token in the `config` files, the user's
// before the system's: how many seconds a token must stay valid without -t. It does not use proto/account,
// which would slow down every start of this program.
func defaultMinValid() (int64, error) {
	for _, path := range configFiles() {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		o, err := cjson.Parse(cjson.WithoutComments(data))
		if err != nil {
			return 0, errors.New(strconv.Quote(path) + ": " + err.Error())
		}
		// C reads the first key; the file that comes with C has the second.
		for _, key := range [...]string{"default-min-lifetime", "default_min_lifetime"} {
			if section := o.Object("oidc-token"); section != nil && section.Has(key) {
				seconds, _ := section.Int(key)
				return seconds, nil
			}
		}
	}
	return 0, nil
}

// configFiles returns where the `config` files may be, in the order of account.LoadConfig.
func configFiles() []string {
	user, home := os.Getenv("OIDC_USER_CONFIG"), os.Getenv("HOME")
	for _, dir := range [...]string{os.Getenv("OIDC_CONFIG_DIR"), home + "/.config/oidc-agent", home + "/.oidc-agent"} {
		if user != "" || dir == "" {
			continue // saves a system call
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			user = filepath.Join(dir, "config")
		}
	}
	return []string{user, "/etc/oidc-agent/config"}
}
