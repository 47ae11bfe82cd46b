package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// acceptedOnly are the options of the C programs that ours accept but do not implement, and why.
var acceptedOnly = map[string]string{
	"oidc-agent --seccomp":           "Go's runtime needs other system calls than the C agent's list has; the agent does without a filter",
	"oidc-add --seccomp":             "as for oidc-agent",
	"oidc-gen --seccomp":             "as for oidc-agent",
	"oidc-token --seccomp":           "as for oidc-agent",
	"oidc-agent --pw-store":          "the agent keeps each file's key, so no password has to be kept",
	"oidc-add --pw-store":            "as for oidc-agent; a C agent is told",
	"oidc-add --pw-keyring":          "as for oidc-agent: nothing has to be kept in a keyring",
	"oidc-add --pw-gpg":              "a gpg file is opened by gpg itself, with whatever key it asks for",
	"oidc-gen --debug":               "these programs log nothing; oidc-agent --debug does",
	"oidc-add --debug":               "as for oidc-gen",
	"oidc-gen --mytoken":             "refused with the reason: mytoken is not supported yet",
	"oidc-gen --mytoken-profile":     "refused with the reason: mytoken is not supported yet",
	"oidc-gen --mytoken-url":         "refused with the reason: mytoken is not supported yet",
	"oidc-gen --mytoken-issuer":      "refused with the reason: mytoken is not supported yet",
	"oidc-token --mytoken":           "refused with the reason: mytoken is not supported yet",
	"oidc-token --MT":                "refused with the reason: mytoken is not supported yet",
	"oidc-token -m":                  "refused with the reason: mytoken is not supported yet",
	"oidc-token -m1":                 "refused with the reason: mytoken is not supported yet",
	"oidc-agent --restart-on-update": "the agent holds secrets that only its user can give back; it goes on with the old program until it is ended",
}

// usageItem is one option of a usage text: -x or --name, then nothing, =ARG or [=ARG].
var usageItem = regexp.MustCompile(`\[(--[\w-]+)(\[?=[^\]]+\]?)?\]|\[(-\w) \w+\]|\[(-\w)\[\w+\]\]|\[-([\w?]{2,})\]`)

// sample returns an argument that is valid for an option.
func sample(argument string) string {
	switch {
	case strings.Contains(argument, "cli|gui"):
		return "cli"
	case strings.Contains(argument, "code|"):
		return "device"
	case strings.Contains(argument, "OIDC_REFRESH_TOKEN"):
		return "HOME" // a variable that is set
	}
	return "1"
}

// TestOptionsOfC: every option in the recorded help texts of both C versions is an option of ours, with an argument if
// it has one there.
func TestOptionsOfC(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/help/*/*.txt")
	if err != nil || len(files) != 8 {
		t.Fatalf("%d help texts, %v", len(files), err)
	}
	bin := binaries(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		program := strings.TrimSuffix(filepath.Base(file), ".txt")
		_, usage, _ := strings.Cut(string(text), "--usage\n--- stdout\n")
		usage, _, _ = strings.Cut(usage, "--- stderr")
		for _, words := range optionWords(usage) {
			// If the program knows the options before --version, it prints its version.
			cmd := exec.Command(filepath.Join(bin, program), append(words, "--version")...)
			cmd.Env = []string{"HOME=" + t.TempDir()}
			out, err := cmd.CombinedOutput()
			name, _, _ := strings.Cut(words[0], "=")
			if strings.Contains(acceptedOnly[program+" "+name], "refused") {
				if !strings.Contains(string(out), "not supported yet") {
					t.Errorf("%s: %s %s: %s", file, program, words, out)
				}
				continue
			}
			if err != nil || !strings.HasPrefix(string(out), program+" ") {
				t.Errorf("%s: %s %s: %v, %s", file, program, words, err, out)
			}
		}
	}
}

// optionWords returns a command line for each form of an option in the usage text.
func optionWords(usage string) (all [][]string) {
	for _, m := range usageItem.FindAllStringSubmatch(usage, -1) {
		long, argument, separate, attached, flags := m[1], m[2], m[3], m[4], m[5]
		switch {
		case long == "--help" || long == "--usage" || long == "--version":
		case strings.HasPrefix(argument, "[="):
			all = append(all, []string{long + "=" + sample(argument)})
			if !strings.Contains(argument, "OIDC_REFRESH_TOKEN") {
				all = append(all, []string{long})
			}
		case argument != "":
			all = append(all, []string{long + "=" + sample(argument)}, []string{long, sample(argument)})
		case long != "":
			all = append(all, []string{long})
		case separate != "":
			all = append(all, []string{separate, sample(m[0])})
		case attached != "":
			all = append(all, []string{attached}, []string{attached + "1"})
		}
		for _, letter := range flags {
			if letter != '?' && letter != 'V' {
				all = append(all, []string{"-" + string(letter)})
			}
		}
	}
	return all
}
