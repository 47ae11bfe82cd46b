package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// list prints the accounts that exist as files.
func list(_ context.Context, r *request) error {
	dir, err := account.FindDir()
	if errors.Is(err, account.ErrNoDir) {
		return r.printNames(nil, "usable")
	}
	if err != nil {
		return err
	}
	names, err := dir.List()
	if err != nil {
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
	if r.json {
		_, err := fmt.Printf("%s\n", cjson.New().SetTexts("names", names).Raw("names"))
		return err
	}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		if len(names) == 0 {
			fmt.Printf("No account configurations are %s.\n", what)
			return nil
		}
		fmt.Printf("The following account configurations are %s: \n", what)
	}
	for _, name := range names {
		if _, err := fmt.Println(name); err != nil {
			return err
		}
	}
	return nil
}

func remove(ctx context.Context, r *request) error {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.account))
	if errors.Is(err, ipc.ErrNotLoaded) && !exists(r.account) {
		return ipc.ErrNoAccount
	}
	if err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}

func removeAll(ctx context.Context, r *request) error {
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestRemoveAll))
	if err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}

func exists(name string) bool {
	dir, err := account.FindDir()
	if err != nil {
		return false
	}
	path, err := dir.File(name)
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return err == nil
}
