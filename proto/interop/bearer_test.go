package interop

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

// A storage element serves one file over WebDAV to clients with a token that the provider accepts.
type storageElement struct {
	*httptest.Server
	userinfo string // the provider's userinfo endpoint

	mu     sync.Mutex
	tokens []string // accepted tokens, in order
}

func newStorageElement(t *testing.T, idp *iam.Server) *storageElement {
	t.Helper()
	s := &storageElement{userinfo: idp.Issuer() + "userinfo"}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *storageElement) good(authorization string) bool {
	r, err := http.NewRequest("GET", s.userinfo, nil)
	if err != nil {
		return false
	}
	r.Header.Set("Authorization", authorization)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

const properties = `<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">%s</D:multistatus>`

const property = `<D:response><D:href>%s</D:href><D:propstat><D:prop><D:resourcetype>%s</D:resourcetype>` +
	`<D:getcontentlength>6</D:getcontentlength><D:getlastmodified>Tue, 24 Nov 2026 00:00:00 GMT</D:getlastmodified></D:prop>` +
	`<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`

func (s *storageElement) serve(w http.ResponseWriter, r *http.Request) {
	authorization := r.Header.Get("Authorization")
	if !s.good(authorization) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	if !slices.Contains(s.tokens, authorization) {
		s.tokens = append(s.tokens, authorization)
	}
	s.mu.Unlock()
	switch {
	case r.Method != "PROPFIND":
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintln(w, "hello")
	default:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusMultiStatus)
		all := fmt.Sprintf(property, "/data/", "<D:collection/>")
		if r.Header.Get("Depth") != "0" {
			all += fmt.Sprintf(property, "/data/greeting", "")
		}
		fmt.Fprintf(w, properties, all)
	}
}

// outlived reports whether the third token has expired.
func (s *storageElement) outlived() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tokens) > 3 && !s.good(s.tokens[2])
}

// readers list the storage element's folder or read its file. arcls finds the token by itself. Debian's versions of the
// others take it from a variable or as an argument.
const readers = `set -e
file=${BEARER_TOKEN_FILE:-$XDG_RUNTIME_DIR/bt_u$(id -u)}
arcls -d FATAL "$URL/data/" | grep -x greeting
BEARER_TOKEN=$(cat "$file") gfal-ls "davs${URL#https}/data/" | grep -x greeting
davix-ls --capath "$X509_CERT_DIR" -H "Authorization: Bearer $(cat "$file")" "$URL/data/" | grep -x greeting
curl -sS -f --cacert "$X509_CERT_DIR/ca.pem" --oauth2-bearer "$(cat "$file")" "$URL/data/greeting" | grep -x hello
`

// bearerPair has a loaded account, whose tokens are valid for ten seconds, and a storage element.
func bearerPair(t *testing.T) (*pair, *storageElement) {
	t.Helper()
	p := newPair(t, func(s *iam.Settings) { s.AccessTokenLifetime = 10 * time.Second })
	s := newStorageElement(t, p.idp)
	certs := filepath.Join(p.dir, "certificates")
	p.run("mkdir", "-m", "700", certs, filepath.Join(p.dir, "run"))
	p.write("certificates/ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	p.write("readers", readers)
	// arcls needs a valid user certificate even if it has a token.
	p.env["X509_USER_CERT"], p.env["X509_USER_KEY"] = filepath.Join(p.dir, "certificates/user.pem"), filepath.Join(p.dir, "key.pem")
	p.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=alice",
		"-out", p.env["X509_USER_CERT"], "-keyout", p.env["X509_USER_KEY"])
	p.run("openssl", "rehash", certs)
	p.env["URL"], p.env["X509_CERT_DIR"], p.env["XDG_RUNTIME_DIR"] = s.URL, certs, filepath.Join(p.dir, "run")
	p.startAgent()
	p.generate("oidc-gen", "demo")
	return p, s
}

// TestBearerFile: grid software reads the file that the agent keeps, while its token expires three times.
func TestBearerFile(t *testing.T) {
	t.Parallel()
	p, s := bearerPair(t)
	p.run("oidc-add", "--bearer-file", "demo")
	p.eventually("three tokens expire", func() bool {
		p.run("sh", "readers")
		return s.outlived()
	})
	p.run("oidc-add", "-r", "demo")
	if files, err := os.ReadDir(p.env["XDG_RUNTIME_DIR"]); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	p.fails("sh", "readers")
}

// TestTokenShell: the same inside oidc-tokensh, as in a job.
func TestTokenShell(t *testing.T) {
	t.Parallel()
	p, s := bearerPair(t)
	job := user.Program{Args: []string{"oidc-tokensh", "--minsecs=5", "demo", "--", "sh", "-e", "-c",
		`until [ -e stop ]; do sh readers || exit 1; done; exit 3`}}
	ended := make(chan string, 1)
	go func() {
		r, err := p.try(job)
		ended <- fmt.Sprint(err, " exit ", r.Code, r.Stderr)
	}()
	p.eventually("three tokens expire", func() bool { return s.outlived() || len(ended) > 0 })
	p.write("stop", "")
	if text := <-ended; text != "<nil> exit 3" {
		t.Error(text)
	}
}

// TestBearerFileOnC: the C agent has no bearer files, and the user is told so.
func TestBearerFileOnC(t *testing.T) {
	t.Parallel()
	p := newPairOnC(t)
	if text := p.fails("oidc-add", "--bearer-file=here", "demo"); !strings.Contains(text, "this agent keeps no token files") {
		t.Error(text)
	}
	p.checkJob("oidc-token", "demo")
}
