package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
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
	cert   string // a file with its certificate, if it speaks TLS
	ours   string // the refresh token of direct
}

// newProvider starts an IAM; delay is how far away it is, each way, by TLS then.
func (b *bench) newProvider(delay time.Duration, settings iam.Settings) *provider {
	key := must[*ecdsa.PrivateKey](b)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	config := iam.Config{Settings: settings, Alg: iam.ES256, Key: key, Clients: []iam.Client{{
		ClientID: "bench", ClientSecret: "words", GrantTypes: []string{"password", "refresh_token"},
	}}}
	p := &provider{b: b, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 10}}}
	if delay == 0 {
		p.Server = must[*iam.Server](b)(iam.Start(config))
		p.issuer = p.Issuer()
		b.atEnd(func() { p.Server.Close() })
		return p
	}
	front := must[net.Listener](b)(net.Listen("tcp", "127.0.0.1:0"))
	b.atEnd(func() { front.Close() })
	p.issuer = "https://" + front.Addr().String() + "/"
	config.Issuer = p.issuer
	p.Server = must[*iam.Server](b)(iam.New(config))
	server := httptest.NewUnstartedServer(p.Server)
	server.EnableHTTP2 = true
	server.StartTLS()
	b.atEnd(server.Close)
	go proxy(front, server.Listener.Addr().String(), delay)
	p.client = server.Client()
	p.cert = filepath.Join(b.tempDir(), "ca.pem")
	b.check(os.WriteFile(p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
	return p
}

// grant is one request at the token endpoint, straight from here.
func (p *provider) grant(form url.Values) (refreshToken string) {
	form.Set("client_id", "bench")
	form.Set("client_secret", "words")
	response := must[*http.Response](p.b)(p.client.PostForm(p.issuer+"token", form))
	defer response.Body.Close()
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	text := must[[]byte](p.b)(io.ReadAll(response.Body))
	p.b.check(json.Unmarshal(text, &answer))
	if answer.RefreshToken == "" {
		p.b.check(fmt.Errorf("no refresh token: %s", text))
	}
	return answer.RefreshToken
}

const scope = "openid profile offline_access storage.read:/ compute.read compute.modify"

// newRefreshToken logs in.
func (p *provider) newRefreshToken(scope string) string {
	return p.grant(url.Values{"grant_type": {"password"}, "username": {"alice"}, "password": {"alice"}, "scope": {scope}})
}

// direct is a refresh without an agent: the provider's own time.
func (p *provider) direct() {
	if p.ours == "" {
		p.ours = p.newRefreshToken(scope)
	}
	p.ours = p.grant(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {p.ours}})
}

// grants counts the requests at the token endpoint while something happens.
func (p *provider) grants(while func()) float64 {
	before := p.Counters()["POST token"]
	while()
	return float64(p.Counters()["POST token"] - before)
}

// account is a new one that nobody has a file of.
func (p *provider) account(name string) *account.Account {
	return &account.Account{
		Name: name, ClientName: "oidc-agent:" + name, IssuerURL: p.issuer, AuthScope: scope, RefreshScope: scope, CertPath: p.cert,
		ClientID: "bench", ClientSecret: secret.FromString("words"), RefreshToken: secret.FromString(p.newRefreshToken(scope)),
		RedirectURIs: []string{"http://localhost:4242"},
	}
}

