package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

const password = "correct horse"

// provider is an IAM in this process.
type provider struct {
	*iam.Server
	b      *bench
	issuer string
	client *http.Client
	cert   string // file with its certificate, with TLS
	ours   string // refresh token for direct
}

var clients = []iam.Client{{ClientID: "bench", ClientSecret: "words", GrantTypes: []string{"password", "refresh_token"}}}

// newProvider starts an IAM. With a delay, which is for each direction, it uses TLS.
func (b *bench) newProvider(delay time.Duration, settings iam.Settings) *provider {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	config := iam.Config{Settings: settings, Alg: iam.ES256, Key: key, Clients: clients}
	p := &provider{b: b, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 10}}}
	if delay == 0 {
		p.Server = must(iam.Start(config))
		p.issuer = p.Issuer()
		b.atEnd(func() { p.Server.Close() })
		return p
	}
	front := must(net.Listen("tcp", "127.0.0.1:0"))
	b.atEnd(func() { front.Close() })
	p.issuer = "https://" + front.Addr().String() + "/"
	config.Issuer = p.issuer
	p.Server = must(iam.New(config))
	server := httptest.NewUnstartedServer(p.Server)
	server.EnableHTTP2 = true
	server.StartTLS()
	b.atEnd(server.Close)
	go proxy(front, server.Listener.Addr().String(), delay)
	p.client = server.Client()
	p.cert = filepath.Join(b.tempDir(), "ca.pem")
	check(os.WriteFile(p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
	return p
}

// post makes a request to the token endpoint directly from here.
func (p *provider) post(form url.Values) (answer string, err error) {
	form.Set("client_id", "bench")
	form.Set("client_secret", "words")
	response, err := p.client.PostForm(p.issuer+"token", form)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func (p *provider) grant(form url.Values) (refreshToken string) {
	return find(`"refresh_token":\s*"([^"]+)"`, must(p.post(form)))
}

const scope = "openid profile offline_access storage.read:/ compute.read compute.modify"

// newRefreshToken logs in.
func (p *provider) newRefreshToken(scope string) string {
	return p.grant(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {scope}})
}

// direct refreshes without an agent, which measures the provider's own time.
func (p *provider) direct() {
	if p.ours == "" {
		p.ours = p.newRefreshToken(scope)
	}
	p.ours = p.grant(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.ours}})
}

// grants counts the requests to the token endpoint during a function.
func (p *provider) grants(while func()) float64 {
	before := p.Counters()["POST token"]
	while()
	return float64(p.Counters()["POST token"] - before)
}

// account returns a new account without a file.
func (p *provider) account(name string) *account.Account {
	return &account.Account{
		Name: name, ClientName: "oidc-agent:" + name, IssuerURL: p.issuer, AuthScope: scope, RefreshScope: scope, CertPath: p.cert,
		ClientID: "bench", ClientSecret: secret.FromString("words"), RefreshToken: secret.FromString(p.newRefreshToken(scope)),
		RedirectURIs: []string{"http://localhost:4242"},
	}
}

// proxy forwards connections with a constant delay.
func proxy(front net.Listener, to string, delay time.Duration) {
	for {
		near, err := front.Accept()
		if err != nil {
			return
		}
		if far, err := net.Dial("tcp", to); err == nil {
			go passLate(near, far, delay)
			go passLate(far, near, delay)
		}
	}
}

func passLate(from, to net.Conn, delay time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1000)
	go func() {
		defer close(pieces)
		for buf := make([]byte, 65536); ; {
			n, err := from.Read(buf)
			pieces <- piece{time.Now().Add(delay), bytes.Clone(buf[:n])}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		to.Write(p.data)
	}
	to.Close()
}

func (b *bench) tempDir() string {
	dir := must(os.MkdirTemp("", "bench-"))
	b.atEnd(func() { os.RemoveAll(dir) })
	return dir
}

// A user has a home, the programs of one make, and possibly an agent.
type user struct {
	b    *bench
	make int // us or peer
	home string
	env  []string
	sock string
	pid  int
}

func (b *bench) newUser(make int) *user {
	u := &user{b: b, make: make, home: b.tempDir()}
	check(os.MkdirAll(filepath.Join(u.home, ".config", "oidc-agent"), 0o700))
	check(os.WriteFile(filepath.Join(u.home, "pw"), []byte(password+"\n"), 0o600))
	u.env = []string{"HOME=" + u.home, "TMPDIR=" + u.home, "LC_ALL=C", "PATH=/usr/bin:/bin"}
	return u
}

