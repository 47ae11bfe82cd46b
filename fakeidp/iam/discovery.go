package iam

import (
	"embed"
	"net/http"
	"strings"
)

// documents are the metadata (discovery.json), the default users and scopes (default.json), the faults of most switches
// as POST /_fake/faults takes them (switches.json), and public keys that never sign anything (decoys.json): two RSA
// keys and one each on P-256 and Ed25519 for signatures, two keys for encryption, and three that few clients can
// parse, on secp256k1 and of new or invented types.
//
//go:embed *.json
var documents embed.FS

// document reads one of the documents, with the words that start with a dollar sign replaced for this server.
func (s *Server) document(name string, to any) {
	quoted := func(text string) string { return strings.Trim(string(toJSON(text)), `"`) }
	words := strings.NewReplacer(
		"$ISSUER", quoted(s.cfg.Issuer),
		"$SLASHLESS", quoted(strings.TrimSuffix(s.cfg.Issuer, "/")),
		"$UPPER", quoted(strings.ToUpper(s.cfg.Issuer)),
		"$ESCAPED", quoted(strings.Replace(s.cfg.Issuer, "/", "%2F", 1)),
		"$LONG", strings.Repeat("x", 16<<10),
	)
	text, err := documents.ReadFile(name)
	if err == nil {
		err = decodeStrictly(strings.NewReader(words.Replace(string(text))), to)
	}
	if err != nil {
		panic("fakeidp/iam: " + name + ": " + err.Error()) // they are embedded, and a test reads each
	}
}

// metadata is the discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2). It has IAM's values,
// without the implicit flow, JWT client authentication and request objects, which the fake does not implement.
func (s *Server) metadata(w http.ResponseWriter, r *http.Request) error {
	var metadata map[string]any
	s.document("discovery.json", &metadata)
	metadata["scopes_supported"] = s.cfg.Scopes
	metadata["id_token_signing_alg_values_supported"] = []string{s.cfg.Alg}
	if s.settings.Conformance {
		metadata["response_types_supported"] = []string{
			"code", "id_token code", "token code", "id_token", "token id_token", "token id_token code",
		}
		metadata["token_endpoint_auth_methods_supported"] = []string{authBasic}
	}
	return writeJSON(w, http.StatusOK, metadata)
}
