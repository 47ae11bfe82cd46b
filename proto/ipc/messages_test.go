package ipc

import (
	"errors"
	"fmt"
	"testing"

	"oidc-agent/proto/cjson"
)

func parse(t *testing.T, text string) *cjson.Object {
	t.Helper()
	o, err := cjson.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ answer, text, info string }{
		{`{"status":"success"}`, "", ""},
		{`{"status":"success","info":"Agent locked"}`, "", ""},
		{`{"status":"accepted","uri":"x"}`, "", ""},
		{`{"status":"NotFound","info":"No loaded account info found"}`, "", ""},
		{`{"status":"failure","error":"invalid_grant: expired","info":"Try\noidc-gen"}`, "invalid_grant: expired", "Try\noidc-gen"},
		{`{"status":"failure"}`, "the agent reported a failure without a reason", ""},
		{`{"error":"not found"}`, "not found", ""},
	} {
		err := Check(parse(t, c.answer))
		var failure *Failure
		if (err != nil) != (c.text != "") || errors.As(err, &failure) && (failure.Text != c.text || failure.Hint() != c.info) {
			t.Errorf("%s: got %#v", c.answer, err)
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	f := &Failure{Text: "Agent locked", Info: "unlock it"}
	if got := string(f.Encode().Compact()); got != `{"status":"failure","error":"Agent locked","info":"unlock it"}` {
		t.Errorf("got %s", got)
	}
	wrapped := fmt.Errorf("account %q: %w", "demo", Check(f.Encode()))
	if !errors.Is(wrapped, ErrLocked) || errors.Is(wrapped, ErrNotLoaded) {
		t.Errorf("%v is taken for another failure", wrapped)
	}
	if got := string(Success("").Compact()) + string(Success("a").Compact()); got != `{"status":"success"}{"status":"success","info":"a"}` {
		t.Errorf("got %s", got)
	}
}

func TestFlag(t *testing.T) {
	t.Parallel()
	if yes, no := Flag(true), Flag(false); yes != 1 || no != 0 {
		t.Errorf("got %d and %d", yes, no)
	}
}
