package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/term"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// hasDisplay reports whether a browser can be shown here.
func hasDisplay() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }

const loadedText = "success\nThe generated account config was successfully added to oidc-agent. " +
	"You don't have to run oidc-add."

// login has the agent log the user in. It returns the agent's answer, which holds the finished account or, with
// --only-at, the token.
func (r *request) login(config *account.Account) (*cjson.Object, error) {
	if !r.onlyAT {
		fmt.Println("Generating account configuration ...")
	}
	question := r.about(ipc.RequestGen, config).
		SetTexts(ipc.KeyFlow, r.flows).SetInt(ipc.KeyNoWebserver, ipc.Flag(r.noWebserver)).
		SetInt(ipc.KeyNoScheme, ipc.Flag(r.noScheme)).SetInt(ipc.KeyOnlyAT, ipc.Flag(r.onlyAT))
	if r.cAgent {
		question.SetObject(ipc.KeyPwEntry, r.password.Entry(r.name))
	}
	answer, err := ask(question)
	if err != nil {
		return nil, err
	}
	device := answer.Object(ipc.KeyOIDCDevice)
	if answer.Text(ipc.KeyStatus) == ipc.StatusAccepted {
		fmt.Println("accepted")
		if device != nil {
			return r.awaitDevice(device)
		}
		answer, err = r.awaitBrowser(answer.Text(ipc.KeyURI), answer.Text(ipc.KeyState))
	}
	if err == nil && !r.onlyAT {
		fmt.Println(loadedText)
	}
	return answer, err
}

// awaitDevice shows the verification URL and the user code (RFC 8628 section 3.3), and has the agent poll the
// provider until the user has approved or the code has expired.
func (r *request) awaitDevice(device *cjson.Object) (*cjson.Object, error) {
	uri := device.Text("verification_uri")
	fmt.Fprintf(os.Stderr, "\nUsing a browser on any device, visit:\n%s\n\nAnd enter the code: %s\n",
		cli.Printable(uri), cli.Printable(device.Text("user_code")))
	showQR(os.Stderr, cmp.Or(device.Text("verification_uri_complete"), uri))
	lifetime := seconds(device, "expires_in", 600)
	question := ipc.Request(ipc.RequestDevice).SetObject(ipc.KeyOIDCDevice, device).
		SetInt(ipc.KeyOnlyAT, ipc.Flag(r.onlyAT))
	return poll(question, seconds(device, "interval", 5), lifetime, // RFC 8628 section 3.2: 5 seconds by default
		cli.WithHint(errors.New("Device code is not valid any more!"),
			"Start again: a code is valid for "+lifetime.String()+"."))
}

func seconds(o *cjson.Object, key string, byDefault int64) time.Duration {
	n, _ := o.Int(key)
	return time.Duration(cmp.Or(min(max(n, 0), math.MaxInt32), byDefault)) * time.Second
}

// awaitBrowser sends the user to the provider (RFC 6749 section 4.1) and polls the agent until the browser has
// come back from there.
func (r *request) awaitBrowser(uri, state string) (*cjson.Object, error) {
	fmt.Fprintf(os.Stderr, "To continue and approve the registered client visit the following URL "+
		"in a Browser of your choice:\n%s\n", cli.Printable(uri))
	if !r.noURLCall && hasDisplay() {
		c := exec.Command("xdg-open", uri)
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Start(); err == nil { // otherwise the user opens the URL
			go c.Wait()
		}
	}
	fmt.Fprintln(os.Stderr, "Polling oidc-agent to get the generated account configuration ...")
	question := ipc.Request(ipc.RequestStateLookup).SetText(ipc.KeyState, state)
	answer, err := poll(question, time.Second, 10*time.Minute,
		cli.WithHint(errors.New("the browser has not come back from the provider"),
			"If it runs on another machine, copy the URL that it was sent to:  oidc-gen --codeExchange 'URL'"+
				"  or log in with  -w device"))
	switch {
	case err != nil || answer.Text(ipc.KeyStatus) != ipc.StatusFoundButReceived:
		return answer, err
	case r.onlyAT:
		return nil, errors.New("another oidc-gen has finished this login and has the token")
	}
	fmt.Fprintln(os.Stderr, "Another oidc-gen has finished this login, and saves the account.")
	return nil, new(cli.ExitError) // success, and nothing left to do
}

