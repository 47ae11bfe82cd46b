package e2e

import (
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// spread is the longest time between the refresh request at the provider and the kill. It covers the moments
	// in which the new refresh token is on its way to the disk.
	spread = 3 * time.Millisecond
	// withPassword: after every so many crashes oidc-add loads the account, which takes most of a round to derive
	// the key from the password.
	withPassword = 25
)

// TestCrash kills an agent with SIGKILL while it exchanges its refresh token for a new one, again and again. The next
// agent loads the account from its file and continues. That fails in one window only: after the provider has
// answered and before the new token is in the file. KILLS sets the number of kills; see ./build.sh crash.
func TestCrash(t *testing.T) {
	t.Parallel()
	kills := 50
	if n, err := strconv.Atoi(os.Getenv("KILLS")); err == nil {
		kills = n
	}
	s := newSite(t)
	s.measureWindow(max(100, kills/2))
	var c crashes
	for i := range kills {
		s.crash(i, &c)
	}
	t.Logf("%d kills: %d before the provider had the refresh token, %d with the new one on disk (%d of them before anyone had its access token), %d in between",
		kills, c.early, c.saved, c.unseen, c.window)
	if c.saved == 0 || c.window == kills {
		t.Error("no kill came late enough to prove anything")
	}
}

// crashes counts the kills by the moment they came at.
type crashes struct {
	early  int // the provider did not get the refresh token, or did nothing yet
	saved  int // the new refresh token is in the file
	unseen int // the same, but the agent did not hand out the access token
	window int // the provider has answered, but the file has the old one: the user must log in again
}

// crash is one round: an agent continues after the last crash, and is killed.
func (s *site) crash(round int, c *crashes) {
	n := s.boot("node")
	if round%withPassword == 0 {
		n.add()
	} else {
		n.load()
	}
	_, before := s.tokens()
	if s.saved() != before {
		s.Fatalf("round %d: the agent has loaded the account, and its new refresh token is not in the file", round)
	}
	if left := s.temps(); len(left) > 0 {
		s.Fatalf("round %d: temporary files stay behind: %q", round, left)
	}
	// One in eight kills does not wait for the provider.
	handedOut := n.killDuringRefresh(round%8 != 0)
	s.settle()
	last, newest := s.tokens()
	switch saved := s.saved(); {
	case newest == before && saved == before && !handedOut:
		c.early++
	case saved == newest:
		c.saved++
		if !handedOut {
			c.unseen++
		}
	case saved == last && last == before && !handedOut:
		c.window++
		s.login()
	default:
		s.Fatalf("round %d: the new refresh token is lost; its access token was handed out: %t", round, handedOut)
	}
}

// killDuringRefresh kills the agent at a random moment after it, or the provider, was asked for a new token. It
// reports whether the agent handed out the token before that.
func (n *node) killDuringRefresh(atProvider bool) (handedOut bool) {
	asked, answered := make(chan struct{}, 10), make(chan error, 1)
	n.onRefresh(func(http.ResponseWriter) bool { asked <- struct{}{}; return false })
	go func() {
		_, err := n.ask(forced())
		answered <- err
	}()
	if atProvider {
		<-asked
	}
	moment := unix.NsecToTimespec(rand.Int64N(int64(spread)))
	unix.Nanosleep(&moment, nil) // time.Sleep is too coarse, about a millisecond
	n.kill()
	n.onRefresh(nil)
	return <-answered == nil
}

// measureWindow measures how long a new refresh token is only in the agent's memory: from the provider's answer to the
// rename.
func (s *site) measureWindow(rotations int) {
	n := s.boot("node")
	n.load()
	renamed := watchFile(s.T, s.file, unix.IN_MOVED_TO)
	windows := make([]time.Duration, rotations)
	for i := range windows {
		n.must(forced())
		windows[i] = renamed.next().Sub(s.leftAt())
	}
	n.kill()
	slices.Sort(windows)
	s.Logf("from the provider's answer to the rename, over %d rotations: median %v, 90 %% %v, longest %v", rotations,
		windows[rotations/2].Round(time.Microsecond), windows[rotations*9/10].Round(time.Microsecond), windows[rotations-1].Round(time.Microsecond))
}
