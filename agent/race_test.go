package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// requestOf builds the n-th request of a kind, about one of four accounts, complete enough to be processed.
func requestOf(kind string, n int, accounts []*cjson.Object) *cjson.Object {
	config := accounts[n%len(accounts)]
	r := ipc.Request(kind).SetText(ipc.KeyAccount, config.Text("name"))
	switch kind {
	case ipc.RequestAccessToken:
		r.SetInt(ipc.KeyMinValidPeriod, int64(n%3-1)).SetText(ipc.KeyScope, [...]string{"", "openid", "storage.read:/"}[n/3%3])
	case ipc.RequestAdd:
		r.SetObject(ipc.KeyConfig, config).SetBool(ipc.KeyAlwaysAllowIDToken, true).SetInt(ipc.KeyLifetime, int64(n%5/4))
	case ipc.RequestLock, ipc.RequestUnlock:
		r.SetText(ipc.KeyPassword, "of the lock")
	case ipc.RequestRegister, ipc.RequestGen:
		r.SetObject(ipc.KeyConfig, config).SetTexts(ipc.KeyFlow, []string{"device"})
	case ipc.RequestDelete: // it revokes the token
		r.SetObject(ipc.KeyConfig, cjson.New().SetText("name", "no such").SetText("issuer_url", config.Text("issuer_url")))
	case ipc.RequestDevice:
		r.SetObject(ipc.KeyOIDCDevice, cjson.New().SetText("device_code", "unknown"))
	case ipc.RequestCodeExchange:
		r.SetText(ipc.KeyRedirectURI, "http://127.0.0.1:1/?code=c&state=unknown")
	case ipc.RequestStateLookup, ipc.RequestTermHTTPServer:
		r.SetText(ipc.KeyState, "unknown")
	case ipc.RequestScopes, ipc.RequestDeleteClient:
		r.SetText(ipc.KeyIssuer, config.Text("issuer_url"))
	case ipc.RequestFileWrite, ipc.RequestFileRead, ipc.RequestFileRemove:
		r.SetText(ipc.KeyFilename, strconv.Itoa(n%7)).SetText(ipc.KeyData, "ZGF0YQ")
	}
	return r
}

// flap makes the provider fail in the n-th of several ways, or recover.
func flap(idp *iam.Server, n int) {
	idp.ClearFaults()
	switch n % 5 {
	case 1:
		idp.Fail(iam.Fault{Path: "token", Status: 503})
	case 2:
		idp.Fail(iam.Fault{Path: "token", Delay: 100 * time.Millisecond})
	case 3:
		idp.Fail(iam.Fault{Path: ".well-known/openid-configuration", Cut: true})
	case 4:
		idp.Fail(iam.Fault{Path: "token", Body: "<html>", Status: 200})
	}
}

// 64 clients send all kinds of requests at once, while accounts come and go, the agent is locked and unlocked,
// and the provider fails and recovers. All are answered, no goroutine is left, and the agent still works
// afterwards. The test is mainly for the race detector.
func TestEveryRequestAtOnce(t *testing.T) {
	t.Parallel()
	duration := 2 * time.Second
	if os.Getenv("CI") != "" {
		duration = 20 * time.Second
	}
	w := newWorld(t, iam.Settings{})
	w.agent.log.debug = false
	var accounts []*cjson.Object
	for i := range 4 {
		accounts = append(accounts, w.account(fmt.Sprint("race", i)).Object())
	}
	var path string
	pprof.Do(t.Context(), pprof.Labels("whose", "race"), func(context.Context) { path = w.serve() })
	end := time.Now().Add(duration)
	var clients sync.WaitGroup
	for client := range 64 {
		clients.Go(func() {
			for n := client; time.Now().Before(end); n++ {
				kind := handlers[n%len(handlers)].name
				switch {
				case client == 1 && n%10 == 0:
					flap(w.idp, n/10)
				case client != 0 && slices.Contains([]string{ipc.RequestLock, ipc.RequestUnlock, ipc.RequestRemove, ipc.RequestRemoveAll}, kind):
					continue // one client is enough, so that the others find accounts
				}
				if _, err := ipc.Call(path, requestOf(kind, n, accounts), time.Minute); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
	clients.Wait()
	w.idp.ClearFaults()
	ask(w.agent, requestOf(ipc.RequestUnlock, 0, accounts)) // may fail: it may not be locked
	w.must(w.agent, requestOf(ipc.RequestAdd, 0, accounts))
	w.must(w.agent, forced("race0"))
	w.must(w.agent, ipc.Request(ipc.RequestRemoveAll))
	n, stacks := goroutinesOf(t, "race")
	for deadline := time.Now().Add(time.Minute); n > maxIdle && time.Now().Before(deadline); n, stacks = goroutinesOf(t, "race") {
		w.must(w.agent, ipc.Request(ipc.RequestCheck))
		w.agent.providers.closeIdle()
	}
	if n > maxIdle {
		t.Errorf("%d goroutines are left, %d are to take connections: %s", n, maxIdle, stacks)
	}
}

// goroutinesOf returns the goroutines that were started under a label of pprof.Do, except for serve itself.
func goroutinesOf(t *testing.T, label string) (n int, stacks []string) {
	t.Helper()
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		t.Fatal(err)
	}
	_, all, _ := strings.Cut(text.String(), "\n") // without the title
	for stack := range strings.SplitSeq(all, "\n\n") {
		if strings.Contains(stack, `{"whose":"`+label+`"}`) && !strings.Contains(stack, ".(*agent).serve+") {
			count, _, _ := strings.Cut(strings.TrimSpace(stack), " ")
			i, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("%v: %s", err, stack)
			}
			n, stacks = n+i, append(stacks, stack)
		}
	}
	return n, stacks
}
