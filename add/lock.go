package main

import (
	"context"
	"errors"
	"fmt"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

const lockQuestion = "Enter lock password: "

// lock asks for a password twice and locks the agent with it.
func lock(ctx context.Context, r *request) error {
	password, err := prompt.NewPassword(lockQuestion, "Confirm lock password: ", false)
	if errors.Is(err, prompt.ErrMismatch) {
		err = fmt.Errorf("the %w: nothing was locked", err)
	}
	return sendPassword(ctx, r, ipc.RequestLock, password, err)
}

func unlock(ctx context.Context, r *request) error {
	password, err := prompt.Password(lockQuestion)
	return sendPassword(ctx, r, ipc.RequestUnlock, password, err)
}

func sendPassword(ctx context.Context, r *request, kind string, password secret.Secret, err error) error {
	if errors.Is(err, prompt.ErrNoTerminal) {
		err = cli.WithHint(err, "The lock password is typed on a terminal and nowhere else: run the same command on one.")
	}
	if err != nil {
		return err
	}
	defer password.Wipe()
	return order(ctx, r, ipc.Request(kind).SetSecret(ipc.KeyPassword, password))
}
