package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// No way of printing a struct with a Secret shows its bytes.
func TestSecretDoesNotPrint(t *testing.T) {
	type account struct {
		Name   string
		Token  Secret
		hidden Secret
		list   []Secret
	}
	a := account{"demo", FromString("hunter2"), FromString("hunter2"), []Secret{FromString("hunter2")}}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "account", a, "token", a.Token)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "account", a, "token", a.Token)
	texts := []string{logged.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, a), fmt.Sprintf(verb, a.Token), fmt.Sprintf(verb, &a))
	}
	for _, text := range texts {
		for _, form := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117 110"} {
			if strings.Contains(text, form) {
				t.Errorf("%q shows the secret as %q", text, form)
			}
		}
	}
	if out, err := json.Marshal(a); err == nil {
		t.Errorf("json.Marshal wrote %s, want an error", out)
	}
}

func TestWipeReachesEveryCopy(t *testing.T) {
	b := []byte("hunter2")
	s := New(b)
	copied, clone := s, s.Clone()
	s.Wipe()
	if !copied.IsEmpty() || string(b) != strings.Repeat("\x00", len(b)) {
		t.Errorf("after Wipe the copy has %d bytes and the buffer is %q", copied.Len(), b)
	}
	if string(clone.Reveal()) != "hunter2" {
		t.Errorf("the clone was wiped as well: %q", clone.Reveal())
	}
}

// A buffer that is too small is wiped when its content moves.
func TestGrow(t *testing.T) {
	small := append(make([]byte, 0, 10), "hunter2"...)
	same := append(Grow(small, 3), "abc"...)
	if &same[0] != &small[0] {
		t.Error("moved though there is room")
	}
	grown := Grow(same, 1)
	if string(same) != strings.Repeat("\x00", 10) || string(grown) != "hunter2abc" || cap(grown) < 20 {
		t.Errorf("the old buffer holds %q, the new one %q of %d", same, grown, cap(grown))
	}
}
