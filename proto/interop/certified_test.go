package interop

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"oidc-agent/fakeidp/iam"
)

// startIAM starts a fakeidp in this process.
func startIAM(t *testing.T, cfg iam.Config) *iam.Server {
	t.Helper()
	idp, err := iam.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	return idp
}

// TestOpenIDClient: npm's openid-client, which is certified, works with fakeidp.
func TestOpenIDClient(t *testing.T) {
	const all = "registration\ndiscovery\ncode\ndevice\nrefresh\nuserinfo\nintrospection\nrevocation\n"
	for _, alg := range []string{iam.RS256, iam.ES256} {
		for _, method := range []string{"client_secret_basic", "client_secret_post", "none"} {
			t.Run(alg+" "+method, func(t *testing.T) {
				t.Parallel()
				idp := startIAM(t, iam.Config{Alg: alg, Control: true, Settings: iam.Settings{
					DeviceInterval: time.Second, StrictAuthMethod: true, Rotate: alg == iam.ES256 && method == "none"}})
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				cmd := exec.CommandContext(ctx, "node", "openidclient.mjs", idp.Issuer(), method)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil || string(out) != all {
					t.Fatalf("openid-client (npm ci?): %v\n%s%s", err, out, &stderr)
				}
			})
		}
	}
}

// TestGoOIDC: the code flow of x/oauth2 with fakeidp gives an ID token that
// go-oidc's verifier accepts, but not with other parameters.
func TestGoOIDC(t *testing.T) {
	for _, alg := range []string{iam.RS256, iam.ES256} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			idp := startIAM(t, iam.Config{Alg: alg, Settings: iam.Settings{AutoApprove: true}, Clients: []iam.Client{
				{ClientID: "rp", ClientSecret: "s3cret", RedirectURIs: []string{"http://127.0.0.1:1/back"}}}})
			provider, err := oidc.NewProvider(t.Context(), idp.Issuer())
			if err != nil {
				t.Fatal(err)
			}
			rp := &oauth2.Config{ClientID: "rp", ClientSecret: "s3cret", Endpoint: provider.Endpoint(),
				RedirectURL: "http://127.0.0.1:1/back", Scopes: []string{oidc.ScopeOpenID, "profile", "offline_access"}}
			verifier := oauth2.GenerateVerifier()
			back := location(t, rp.AuthCodeURL("state", oidc.Nonce("nonce"), oauth2.S256ChallengeOption(verifier)))
			tokens, err := rp.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tokens.Extra("id_token").(string)
			id, err := provider.Verifier(&oidc.Config{ClientID: "rp"}).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			if id.Nonce != "nonce" || id.Subject != iam.DefaultUsers()[0].Sub {
				t.Errorf("ID token %+v", id)
			}
			if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
				t.Error(err)
			}
			if info, err := provider.UserInfo(t.Context(), rp.TokenSource(t.Context(), tokens)); err != nil || info.Subject != id.Subject {
				t.Errorf("userinfo %+v, %v", info, err)
			}
			if _, err := provider.Verifier(&oidc.Config{ClientID: "another"}).Verify(t.Context(), raw); err == nil {
				t.Error("the ID token is good for everybody")
			}
		})
	}
}

// TestRefreshByHand runs the curl command of IAM's manual.
func TestRefreshByHand(t *testing.T) {
	t.Parallel()
	idp := startIAM(t, iam.Config{Settings: iam.Settings{AutoApprove: true}, Clients: []iam.Client{{ClientID: "ID", ClientSecret: "SECRET"}}})
	issuer := strings.TrimSuffix(idp.Issuer(), "/")
	curl := func(args ...string) (answer map[string]any) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "curl", append([]string{"-sS"}, args...)...).Output()
		if err == nil {
			err = json.Unmarshal(out, &answer)
		}
		if err != nil {
			t.Fatalf("curl %q: %v: %s", args, err, out)
		}
		return answer
	}
	d := curl("-u", "ID:SECRET", "-d", "client_id=ID", "-d", "scope=openid offline_access storage.read:/", issuer+"/devicecode")
	login := curl("-u", "ID:SECRET", "-d", "grant_type=urn:ietf:params:oauth:grant-type:device_code",
		"-d", "device_code="+d["device_code"].(string), issuer+"/token")
	narrow := curl("-u", "ID:SECRET", "-d", "grant_type=refresh_token", "-d", "scope=storage.read:/myPath",
		"-d", "refresh_token="+login["refresh_token"].(string), issuer+"/token")
	if claims := verifyJWT(t, issuer, narrow["access_token"].(string)); claims["scope"] != "storage.read:/myPath" || narrow["scope"] != claims["scope"] {
		t.Errorf("answer %v, claims %v", narrow, claims)
	}
	wide := curl("-u", "ID:SECRET", "-d", "grant_type=refresh_token", "-d", "scope=storage.modify:/",
		"-d", "refresh_token="+login["refresh_token"].(string), issuer+"/token")
	if wide["error"] != "invalid_scope" || wide["error_description"] != "Up-scoping is not allowed." {
		t.Errorf("up-scoping: %v", wide)
	}
}

// location opens a URL and returns the query of the redirect to the client.
func location(t *testing.T, address string) url.Values {
	t.Helper()
	h := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := h.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	u, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}