// each measures with an agent of each make, each with its own provider.
func (b *bench) each(settings iam.Settings, measure func(p *provider, u *user)) {
	for _, make := range []int{us, peer} {
		measure(b.newProvider(0, settings), b.startAgent(make))
	}
}

// command prepares one of the user's programs.
func (u *user) command(name string, args ...string) *exec.Cmd {
	path := "/usr/bin/" + name
	if u.make == us {
		path = must(filepath.Abs(filepath.Join(u.b.bin, name)))
	}
	cmd := exec.Command(path, args...)
	cmd.Env = u.env
	return cmd
}

func (u *user) run(name string, args ...string) { output(u.command(name, args...)) }

// floor prepares a floor program.
func (b *bench) floor(name string, args ...string) *exec.Cmd {
	return exec.Command(must(filepath.Abs(filepath.Join(b.bin, "bench", name))), args...)
}

// output runs a program that must succeed.
func output(cmd *exec.Cmd) string {
	out, err := cmd.CombinedOutput()
	if err != nil {
		check(fmt.Errorf("%q: %w: %s", cmd.Args, err, out))
	}
	return string(out)
}

// find returns the match of a pattern's group.
func find(pattern, text string) (group string) {
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		check(fmt.Errorf("%s is not in %q", pattern, text))
	}
	return found[1]
}

func toNumber(text string) float64 { return must(strconv.ParseFloat(text, 64)) }

func (b *bench) startAgent(make int) *user {
	u := b.newUser(make)
	b.atEnd(u.stop)
	u.start()
	u.env = append(u.env, "OIDC_SOCK="+u.sock)
	return u
}

// start starts an agent and waits for its first answer.
func (u *user) start() {
	said := string(must(u.command("oidc-agent").Output()))
	u.sock, u.pid = find("OIDC_SOCK=([^;]+);", said), int(toNumber(find(`OIDCD_PID=(\d+)`, said)))
	awaitAnswer(u.sock)
}

func awaitAnswer(sock string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		if _, err := ask(sock, []byte(`{"request":"loaded_accounts"}`)); err == nil {
			return
		} else if time.Now().After(deadline) {
			check(fmt.Errorf("nobody answers: %w", err))
		}
	}
}

// stop ends the agent and waits for its end.
func (u *user) stop() {
	pids := u.pids()
	u.pid = 0
	kill := func(signal syscall.Signal) {
		for _, pid := range pids {
			syscall.Kill(pid, signal)
		}
	}
	kill(syscall.SIGTERM)
	for range 2000 {
		if !slices.ContainsFunc(pids, isAlive) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	kill(syscall.SIGKILL)
}

func isAlive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(text, []byte(") Z "))
}

// pids returns the agent's processes: C's agent has two.
func (u *user) pids() []int {
	if u.pid == 0 {
		return nil
	}
	return append([]int{u.pid}, children(u.pid)...)
}

func children(parent int) (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	for child := range strings.FieldsSeq(string(text)) {
		pids = append(pids, int(toNumber(child)))
	}
	return pids
}

func (u *user) loadMany(p *provider, from, to int) {
	for i := from; i < to; i++ {
		u.load(p.account(fmt.Sprintf("account%d", i)))
	}
}

// load loads an account without a file into the agent, which includes a refresh.
func (u *user) load(a *account.Account) {
	u.add(cjson.New().SetText("request", "add").SetObject("config", a.Object()))
}

func (u *user) add(request *cjson.Object) {
	find("(success)", string(must(ask(u.sock, request.Compact()))))
}

// file writes an account file in a format and returns its path.
func (u *user) file(a *account.Account, format crypt.Format) (path string, key *crypt.Key) {
	key = must(crypt.NewKey(secret.FromString(password), format))
	text := must(key.Encrypt(context.Background(), a.Object().Layout()))
	path = filepath.Join(u.home, ".config", "oidc-agent", a.Name)
	check(os.WriteFile(path, text, 0o600))
	return path, key
}

// loadFromFile loads an account into the agent, with the file for new refresh tokens.
func (u *user) loadFromFile(a *account.Account) {
	if u.make == peer {
		u.file(a, crypt.FormatC)
		u.run("oidc-add", "--pw-store", "--pw-file="+u.home+"/pw", a.Name)
		return
	}
	path, key := u.file(a, crypt.FormatScrypt)
	u.add(cjson.New().SetText("request", "add").SetObject("config", a.Object()).
		SetObject("file_key", cjson.New().SetText("file", path).SetSecret("key", key.Marshal())))
}
