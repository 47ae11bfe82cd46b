package iam

import (
	"embed"
	"net/http"
	"strings"
)

// documents say what needs no program: the metadata, the users of a server that was given none, the faults
// of most switches, as POST /_fake/faults takes them, and decoys. These are public keys that nobody signs
// with: for signatures two of RSA and one each on P-256 and Ed25519, then two for encryption, and three that
// few can read, on secp256k1 and of types that are new or invented.
//
//go:embed *.json
var documents embed.FS

// document reads one of them. A word in it that starts with a dollar sign stands for what only a server knows.
func (s *Server) document(name string, to any) {
	text, err := documents.ReadFile(name)
	if err == nil {
		err = decodeStrictly(strings.NewReader(s.words.Replace(string(text))), to)
	}
	if err != nil {
		panic("fakeidp/iam: " + name + ": " + err.Error()) // each is read by a test
	}
}

func newWords(issuer string) *strings.Replacer {
	quoted := func(text string) string { return strings.Trim(string(toJSON(text)), `"`) }
	return strings.NewReplacer(
		"$ISSUER", quoted(issuer),
		"$SLASHLESS", quoted(strings.TrimSuffix(issuer, "/")),
		"$UPPER", quoted(strings.ToUpper(issuer)),
		"$ESCAPED", quoted(strings.Replace(issuer, "/", "%2F", 1)),
		"$LONG", strings.Repeat("x", 16<<10),
	)
}

// metadata is the discovery document (Core Discovery 1.0 section 3, RFC 8414 section 2). It announces what
// there is: IAM's lists, less the implicit flow, JWT client authentication and request objects.
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
