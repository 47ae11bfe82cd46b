package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// loginFlows are the flows to try, in order. Without a choice it is the code flow where there is a display
// for a browser, and the device flow where there is not.
func (r *request) loginFlows() []string {
	switch {
	case len(r.flows) > 0:
		return r.flows
	case hasDisplay():
		return []string{"code"}
	}
	return []string{"device"}
}

// login has the agent log the user in and returns the finished account; with --only-at it prints the token.
func login(ctx context.Context, r *request, config *account.Account) (*account.Account, error) {
	if !r.onlyAT {
		fmt.Println("Generating account configuration ...")
	}
	question := ipc.Request(ipc.RequestGen).SetObject(ipc.KeyConfig, r.object(config)).
		SetTexts(ipc.KeyFlow, r.loginFlows()).SetInt(ipc.KeyNoWebserver, ipc.Flag(r.noWebserver)).
		SetInt(ipc.KeyNoScheme, ipc.Flag(r.noScheme)).SetInt(ipc.KeyOnlyAT, ipc.Flag(r.onlyAT))
	if r.cAgent {
		question.SetObject(ipc.KeyPwEntry, r.password.Entry(r.name))
	}
	answer, err := ask(ctx, question)
	if err != nil {
		return nil, err
	}
	if answer.Text(ipc.KeyStatus) == ipc.StatusAccepted {
		fmt.Println("accepted")
		if answer, err = await(ctx, r, answer); err != nil {
			return nil, err
		}
	} else if !r.onlyAT {
		fmt.Println(loadedText)
	}
	if r.onlyAT {
		_, err := fmt.Printf("%s\n", answer.Secret(ipc.KeyAccessToken).Reveal())
		return nil, err
	}
	finished := answer.Object(ipc.KeyConfig)
	if finished == nil {
		return nil, errors.New("the agent's answer holds no account")
	}
	return account.FromObject(finished)
}

const loadedText = "success\nThe generated account config was successfully added to oidc-agent. You don't have to run oidc-add."

// await shows the user what he has to do and waits until he has done it.
func await(ctx context.Context, r *request, answer *cjson.Object) (*cjson.Object, error) {
	if device := answer.Object(ipc.KeyOIDCDevice); device != nil {
		showDevice(device)
		return pollDevice(ctx, r, device)
	}
	if uri := answer.Text(ipc.KeyURI); uri != "" {
		return awaitBrowser(ctx, r, uri, answer.Text(ipc.KeyState))
	}
	return nil, errors.New("the agent's answer starts no flow that this program knows")
}

// showDevice shows the verification URL and the user code (RFC 8628 section 3.3).
func showDevice(device *cjson.Object) {
	fmt.Fprintf(os.Stderr, "\nUsing a browser on any device, visit:\n%s\n\nAnd enter the code: %s\n",
		cli.Printable(device.Text("verification_uri")), cli.Printable(device.Text("user_code")))
	if complete := device.Text("verification_uri_complete"); complete != "" {
		showQR(os.Stderr, complete)
	} else {
		showQR(os.Stderr, device.Text("verification_uri"))
	}
}

const (
	defaultInterval = 5 // seconds, RFC 8628 section 3.2
	slowDown        = 5 // seconds more, for this and all later polls, RFC 8628 section 3.5
)

var errCodeExpired = errors.New("Device code is not valid any more!")

// pollDevice asks the agent, which asks the provider, until the user has approved or the code has expired.
func pollDevice(ctx context.Context, r *request, device *cjson.Object) (*cjson.Object, error) {
	seconds, given := device.Int("interval")
	if !given || seconds <= 0 {
		seconds = defaultInterval
	}
	lives, given := device.Int("expires_in")
	if !given || lives <= 0 {
		lives = 600
	}
	expires := time.Now().Add(time.Duration(lives) * time.Second)
	waiting := startWaiting(expires)
	defer waiting.end()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(time.Duration(seconds)*time.Second, time.Until(expires))):
		}
		if !time.Now().Before(expires) {
			return nil, cli.WithHint(errCodeExpired, "Start again: the code lives for "+(time.Duration(lives)*time.Second).String()+".")
		}
		answer, err := ask(ctx, ipc.Request(ipc.RequestDevice).SetObject(ipc.KeyOIDCDevice, device).SetInt(ipc.KeyOnlyAT, ipc.Flag(r.onlyAT)))
		switch {
		case errors.Is(err, ipc.ErrSlowDown):
			seconds += slowDown
		case errors.Is(err, ipc.ErrPending):
		default:
			return answer, err
		}
	}
}

// waiting is the line that tells, on a terminal and not before the tenth second, that the program waits.
type waiting struct {
	stop, stopped chan struct{}
}

const quietFor = 10 * time.Second

func startWaiting(expires time.Time) *waiting {
	w := &waiting{make(chan struct{}), make(chan struct{})}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		close(w.stopped)
		return w
	}
	go w.show(expires)
	return w
}

func (w *waiting) show(expires time.Time) {
	defer close(w.stopped)
	next := time.After(quietFor)
	for {
		select {
		case <-w.stop:
			return
		case <-next:
			left := max(time.Until(expires), 0).Round(time.Second)
			fmt.Fprintf(os.Stderr, "\r\x1b[KWaiting for your approval, the code lives for another %s ", left)
			defer fmt.Fprint(os.Stderr, "\r\x1b[K")
			next = time.After(time.Second)
		}
	}
}

// end erases the line.
func (w *waiting) end() {
	close(w.stop)
	<-w.stopped
}
