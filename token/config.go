package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"oidc-agent/proto/cjson"
)

// defaultMinValid is the oidc-token section's default-min-lifetime in the `config` files, the user's before the
// system's: how many seconds a token must stay valid where -t says nothing. This program runs thousands of
// times an hour and most often there is no such file, so it looks for them by itself.
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
		for _, key := range [...]string{"default-min-lifetime", "default_min_lifetime"} { // the code's, the shipped file's
			if section := o.Object("oidc-token"); section != nil && section.Has(key) {
				seconds, _ := section.Int(key)
				return seconds, nil
			}
		}
	}
	return 0, nil
}

// configFiles are the places of `config`, in the order of proto/account, which this program does not enter.
func configFiles() []string {
	user, home := os.Getenv("OIDC_USER_CONFIG"), os.Getenv("HOME")
	for _, dir := range [...]string{os.Getenv("OIDC_CONFIG_DIR"), home + "/.config/oidc-agent", home + "/.oidc-agent"} {
		if user != "" || dir == "" {
			continue // a system call for nothing, at every start
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			user = filepath.Join(dir, "config")
		}
	}
	return []string{user, "/etc/oidc-agent/config"}
}
