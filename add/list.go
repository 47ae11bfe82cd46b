package main

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/term"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// list prints the accounts that exist as files.
func list(r *request) error {
	names, err := existingNames()
	if err != nil && !errors.Is(err, account.ErrNoDir) {
		return err
	}
	return r.printNames(names, "usable")
}

// loaded prints the accounts that the agent holds.
func loaded(r *request) error {
	names, err := loadedNames(r)
	if err != nil {
		return err
	}
	return r.printNames(names, "currently loaded")
}

func existingNames() ([]string, error) {
	dir, err := account.FindDir()
	if err != nil {
		return nil, err
	}
	return dir.List()
}

func loadedNames(r *request) ([]string, error) {
	answer, err := ask(r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return nil, err
	}
	return answer.Texts(ipc.KeyInfo), nil
}

// printNames prints one name per line. A heading, which says what they are, appears on a terminal only.
func (r *request) printNames(names []string, what string) error {
	terminal := term.IsTerminal(int(os.Stdout.Fd()))
	switch {
	case r.json:
		names = []string{string(cjson.New().SetTexts("names", names).Raw("names"))}
	case terminal && len(names) == 0:
		names = []string{"No account configurations are " + what + "."}
	case terminal:
		names = append([]string{"The following account configurations are " + what + ": "}, names...)
	case len(names) == 0:
		return nil
	}
	_, err := os.Stdout.WriteString(strings.Join(names, "\n") + "\n")
	return err
}
