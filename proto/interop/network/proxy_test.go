package network

import (
	"os"
	"strings"
	"testing"
)

const proxyPassword = "proxy-secret"

// TestProxy: a machine that can reach the provider only through a proxy (tinyproxy).
func TestProxy(t *testing.T) {
	t.Parallel()
	near := newMachine(t, "near.example", "192.0.2.2 proxy.example\n")
	far := newMachine(t, "idp.example", "127.0.0.1 idp.example\n")
	link(near, far, "192.0.2.1/24", "192.0.2.2/24")
	ca := far.provider("127.0.0.1:443")
	far.tinyproxy("8001", "")
	far.tinyproxy("8002", "BasicAuth eve "+proxyPassword)
	forbidden := far.write("forbidden", "idp.example\n")
	if err := os.Chmod(forbidden, 0o644); err != nil {
		t.Fatal(err)
	}
	far.tinyproxy("8003", "Filter \""+forbidden+"\"")

	_, good := near.agent("HTTPS_PROXY=http://proxy.example:8001")
	near.run(generate(good, "--cp="+ca)...)
	near.wantToken(good)
	// The agent talks to providers, so the variables in its environment matter.
	near.wantToken(append(good, "HTTPS_PROXY=http://proxy.example:9"))
	log, withPassword := near.agent("https_proxy=http://eve:" + proxyPassword + "@proxy.example:8002")
	near.run(generate(withPassword, "--cp="+ca)...)
	near.wantToken(withPassword)
	checkHidden(t, log.said())

	for proxy, want := range map[string]string{
		"http://proxy.example:8002":                                 "(through the proxy proxy.example:8002): the proxy asks for a user name and password",
		"http://eve:wrong-" + proxyPassword + "@proxy.example:8002": "(through the proxy proxy.example:8002): the proxy does not accept the user name and password",
		"http://proxy.example:8003":                                 "(through the proxy proxy.example:8003): the proxy does not allow it",
		"http://eve:" + proxyPassword + "@proxy.example:9":          "could not connect to the proxy proxy.example:9 (for idp.example): connection refused",
		"http://eve:" + proxyPassword + "@absent.example:8001":      "could not connect to the proxy absent.example:8001 (for idp.example): ",
		"http://eve:%" + proxyPassword + "x@proxy.example:8002":     "could not connect to idp.example: HTTPS_PROXY is not a URL",
	} {
		log, variables := near.agent("HTTPS_PROXY=" + proxy)
		said := near.fail(generate(variables, "--cp="+ca)...)
		wantText(t, said, want)
		checkHidden(t, said+log.said())
	}
}

// TestNoProxy: the provider is reachable, the proxy is not.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	near := newMachine(t, "near.example", "192.0.2.2 idp.example proxy.example\n")
	far := newMachine(t, "idp.example", "")
	link(near, far, "192.0.2.1/24", "192.0.2.2/24")
	ca := far.provider("192.0.2.2:443")
	for _, exempt := range []string{"NO_PROXY=other.example,.example", "no_proxy=idp.example:443", "NO_PROXY=*"} {
		_, variables := near.agent("HTTPS_PROXY=http://proxy.example:9", exempt)
		near.run(generate(variables, "--cp="+ca)...)
		near.wantToken(variables)
	}
	_, variables := near.agent("HTTPS_PROXY=http://proxy.example:9", "NO_PROXY=other.example")
	wantText(t, near.fail(generate(variables, "--cp="+ca)...), "could not connect to the proxy proxy.example:9")
}

func (m *machine) tinyproxy(port, more string) {
	m.t.Helper()
	config := m.write("tinyproxy-"+port+".conf", "Port "+port+"\nTimeout 60\nMaxClients 20\nLogLevel Info\n"+more+"\n")
	m.start("Accepting connections", "tinyproxy", "-d", "-c", config)
}

func checkHidden(t *testing.T, said string) {
	t.Helper()
	if strings.Contains(said, "proxy-secret") || strings.Contains(said, "ZXZlOnBy") { // base64 of eve:pr
		t.Errorf("the proxy's password is shown:\n%s", said)
	}
}
