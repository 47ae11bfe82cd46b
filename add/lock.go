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

// lock asks for a password twice and locks the agent with it.
func lock(ctx context.Context, r *request) error {
	return withLockPassword(ctx, r, ipc.RequestLock, func(question string) (secret.Secret, error) {
		password, err := prompt.NewPassword(ctx, question, "Confirm lock password: ", false)
		if errors.Is(err, prompt.ErrMismatch) {
			err = fmt.Errorf("the %w: nothing was locked", err)
		}
		return password, err
	})
}

func unlock(ctx context.Context, r *request) error {
	return withLockPassword(ctx, r, ipc.RequestUnlock, func(question string) (secret.Secret, error) {
		return prompt.Password(ctx, question)
	})
}

func withLockPassword(ctx context.Context, r *request, name string, read func(question string) (secret.Secret, error)) error {
	password, err := read("Enter lock password: ")
	if errors.Is(err, prompt.ErrNoTerminal) {
		return cli.WithHint(err, "The lock password is typed on a terminal and nowhere else: run the same command on one.")
	}
	if err != nil {
		return err
	}
	defer password.Wipe()
	answer, err := ask(ctx, r, ipc.Request(name).SetSecret(ipc.KeyPassword, password))
	if err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}
