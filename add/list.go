package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/term"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// list prints the accounts that exist as files.
func list(_ context.Context, r *request) error {
	var names []string
	dir, err := account.FindDir()
	if err == nil {
		names, err = dir.List()
	}
	if err != nil && !errors.Is(err, account.ErrNoDir) {
		return err
	}
	return r.printNames(names, "usable")
}

// loaded prints the accounts that the agent holds.
func loaded(ctx context.Context, r *request) error {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestLoadedAccounts))
	if err != nil {
		return err
	}
	return r.printNames(answer.Texts(ipc.KeyInfo), "currently loaded")
}

// printNames prints a name a line. The heading is for people, so it appears on a terminal only.
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

// remove tells an account that is not loaded from one that does not exist.
func remove(ctx context.Context, r *request) error {
	err := order(ctx, r, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.account))
	if errors.Is(err, ipc.ErrNotLoaded) {
		if _, missing := read(r.account); missing != nil {
			return missing
		}
	}
	return err
}

func removeAll(ctx context.Context, r *request) error {
	return order(ctx, r, ipc.Request(ipc.RequestRemoveAll))
}
