package prompt

import (
	"context"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// The C programs tell the agent with pw_entry where an account's password is to be had when the file must be
// written again. Bits of its type:
const (
	entryMemory  = 1 // the password itself stands in it
	entryCommand = 4
	entryPrompt  = 8 // always set
	entryFile    = 16
)

// Entry returns the pw_entry of an account for this source. A variable of our environment is out of the
// agent's reach, so its value goes along.
func (s Source) Entry(account string) *cjson.Object {
	kind := int64(entryPrompt)
	entry := cjson.New().SetText("account", account)
	switch s.Kind {
	case Command:
		kind |= entryCommand
		entry.SetText("command", s.Value)
	case File:
		kind |= entryFile
		entry.SetText("pw_file", s.Value)
	case Env:
		if password, err := s.fromEnv(); err == nil {
			kind |= entryMemory
			entry.SetSecret("password", password)
			password.Wipe()
		}
	}
	return entry.SetInt("type", kind)
}

// ReadEntry gets the password to which a pw_entry leads: the empty secret where that is a prompt only.
func ReadEntry(ctx context.Context, entry *cjson.Object) (secret.Secret, error) {
	kind, _ := entry.Int("type")
	switch {
	case kind&entryMemory != 0 && entry.Has("password"):
		return entry.Secret("password"), nil
	case kind&entryCommand != 0:
		return Source{Kind: Command, Value: entry.Text("command")}.Read(ctx, "")
	case kind&entryFile != 0:
		return Source{Kind: File, Value: entry.Text("pw_file")}.Read(ctx, "")
	}
	return secret.Secret{}, nil
}
