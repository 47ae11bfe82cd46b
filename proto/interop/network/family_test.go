package network

import (
	"strings"
	"testing"
	"time"
)

// TestFamilies: networks with only one address family, and a name with addresses of both, of which one is unreachable.
func TestFamilies(t *testing.T) {
	t.Parallel()
	const near, far = "192.0.2.1/24 2001:db8::1/64", "192.0.2.2/24 2001:db8::2/64"
	for _, c := range []struct{ name, near, far, alive, dead string }{
		{"IPv4", "192.0.2.1/24", "192.0.2.2/24", "192.0.2.2", ""},
		{"IPv6", "2001:db8::1/64", "2001:db8::2/64", "2001:db8::2", ""},
		{"IPv6 is dead", near, far, "192.0.2.2", "2001:db8::d1 2001:db8::d2 2001:db8::d3"},
		{"IPv4 is dead", near, far, "2001:db8::2", "192.0.2.97 192.0.2.98 192.0.2.99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var hosts strings.Builder
			for _, address := range strings.Fields(c.dead + " " + c.alive) {
				hosts.WriteString(address + " idp.example\n")
			}
			near, far := newMachine(t, "near.example", hosts.String()), newMachine(t, "idp.example", "127.0.0.1 idp.example\n")
			link(near, far, c.near, c.far)
			for _, dead := range strings.Fields(c.dead) { // a link address without a machine: no answer, not an error
				near.run("ip", "neighbour", "add", dead, "lladdr", "02:00:00:00:00:01", "dev", "cable")
			}
			ca := far.provider(":443")
			// RFC 8305: without concurrent attempts, three unreachable addresses take 7.5 seconds.
			if cost := near.generating(ca) - far.generating(ca); cost > 5*time.Second {
				t.Errorf("the dead addresses cost %v", cost)
			}
		})
	}
}

// generating makes an account with a new agent, which has no connections, and returns the time that takes.
func (m *machine) generating(ca string) time.Duration {
	m.t.Helper()
	_, variables := m.agent()
	started := time.Now()
	m.run(generate(variables, "--cp="+ca)...)
	took := time.Since(started)
	m.wantToken(variables)
	return took
}
