package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// history counts what became of an account's token requests, for --status.
type history struct {
	hits      int64 // requests answered from the cache
	refreshes int64 // grants that succeeded
	failures  int64 // grants that failed
	last      string
	lastAt    time.Time
}

func (h *history) note(err error) {
	if err == nil {
		h.refreshes++
		return
	}
	h.failures++
	h.last, h.lastAt = strings.Join(strings.Fields(err.Error()), " "), time.Now()
}

// status answers with the text of the C agent and our values.
func (a *agent) status(context.Context, request) (*cjson.Object, error) {
	s := a.settings
	lifetime, group := "Forever", "false"
	if s.Lifetime > 0 {
		lifetime = fmt.Sprintf("%d seconds", s.Lifetime)
	}
	if s.Group != "" {
		group = s.Group
	}
	text := strings.Repeat("#", 36) + "\n##       oidc-agent status        ##\n" + strings.Repeat("#", 36) +
		"\n\nThis agent is running version " + version + ".\n\nThis agent was started with the following options:\n"
	for _, row := range [...]struct{ name, value string }{
		{"Lifetime:\t\t", lifetime},
		{"Confirm:\t\t", strconv.FormatBool(s.Confirm)},
		{"Autoload:\t\t", strconv.FormatBool(s.Autoload)},
		{"Auto Re-authenticate:\t", strconv.FormatBool(s.AutoReauthenticate)},
		{"Use custom URI scheme:\t", strconv.FormatBool(s.CustomURIScheme)},
		{"Webserver:\t\t", strconv.FormatBool(s.Webserver)},
		{"Allow ID-Token:\t\t", strconv.FormatBool(s.AlwaysAllowIDToken)},
		{"Group:\t\t\t", group},
		{"Daemon:\t\t\t", strconv.FormatBool(!s.console)},
		{"Log Debug:\t\t", strconv.FormatBool(s.DebugLogging)},
		{"Log to stderr:\t\t", strconv.FormatBool(s.logStderr)},
	} {
		text += row.name + row.value + "\n"
	}
	held, info := a.holds()
	names := info.Texts("loaded_accounts")
	text += fmt.Sprintf("\nCurrently there are %d accounts loaded: %s\n\n", len(names), strings.Join(names, ", "))
	return ipc.Success(text + held), nil
}

func (a *agent) statusJSON(context.Context, request) (*cjson.Object, error) {
	_, info := a.holds()
	return ipc.Success("").SetObject(ipc.KeyInfo, info), nil
}

// holds returns what the agent holds, as text and, with its version and options, as JSON.
func (a *agent) holds() (text string, info *cjson.Object) {
	var names []string
	var accounts []*cjson.Object
	for _, l := range a.accounts.all() {
		words, o := a.accountStatus(l)
		names, accounts, text = append(names, l.name()), append(accounts, o), text+words
	}
	if text != "" {
		text += "\n"
	}
	info = cjson.New().SetText("version", version).SetText("command_line_options", strings.Join(a.settings.shown, " ")).
		SetTexts("loaded_accounts", names).SetInt("pid", int64(os.Getpid())).SetObjects("accounts", accounts)
	if words, files := a.bearerStatus(); len(files) > 0 {
		text += words + "\n"
		info.SetObjects("bearer_files", files)
	}
	return text, info
}

// accountStatus returns the status of an account, as text and as JSON.
func (a *agent) accountStatus(l *loaded) (text string, o *cjson.Object) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.history
	o = cjson.New().SetText("name", l.name()).
		SetInt("cache_hits", h.hits).SetInt("refreshes", h.refreshes).SetInt("failures", h.failures)
	text = fmt.Sprintf("%s: %d answered from the cache, %d refreshed, %d failures\n",
		l.name(), h.hits, h.refreshes, h.failures)
	if l.ends > 0 {
		ends := time.Now().Add(l.ends - a.boot())
		o.SetInt("lifetime_ends", ends.Unix())
		text += "\tloaded until " + ends.Format(time.DateTime) + "\n"
	}
	var tokens []*cjson.Object
	byText := func(a, b tokenKey) int { return strings.Compare(a.scope+a.audience, b.scope+b.audience) }
	for _, key := range slices.SortedFunc(maps.Keys(l.tokens), byText) {
		t := l.tokens[key]
		tokens = append(tokens, cjson.New().SetText("scope", key.scope).SetText("audience", key.audience).
			SetInt("expires_at", t.expiresAt))
		text += "\ttoken"
		if key.scope != "" {
			text += " for scope " + key.scope
		}
		if key.audience != "" {
			text += " for audience " + key.audience
		}
		if t.known {
			text += " valid until " + time.Unix(t.expiresAt, 0).Format(time.DateTime)
		}
		text += "\n"
	}
	o.SetObjects("tokens", tokens)
	if h.last != "" {
		o.SetText("last_error", h.last).SetInt("last_error_at", h.lastAt.Unix())
		text += "\tlast error, " + h.lastAt.Format(time.DateTime) + ": " + h.last + "\n"
	}
	return text, o
}

// accountInfo answers with the known issuers and, for each of their accounts, whether it is loaded.
func (a *agent) accountInfo(context.Context, request) (*cjson.Object, error) {
	if _, err := account.FindDir(); err != nil && !errors.Is(err, account.ErrNoDir) {
		return nil, err
	}
	info := cjson.New()
	for _, known := range a.issuers() {
		isPublic := known.PubClient.ClientID != ""
		if len(known.Accounts) == 0 && !isPublic {
			continue
		}
		accounts := cjson.New()
		for _, name := range known.Accounts {
			accounts.SetBool(name, a.accounts.find(name) != nil)
		}
		info.SetObject(known.Issuer, cjson.New().SetBool("pubclient", isPublic).SetObject("accounts", accounts))
	}
	return ipc.Success("").SetObject(ipc.KeyInfo, info), nil
}
