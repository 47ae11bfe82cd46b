package interop

import (
	"context"
	"net/http"
	"strings"
	"time"

	"oidc-agent/fakeidp/iam"
)

// scenes are what the provider, the user or another program did just before the
// recorded request of this name.
var scenes = map[string]func(*dialogue, capture){
	"access_token-bad-scope":    func(d *dialogue, _ capture) { d.now["nosuch.scope"] = denied },
	"add-already-loaded":        learn("config", "client_id", "client_secret", "refresh_token"),
	"add-invalid-refresh-token": func(d *dialogue, _ capture) { d.run("oidc-add", "-r", "demo") },
	"register-already-loaded":   func(d *dialogue, _ capture) { d.run("oidc-add", "--pw-file="+d.pw, "demo") },

	"gen-device":     func(d *dialogue, _ capture) { d.approveAll(false) },
	"device-success": func(d *dialogue, _ capture) { d.approveAll(true) },

	"gen-code-no-webserver":                (*dialogue).learnCodeClient,
	"code_exchange-slash-added-by-browser": (*dialogue).addSlash,
	"code_exchange":                        (*dialogue).repeatCode,
	"state_lookup-success":                 func(d *dialogue, _ capture) { d.browse("gen-code-webserver") },
	"delete_client":                        (*dialogue).learnRegistration,

	"autoload-access_token":   func(d *dialogue, _ capture) { d.generate("oidc-gen", "ascii"); d.unload(filePw) },
	"id_token":                func(d *dialogue, _ capture) { d.write("answer", "yes\n") },
	"autoload-issuer":         func(d *dialogue, _ capture) { d.unload(filePw) },
	"autoload-wrong-password": func(d *dialogue, _ capture) { d.unload("nonsense") },
	"autoload-cancelled":      func(d *dialogue, _ capture) { d.unload("") },
	"confirm-declined": func(d *dialogue, _ capture) {
		d.run("oidc-add", "--confirm", "--pw-file="+d.pw, "ascii")
		d.write("answer", "no\n")
	},

	"op-quote": func(d *dialogue, _ capture) {
		d.generate("oidc-gen", "q")
		d.idp.Fail(iam.Fault{Path: "token", Status: http.StatusBadRequest, Header: jsonType,
			Body: `{"error":"invalid_request","error_description":"a \"quote\""}`})
	},
	"op-html":                        fault(iam.Fault{Status: http.StatusOK, Header: map[string]string{"Content-Type": "text/html"}, Body: "<html></html>"}),
	"op-empty500":                    fault(iam.Fault{Status: http.StatusInternalServerError}),
	"op-noat":                        fault(iam.Fault{Status: http.StatusOK, Header: jsonType, Body: `{"token_type":"Bearer"}`}),
	"op-onlyerror":                   fault(iam.Fault{Status: http.StatusBadRequest, Header: jsonType, Body: `{"error":"temporarily_unavailable"}`}),
	"op-noexp":                       fault(iam.Fault{Set: map[string]any{"expires_in": nil}}),
	"op-quotetoken":                  fault(iam.Fault{Set: map[string]any{"access_token": `a"b`, "id_token": nil}}), // its at_hash would be wrong
	"register-reply-without-scope":   registered(nil),
	"register-reply-with-less-scope": registered("openid profile"),
}

var jsonType = map[string]string{"Content-Type": "application/json"}

func fault(f iam.Fault) func(*dialogue, capture) {
	f.Path = "token"
	return func(d *dialogue, _ capture) { d.idp.Fail(f) }
}

// registered makes the provider answer a registration with another scope.
func registered(scope any) func(*dialogue, capture) {
	return func(d *dialogue, _ capture) {
		d.now[`"client_name":"x"`] = `"client_name":"oidc-agent:qq"` // IAM requires four characters
		d.idp.Fail(iam.Fault{Path: "iam/api/client-registration", Set: map[string]any{"scope": scope}})
	}
}

