// Package iam is a fake INDIGO IAM: an OAuth 2.0 authorization server and OpenID provider that keeps everything
// in memory. Whatever a client can see (paths, claims, status codes, error texts) is as in IAM 1.11. Where IAM is
// lax the fake is strict, to catch the mistakes of a client.
//
// It is for tests: as a process of its own (the program fakeidp) or inside any Go test:
//
//	idp, err := iam.Start(iam.Config{}) // listens on loopback
//	if err != nil { ... }
//	defer idp.Close()
//	// point the client at idp.Issuer(); when it shows a user code: idp.Approve(code)
//
// [New] makes the same server as a plain http.Handler, for tests without a socket. The package imports nothing of
// ours: a fake that shares a parser with the client cannot catch the parser's bugs. Start reading at server.go,
// which lists the endpoints, and serve.go, which every request passes through.
//
// References:
//
//	[IAM]      https://indigo-iam.github.io/
//	[WLCG]     WLCG Common JWT Profiles 1.0
//	[Core]     OpenID Connect Core 1.0
//	[RFC 6749] OAuth 2.0, [RFC 6750] bearer tokens, [RFC 7009] revocation, [RFC 7517] keys,
//	[RFC 7591] and [RFC 7592] registration, [RFC 7636] PKCE, [RFC 7662] introspection,
//	[RFC 8414] metadata, [RFC 8628] device grant, [RFC 8693] token exchange, [RFC 9207] iss
package iam
