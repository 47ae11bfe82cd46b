package interop

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const recordings = "testdata/transcripts/5.3.3"

// atOnce is the number of concurrent tests, which mostly wait.
const atOnce = 4

// TestReplay repeats every recorded session with our programs and compares the
// results: stdout and exit code must be equal, stderr and screen must mean the same
// (meaning_test.go). The exceptions, with reasons, are in deliberate_test.go.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	cases := make(chan transcript)
	var running sync.WaitGroup
	for range atOnce {
		running.Go(func() {
			for tr := range cases {
				t.Run(tr.name, func(t *testing.T) { w.replay(t, tr) })
			}
		})
	}
	all := loadTranscripts(t, recordings)
	checkDeliberates(t, all)
	for _, tr := range all {
		cases <- tr
	}
	close(cases)
	running.Wait()
	if w.transcripts.sum() == len(all) { // without -run
		checkMeanings(t)
	}
	t.Logf("transcripts: %v", &w.transcripts)
	t.Logf("commands: %v", &w.commands)
	t.Logf("outputs (stdout, stderr, screens, exit codes): %v", &w.outputs)
}

// checkDeliberates refuses entries that cannot be used.
func checkDeliberates(t *testing.T, all []transcript) {
	for _, d := range deliberates {
		i := slices.IndexFunc(all, func(tr transcript) bool { return tr.name == d.name })
		if i < 0 || d.command < 1 || d.command > len(all[i].commands) || d.reason == "" || len(d.ours) == 0 {
			t.Errorf("deliberate difference %s, command %d: no such command, or no reason", d.name, d.command)
		}
	}
}

// A verdict is about a command, or the worst command of a transcript.
type verdict int

const (
	equal verdict = iota
	meant         // different, and listed in deliberates
	different
)

// A tally counts verdicts.
type tally [3]atomic.Int32

func (c *tally) sum() int {
	return int(c[equal].Load() + c[meant].Load() + c[different].Load())
}

func (c *tally) String() string {
	e, m, d := c[equal].Load(), c[meant].Load(), c[different].Load()
	return fmt.Sprintf("%d, of them %d equal (%.1f %%), %d different on purpose, %d different",
		c.sum(), e, 100*float64(e)/float64(max(1, c.sum())), m, d)
}

// replay runs one transcript in a new home.
func (w *world) replay(t *testing.T, tr transcript) {
	worst := equal
	defer func() { w.transcripts[worst].Add(1) }()
	s, err := w.newStage(tr)
	if err == nil {
		defer s.close()
		err = s.prepare(tr)
	}
	if err != nil {
		worst = different
		t.Error(err)
		return
	}
	for i, c := range tr.commands {
		o, err := s.run(c, limit(tr.name, i+1, c))
		v := w.compare(t, tr, i+1, o, s.values)
		if err != nil {
			v = different
			t.Errorf("command %d: $ %s: %v", i+1, c.line, err)
		}
		w.commands[v].Add(1)
		worst = max(worst, v)
	}
}

var stillRunning = regexp.MustCompile(`^none: still running after (\d+) s$`)

// limit returns how long a command may run. One that does not end, as recorded or as
// listed in deliberates, runs as long as that says.
func limit(name string, number int, c command) time.Duration {
	exit := c.exit
	if _, ours, known := deliberately(name, number, "exit"); known {
		exit = ours
	}
	m := stillRunning.FindStringSubmatch(exit)
	if m == nil {
		return patience
	}
	seconds, _ := strconv.Atoi(m[1])
	return time.Duration(seconds) * time.Second
}

// compare compares the results of a command with the recorded ones.
func (w *world) compare(t *testing.T, tr transcript, number int, o outcome, values map[string]string) (worst verdict) {
	c := tr.commands[number-1]
	recorded := maps.Clone(c.streams)
	recorded["exit"] = c.exit
	for stream, text := range recorded {
		same := map[string]comparison{"stdout": sameOutput, "exit": matches}[stream]
		if same == nil {
			same = sameMessages
		}
		got := cleaned(o.streams[stream])
		ok, err := same(text, got, values)
		if err != nil {
			t.Fatalf("command %d, %s: %v", number, stream, err)
		}
		d, ours, onPurpose := deliberately(tr.name, number, stream)
		v := equal
		switch {
		case !onPurpose && !ok:
			v = different
			t.Errorf("command %d: $ %s\n--- %s, recorded\n%s\n--- %s, ours\n%s", number, c.line, stream, text, stream, got)
		case onPurpose && ok:
			v = different
			t.Errorf("command %d, %s: no longer different: %s", number, stream, d.reason)
		case onPurpose:
			v = meant
			if re := regexp.MustCompile(`\A(?:` + expand(ours, values) + `)\n?\z`); !re.MatchString(got) {
				v = different
				t.Errorf("command %d, %s: differs otherwise than meant (%s): %s\nwant %s", number, stream, d.reason, got, re)
			}
		}
		w.outputs[v].Add(1)
		worst = max(worst, v)
	}
	return worst
}
