package iam_test

import (
	"fmt"
	"net/http"
	"net/url"

	"oidc-agent/fakeidp/iam"
)

// A server in the test's own process, with a client. Point the code under test at idp.Issuer().
func Example() {
	idp, err := iam.Start(iam.Config{
		Alg:     iam.ES256, // its keys take no time to generate
		Clients: []iam.Client{{ClientID: "me", ClientSecret: "mine", GrantTypes: []string{"client_credentials"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer idp.Close()

	idp.Fail(iam.Fault{Path: "token", Times: 1, Status: 503})
	for range 2 {
		resp, err := http.PostForm(idp.Issuer()+"token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"me"}, "client_secret": {"mine"}, "scope": {"storage.read:/data"},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println(idp.Counters()["POST token"], "requests")
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// 2 requests
}
