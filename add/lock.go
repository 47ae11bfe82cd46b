package main

import (
	"context"
	"errors"

	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
)

var errMismatch = errors.New("the passwords do not match: nothing was locked")

// lock asks for a password twice and locks the agent with it.
func lock(ctx context.Context, r *request) error {
	password, err := prompt.Password(ctx, "Enter lock password: ")
	if err != nil {
		return err
	}
	again, err := prompt.Password(ctx, "Confirm lock password: ")
	if err != nil {
		return err
	}
	defer again.Wipe()
	if !password.Equal(again) {
		return errMismatch
	}
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestLock).SetSecret(ipc.KeyPassword, password))
	password.Wipe()
	if err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}

func unlock(ctx context.Context, r *request) error {
	password, err := prompt.Password(ctx, "Enter lock password: ")
	if err != nil {
		return err
	}
	answer, err := ask(ctx, r, ipc.Request(ipc.RequestUnlock).SetSecret(ipc.KeyPassword, password))
	password.Wipe()
	if err != nil {
		return err
	}
	return done(answer.Text(ipc.KeyInfo))
}
