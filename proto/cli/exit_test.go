package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	failed := errors.New("invalid_grant: expired")
	usage := tokenProgram(new(result)).Refuse("unrecognized option '--nosuch'")
	const try = "Try `oidc-token --help' or `oidc-token --usage' for more information.\n"
	for _, c := range []struct {
		name           string
		err            error
		code           int
		stdout, stderr string
	}{
		{"nil", nil, 0, "", ""},
		{"output", &ExitError{Err: errors.New("text\n")}, 0, "text\n", ""},
		{"plain", failed, 1, "", "Error: invalid_grant: expired\n"},
		{"no hint", WithHint(failed, ""), 1, "", "Error: invalid_grant: expired\n"},
		{"hint", WithHint(failed, "log in again"), 1, "", "Error: invalid_grant: expired\nlog in again\n"},
		{"hints", WithHint(fmt.Errorf("account \"demo\": %w", WithHint(failed, "inner\n")), "outer"), 1, "",
			"Error: account \"demo\": invalid_grant: expired\nouter\ninner\n"},
		{"usage", usage, 64, "", "oidc-token: unrecognized option '--nosuch'\n" + try},
		{"usage with another code", &ExitError{Code: 2, Err: usage}, 2, "", "oidc-token: unrecognized option '--nosuch'\n" + try},
		{"operands", tokenProgram(new(result)).WrongOperands(), 64, "",
			"Usage: oidc-token [OPTION...] ACCOUNT_SHORTNAME | ISSUER_URL\n" + try},
		{"code", &ExitError{Code: 3, Err: WithHint(failed, "hint")}, 3, "", "Error: invalid_grant: expired\nhint\n"},
		{"code alone", &ExitError{Code: 130}, 130, "", ""},
		{"controls", errors.New("a\x1b[2Jb\x07c\td\ne\u009bf\xffé"), 1, "", "Error: a\\x1b[2Jb\\ac\td\ne\\u009bf\ufffdé\n"},
	} {
		var stdout, stderr strings.Builder
		code := Report(&stdout, &stderr, c.err)
		if code != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: got code %d, stdout %q, stderr %q", c.name, code, stdout.String(), stderr.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// It is an error if a help text cannot be written.
func TestReportCannotPrint(t *testing.T) {
	t.Parallel()
	var stderr strings.Builder
	if code := Report(fullDisk{}, &stderr, &ExitError{Err: errors.New("text")}); code != 1 || stderr.String() != "Error: no space left on device\n" {
		t.Errorf("got code %d, stderr %q", code, stderr.String())
	}
}
