package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// status is the text that the C agent prints, with our values.
func (a *agent) status(context.Context, request) (*cjson.Object, error) {
	s := a.settings
	lifetime, group := "Forever", "false"
	if s.lifetime > 0 {
		lifetime = fmt.Sprintf("%d seconds", s.lifetime)
	}
	if s.group != "" {
		group = s.group
	}
	var b strings.Builder
	bar := strings.Repeat("#", 36)
	fmt.Fprintf(&b, "%s\n##       oidc-agent status        ##\n%s\n\nThis agent is running version %s.\n\n", bar, bar, version)
	b.WriteString("This agent was started with the following options:\n")
	for _, row := range [...]struct{ name, value string }{
		{"Lifetime:\t\t", lifetime},
		{"Confirm:\t\t", strconv.FormatBool(s.confirm)},
		{"Autoload:\t\t", strconv.FormatBool(!s.noAutoload)},
		{"Auto Re-authenticate:\t", strconv.FormatBool(!s.noReauthenticate)},
		{"Use custom URI scheme:\t", strconv.FormatBool(!s.noScheme)},
		{"Webserver:\t\t", strconv.FormatBool(!s.noWebserver)},
		{"Allow ID-Token:\t\t", strconv.FormatBool(s.alwaysAllowIDToken)},
		{"Group:\t\t\t", group},
		{"Daemon:\t\t\t", strconv.FormatBool(!s.console)},
		{"Log Debug:\t\t", strconv.FormatBool(s.debug)},
		{"Log to stderr:\t\t", strconv.FormatBool(s.logStderr)},
	} {
		b.WriteString(row.name + row.value + "\n")
	}
	names := a.accounts.names()
	fmt.Fprintf(&b, "\nCurrently there are %d accounts loaded: %s\n\n", len(names), strings.Join(names, ", "))
	for _, name := range names {
		if l := a.accounts.find(name); l != nil {
			text, _ := a.accountStatus(l)
			b.WriteString(text)
		}
	}
	if len(names) > 0 {
		b.WriteByte('\n')
	}
	if files, _ := a.bearerStatus(); files != "" {
		b.WriteString(files + "\n")
	}
	return ipc.Success(b.String()), nil
}

func (a *agent) statusJSON(context.Context, request) (*cjson.Object, error) {
	info := cjson.New().SetText("version", version).
		SetText("command_line_options", strings.Join(a.settings.shown, " ")).
		SetTexts("loaded_accounts", a.accounts.names()).SetInt("pid", int64(os.Getpid()))
	accounts := []byte{'['}
	for i, name := range a.accounts.names() {
		if l := a.accounts.find(name); l != nil {
			_, o := a.accountStatus(l)
			if i > 0 {
				accounts = append(accounts, ',')
			}
			accounts = append(accounts, o.Compact()...)
		}
	}
	info.SetRaw("accounts", append(accounts, ']'))
	if files, array := a.bearerStatus(); files != "" {
		info.SetRaw("bearer_files", array)
	}
	return ipc.Success("").SetObject("info", info), nil
}

// accountInfo answers with the known issuers, and which of their accounts are loaded.
func (a *agent) accountInfo(context.Context, request) (*cjson.Object, error) {
	if _, err := account.FindDir(); err != nil && !errors.Is(err, account.ErrNoDir) {
		return nil, err
	}
	info := cjson.New()
	for _, known := range a.issuers() {
		if len(known.Accounts) == 0 && known.PubClient.ClientID == "" {
			continue
		}
		accounts := cjson.New()
		for _, name := range known.Accounts {
			accounts.SetBool(name, a.accounts.find(name) != nil)
		}
		info.SetObject(known.Issuer, cjson.New().SetBool("pubclient", known.PubClient.ClientID != "").SetObject("accounts", accounts))
	}
	return ipc.Success("").SetObject(ipc.KeyInfo, info), nil
}
