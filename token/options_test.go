package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"oidc-agent/proto/cli"
)

// TestParseRefuses: options that contradict each other are refused.
func TestParseRefuses(t *testing.T) {
	t.Setenv("OIDC_CONFIG_DIR", t.TempDir())
	for line, code := range map[string]int{
		"--decode --outfile demo": cli.CodeUsage, "--decode -a demo": cli.CodeUsage, "--outfile -c demo": cli.CodeUsage,
		"--outfile -oX demo": cli.CodeUsage, "demo other": cli.CodeUsage, "-m demo": cli.CodeError,
		"--outfile --decode=x demo": cli.CodeUsage, "--outfile=x demo": 0, "--decode -": 0, "-a -c demo": 0,
	} {
		_, err := parse(strings.Fields(line))
		if got := cli.Report(io.Discard, io.Discard, err); got != code {
			t.Errorf("%q: %v, code %d, want %d", line, err, got, code)
		}
	}
}

// FuzzParse: every command line is accepted, answered with a help text, or refused with a usage error.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"demo", "-c -t 60 demo", "--aud x --scope=y -s z https://iam.example/", "-oX -iY --all x", "-m x", "--time x"} {
		f.Add(line)
	}
	f.Setenv("OIDC_CONFIG_DIR", f.TempDir())
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parse(strings.Fields(line))
		if exit := new(cli.ExitError); err != nil && !errors.As(err, &exit) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && (r.minValid < 0 || !strings.Contains(line, r.name)) {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