// learn replaces the account of a request by the account demo.
func learn(object string, keys ...string) func(*dialogue, capture) {
	return func(d *dialogue, c capture) {
		config := d.printed("oidc-gen", "demo")
		for _, key := range keys {
			d.mean(c, object+"."+key, config[key])
		}
	}
}

// approveAll sets whether the user approves requests, also pending ones. If not, the
// client may poll as fast as it likes.
func (d *dialogue) approveAll(yes bool) {
	d.t.Helper()
	d.idp.Change(func(s *iam.Settings) {
		s.AutoApprove, s.DeviceInterval = yes, 0
		if yes {
			s.DeviceInterval = time.Second
		}
	})
	for _, code := range d.idp.UserCodes() {
		if err := d.idp.Approve(code); err != nil {
			d.t.Error(err)
		}
	}
}

// unload removes all accounts from the agent. password is the user's answer in the
// password window.
func (d *dialogue) unload(password string) {
	d.t.Helper()
	d.run("oidc-add", "-R")
	d.write("answer", password)
}

// client is the provider's answer to the registration for the code flow.
func (d *dialogue) client() map[string]any {
	d.t.Helper()
	client, _ := d.answers["register-code-flow"]["client"].(map[string]any)
	if client == nil {
		d.t.Fatal("no client was registered")
	}
	return client
}

// learnCodeClient registers the client of the code flow again, because that was not
// recorded.
func (d *dialogue) learnCodeClient(c capture) {
	d.t.Helper()
	for _, key := range []string{"client_id", "client_secret"} {
		d.mean(c, "config."+key, d.client()[key])
	}
	config := parse(d.t, c.request, c.request)["config"].(map[string]any)
	recorded, _ := config["redirect_uris"].([]any)
	registered, _ := d.client()["redirect_uris"].([]any)
	for i := range min(len(recorded), len(registered)) {
		d.now[recorded[i].(string)] = registered[i].(string)
	}
}

func (d *dialogue) learnRegistration(c capture) {
	d.t.Helper()
	for _, key := range []string{"registration_client_uri", "registration_access_token"} {
		d.mean(c, key, d.client()[key])
	}
}

// redirected returns the URL that the provider redirects the browser to after a login.
func (d *dialogue) redirected(to map[string]any) string {
	d.t.Helper()
	browser := http.Client{Timeout: patience, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.Contains(r.URL.RawQuery, "code=") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	uri, _ := to["uri"].(string)
	resp, err := browser.Get(uri)
	if err != nil {
		d.t.Fatalf("%q: %v", uri, err)
	}
	resp.Body.Close()
	location := resp.Header.Get("Location")
	if !strings.Contains(location, "code=") {
		d.t.Fatalf("%s: %s, Location %q", uri, resp.Status, location)
	}
	return location
}

// addSlash does what browsers do with http://localhost:4242?code=...
func (d *dialogue) addSlash(c capture) {
	d.t.Helper()
	location := d.redirected(d.answers["gen-code-no-webserver"])
	d.mean(c, "redirect_uri", strings.Replace(location, "?", "/?", 1))
}

// repeatCode starts the flow again to get an unused code, because that was not
// recorded.
func (d *dialogue) repeatCode(c capture) {
	d.t.Helper()
	answer, err := d.call(d.env["OIDC_SOCK"], d.translate(d.requests["gen-code-no-webserver"]))
	if err != nil {
		d.t.Fatal(err)
	}
	begun := parse(d.t, answer, answer)
	d.mean(c, "redirect_uri", d.redirected(begun)) // used again in code_exchange-again
	for _, later := range d.captures {
		if later.name == "state_lookup-done" {
			d.mean(later, "state", begun["state"])
		}
	}
}

// browse opens the login page and follows the redirects to the agent's web server.
func (d *dialogue) browse(name string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	uri, _ := d.answers[name]["uri"].(string)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		d.t.Errorf("the agent's web server: %s", resp.Status)
	}
}