// proxy hands connections on. Each piece of what is said arrives later, by the same time.
func proxy(front net.Listener, to string, delay time.Duration) {
	type piece struct {
		due  time.Time
		data []byte
	}
	pass := func(from, to net.Conn) {
		pieces := make(chan piece, 1000)
		go func() {
			defer close(pieces)
			for buf := make([]byte, 65536); ; {
				n, err := from.Read(buf)
				if n > 0 {
					pieces <- piece{time.Now().Add(delay), bytes.Clone(buf[:n])}
				}
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
	for {
		near, err := front.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			near.Close()
			continue
		}
		go pass(near, far)
		go pass(far, near)
	}
}

func (b *bench) tempDir() string {
	dir := must[string](b)(os.MkdirTemp("", "bench-"))
	b.atEnd(func() { os.RemoveAll(dir) })
	return dir
}

// A user has a home and the programs of one make, and perhaps an agent.
type user struct {
	b    *bench
	make maker
	home string
	env  []string
	sock string
	pid  int
}

type maker int

const (
	us maker = iota
	kit
)

var makers = [...]maker{us, kit}

func (b *bench) newUser(m maker) *user {
	u := &user{b: b, make: m, home: b.tempDir()}
	b.check(os.MkdirAll(filepath.Join(u.home, ".config", "oidc-agent"), 0o700))
	b.check(os.WriteFile(filepath.Join(u.home, "pw"), []byte(password+"\n"), 0o600))
	u.env = []string{"HOME=" + u.home, "TMPDIR=" + u.home, "LC_ALL=C", "PATH=/usr/bin:/bin"}
	return u
}

// program is the path of a program.
func (u *user) program(name string) string {
	if u.make == kit {
		return "/usr/bin/" + name
	}
	return must[string](u.b)(filepath.Abs(filepath.Join(u.b.bin, name)))
}

func (b *bench) floor(name string) string {
	return must[string](b)(filepath.Abs(filepath.Join(b.bin, "bench", name)))
}

// run runs a program of the user's that must succeed.
func (u *user) run(name string, args ...string) string {
	cmd := exec.Command(u.program(name), args...)
	cmd.Env = u.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.b.check(fmt.Errorf("%q: %w: %s", cmd.Args, err, out))
	}
	return string(out)
}

var started = regexp.MustCompile(`OIDC_SOCK=([^;]+);[\s\S]*OIDCD_PID=(\d+)`)

// startAgent starts an agent and waits for its first answer.
func (b *bench) startAgent(m maker) *user {
	u := b.newUser(m)
	b.atEnd(u.stop)
	u.start()
	u.env = append(u.env, "OIDC_SOCK="+u.sock)
	return u
}

func (u *user) start() {
	output := must[[]byte](u.b)((&exec.Cmd{Path: u.program("oidc-agent"), Args: []string{"oidc-agent"}, Env: u.env}).Output())
	found := started.FindStringSubmatch(string(output))
	if found == nil {
		u.b.check(fmt.Errorf("the agent says %q", output))
	}
	u.sock = found[1]
	u.pid, _ = strconv.Atoi(found[2])
	u.b.awaitAnswer(u.sock)
}

func (b *bench) awaitAnswer(sock string) {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Microsecond) {
		if _, err := ask(sock, []byte(`{"request":"loaded_accounts"}`)); err == nil {
			return
		} else if time.Now().After(deadline) {
			b.check(fmt.Errorf("nobody answers: %w", err))
		}
	}
}

// stop ends the agent and waits until it has gone.
func (u *user) stop() {
	pids := u.pids()
	u.pid = 0
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	for range 2000 {
		alive := false
		for _, pid := range pids {
			alive = alive || syscall.Kill(pid, 0) == nil && !isZombie(pid)
		}
		if !alive {
			return
		}
		time.Sleep(time.Millisecond)
	}
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func isZombie(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return bytes.Contains(text, []byte(") Z "))
}

// pids are the agent's processes: C's are two.
func (u *user) pids() []int {
	if u.pid == 0 {
		return nil
	}
	return append([]int{u.pid}, children(u.pid)...)
}

func children(parent int) (pids []int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	for _, child := range strings.Fields(string(text)) {
		pid, _ := strconv.Atoi(child)
		pids = append(pids, pid)
	}
	return pids
}

func (u *user) loadMany(p *provider, from, to int) {
	for i := from; i < to; i++ {
		u.load(p.account(fmt.Sprintf("account%d", i)))
	}
}

// load gives an account to the agent without a file. A refresh is part of it.
func (u *user) load(a *account.Account) {
	u.add(cjson.New().SetText("request", "add").SetObject("config", a.Object()))
}

func (u *user) add(request *cjson.Object) {
	answer, err := ask(u.sock, request.Compact())
	if err == nil && !bytes.Contains(answer, []byte("success")) {
		err = errors.New(string(answer))
	}
	u.b.check(err)
}

// file writes an account's file in a format and returns its path.
func (u *user) file(a *account.Account, format crypt.Format) (path string, key *crypt.Key) {
	key = must[*crypt.Key](u.b)(crypt.NewKey(secret.FromString(password), format))
	text := must[[]byte](u.b)(key.Encrypt(a.Object().Layout()))
	path = filepath.Join(u.home, ".config", "oidc-agent", a.Name)
	u.b.check(os.WriteFile(path, text, 0o600))
	return path, key
}

// loadFromFile gives an account to the agent with the file that new refresh tokens go into.
func (u *user) loadFromFile(a *account.Account) {
	if u.make == kit {
		u.file(a, crypt.FormatC)
		u.run("oidc-add", "--pw-store", "--pw-file="+u.home+"/pw", a.Name)
		return
	}
	path, key := u.file(a, crypt.FormatScrypt)
	u.add(cjson.New().SetText("request", "add").SetObject("config", a.Object()).
		SetObject("file_key", cjson.New().SetText("file", path).SetSecret("key", key.Marshal())))
}
