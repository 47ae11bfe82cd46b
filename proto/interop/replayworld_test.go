package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A world is shared by all repeated transcripts.
type world struct {
	transcripts, commands, outputs tally
	issuer, rotating, tls, down    string
	bin, path, host                string
	certificate                    []byte // of tls, PEM
	roots                          *x509.CertPool
	account                        map[string][]byte // the files of the account demo
}

func newWorld(t *testing.T) *world {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	for _, peer := range []string{"bash", "curl", "jq", "node"} {
		if _, err := exec.LookPath(peer); err != nil {
			t.Fatalf("the transcripts need it: %v", err)
		}
	}
	node, _ := exec.LookPath("node")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := &world{bin: bin, path: bin + ":/usr/local/bin:/usr/bin:/bin:" + filepath.Dir(node), host: host, down: nobody(t)}
	key, cert := w.makeCertificate(t, dir)
	w.issuer = startRecorded(t)
	w.rotating = startRecorded(t, "--rotate")
	w.tls = startRecorded(t, "--tls", "--lifetime", "15", key, cert)
	w.makeAccount(t)
	return w
}

// nobody is an address without a listener. It is bound, so that nothing else can listen there.
func nobody(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

// makeCertificate makes the certificate of the https issuer.
func (w *world) makeCertificate(t *testing.T, dir string) (keyFile, certFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w.certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	w.roots = x509.NewCertPool()
	w.roots.AppendCertsFromPEM(w.certificate)
	keyFile, certFile = filepath.Join(dir, "key.pem"), filepath.Join(dir, "certificate.pem")
	for name, content := range map[string][]byte{
		keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), certFile: w.certificate,
	} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return keyFile, certFile
}

// startRecorded starts the provider of the recordings and returns its issuer.
func startRecorded(t *testing.T, args ...string) string {
	t.Helper()
	return startNode(t, append([]string{"recorded.mjs"}, args...)...)
}

// makeAccount makes the account demo, once for all transcripts.
func (w *world) makeAccount(t *testing.T) {
	t.Helper()
	w.account = map[string][]byte{}
	s, err := w.newStage(transcript{files: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	err = s.prepare(transcript{agent: true, setup: []setupCommand{{`oidc-gen -w device --issuer=<ISSUER>/ ` +
		`--scope="openid profile offline_access email storage.read:/" --pw-file=pw --prompt=none --no-url-call demo`, true}}})
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob(s.dir + "/.config/oidc-agent/*")
	for _, path := range paths {
		if w.account[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.account) == 0 {
		t.Fatal("oidc-gen leaves no files behind")
	}
}