// poll asks the agent every interval until the login is finished, and returns the error late when the lifetime
// is over. On a terminal it shows, after ten seconds, that it is waiting.
func poll(question *cjson.Object, interval, lifetime time.Duration, late error) (*cjson.Object, error) {
	const erase = "\r\x1b[K"
	clearLine, told := "", "" // clearLine erases the waiting line once there is one
	defer func() { fmt.Fprint(os.Stderr, clearLine) }()
	expires := time.Now().Add(lifetime)
	for next := time.Now().Add(interval); ; {
		left, wait := time.Until(expires), time.Until(next)
		switch {
		case left <= 0:
			return nil, late
		case wait > 0:
			if lifetime-left >= 10*time.Second && term.IsTerminal(int(os.Stderr.Fd())) {
				fmt.Fprintf(os.Stderr, "%sWaiting for your approval; the code is valid for another %s ",
					erase, left.Round(time.Second))
				clearLine = erase
			}
			time.Sleep(min(time.Second, wait, left))
			continue
		}
		answer, err := ask(question)
		switch {
		case errors.Is(err, ipc.ErrSlowDown):
			interval += 5 * time.Second // RFC 8628 section 3.5: for this and all later polls
			f, _ := errors.AsType[*ipc.Failure](err)
			if f.Info != "" && f.Info != told { // the agent cannot reach the provider
				told = f.Info
				fmt.Fprintf(os.Stderr, "%s%s\n", clearLine, cli.Printable(told))
			}
		case errors.Is(err, ipc.ErrPending), err == nil && answer.Text(ipc.KeyStatus) == ipc.StatusNotFound:
		default:
			return answer, err
		}
		next = time.Now().Add(interval)
	}
}

// codeExchange finishes a code flow with the URL that the browser was sent to.
func codeExchange(r *request) error {
	redirected, err := url.Parse(r.argument)
	if err != nil {
		return fmt.Errorf("--codeExchange: %w", err)
	}
	query := redirected.Query()
	state, refusal := query.Get("state"), query.Get("error")
	if state == "" && refusal == "" {
		return errors.New("Uri does not contain a state")
	}
	if description := query.Get("error_description"); refusal != "" && description != "" {
		refusal += ": " + description
	}
	question := ipc.Request(ipc.RequestCodeExchange).
		SetText(ipc.KeyRedirectURI, r.argument).SetInt(ipc.KeyFromGen, ipc.Flag(true))
	return r.fetch(state, question, refusal)
}

// fetchState fetches the account that a login has created.
func fetchState(r *request) error {
	return r.fetch(r.argument, ipc.Request(ipc.RequestStateLookup).SetText(ipc.KeyState, r.argument), "")
}

// fetch gets the finished account from the agent that started the login and saves it. The agent puts the path
// of its socket into the state, as the fourth field, in base64url. A state of another form goes to the agent
// that OIDC_SOCK names. refusal is the provider's error, if the browser was sent back with one.
func (r *request) fetch(state string, question *cjson.Object, refusal string) error {
	if fields := strings.Split(state, ":"); len(fields) == 4 {
		path, err := base64.RawURLEncoding.DecodeString(fields[3])
		if err == nil && strings.HasPrefix(string(path), "/") {
			os.Setenv(ipc.EnvSocket, string(path))
		}
	}
	answer, err := ask(question)
	switch {
	case err != nil && refusal != "": // RFC 6749 section 4.1.2.1
		return errors.New(refusal)
	case err != nil:
		return err
	case !answer.Has(ipc.KeyConfig) && !answer.Has(ipc.KeyAccessToken): // not finished yet, or already fetched
		return errors.New(cmp.Or(answer.Text(ipc.KeyInfo), "the agent's answer holds no account"))
	}
	f := new(file)
	if config := answer.Object(ipc.KeyConfig); config != nil {
		fmt.Println(loadedText)
		if err := r.findAgent(); err != nil {
			return err
		}
		r.name = config.Text("name")
		f, err = r.locate(r.name, account.OpenDir)
		if err == nil && f.exists && !r.noSave { // keep its format and its key
			err = f.open(r)
		}
		if err != nil {
			return notSaved(err)
		}
	}
	return f.save(r, answer, f.key)
}
