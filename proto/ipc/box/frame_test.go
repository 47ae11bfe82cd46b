package box

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"oidc-agent/proto/ipc"
)

// recordedExchange is what each side sent, and the fields that were recorded with it.
type recordedExchange struct {
	sent, received []string
	fields         map[string]string
}

// recorded reads a file of exchanges: lines "> TEXT" are what the client sent, "< TEXT" what the agent sent, and
// "NAME VALUE" are fields. Those before the first blank line belong to all exchanges.
func recorded(t *testing.T, name string) []recordedExchange {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var all []recordedExchange
	for _, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		e := recordedExchange{fields: map[string]string{}}
		if len(all) > 0 {
			for k, v := range all[0].fields {
				e.fields[k] = v
			}
		}
		for _, line := range strings.Split(block, "\n") {
			key, value, _ := strings.Cut(line, " ")
			switch key {
			case ">":
				e.sent = append(e.sent, value)
			case "<":
				e.received = append(e.received, value)
			default:
				e.fields[key] = value
			}
		}
		all = append(all, e)
	}
	return all
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func privateKey(t *testing.T, text string) *ecdh.PrivateKey {
	t.Helper()
	key, err := ecdh.X25519().NewPrivateKey(fromHex(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// With fixed keys and nonces both sides get the recorded bytes.
func TestStaticVectors(t *testing.T) {
	t.Parallel()
	all := recorded(t, "static.txt")
	if len(all) != 6 {
		t.Fatalf("%d blocks", len(all))
	}
	keys := all[0].fields
	client, err := newChannel(privateKey(t, keys["client_sk_hex"]), []byte(keys["server_pk_b64"]))
	if err != nil {
		t.Fatal(err)
	}
	server, err := newChannel(privateKey(t, keys["server_sk_hex"]), []byte(keys["client_pk_b64"]))
	if err != nil {
		t.Fatal(err)
	}
	if want := fromHex(t, keys["shared_key_hex"]); !bytes.Equal(client.key[:], want) || !bytes.Equal(server.key[:], want) {
		t.Fatalf("keys %x and %x, want %x", client.key, server.key, want)
	}
	for _, v := range all[1:] {
		plaintext := []byte(v.fields["plaintext"])
		if v.fields["plaintext_hex"] != "" {
			plaintext = fromHex(t, v.fields["plaintext_hex"])
		}
		got := client.sealWith([nonceSize]byte(fromHex(t, v.fields["nonce_hex"])), plaintext)
		if string(got) != v.fields["wire"] {
			t.Errorf("%s: sealed\n%s\nwant\n%s", plaintext, got, v.fields["wire"])
		}
		if opened, err := server.open([]byte(v.fields["wire"])); err != nil || !bytes.Equal(opened, plaintext) {
			t.Errorf("%s: opened %q, %v", plaintext, opened, err)
		}
	}
}

// Recorded exchanges with the C agents and the C commands, where one side's key was fixed.
func TestLiveVectors(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"live-agent-4.2.6.txt": 3, "live-agent-5.3.3.txt": 3, "live-client-4.2.6.txt": 5, "live-client-5.3.3.txt": 5,
	} {
		n := 0
		for _, e := range recorded(t, name) {
			if e.fields["request_plaintext"] == "" || len(e.sent) != 2 {
				continue
			}
			n++
			own, peer := e.fields["client_sk_hex"], e.received[0]
			if own == "" {
				own, peer = e.fields["server_sk_hex"], e.sent[0]
			}
			c, err := newChannel(privateKey(t, own), []byte(peer))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for frame, plaintext := range map[string]string{
				e.sent[1]: e.fields["request_plaintext"], e.received[1]: e.fields["response_plaintext"],
			} {
				got, err := c.open([]byte(frame))
				if err != nil || string(got) != plaintext {
					t.Errorf("%s: got %q and %v, want %q", name, got, err, plaintext)
				}
			}
		}
		if n != want {
			t.Errorf("%s: %d exchanges, want %d", name, n, want)
		}
	}
}

func TestChannelRefusesKeys(t *testing.T) {
	t.Parallel()
	own, _, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": errSuspicious, // 0
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": errSuspicious, // 1, of order 4
		"4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=": errSuspicious, // of order 8
		"X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc=": errSuspicious, // of order 8
		"7P///////////////////////////////////////38=": errSuspicious, // p-1, of order 2
		"AAAA": errMalformed,
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": errMalformed, // 33 bytes
		"============================================": errMalformed,
		"": errMalformed,
	} {
		if _, err := newChannel(own, []byte(key)); err != want {
			t.Errorf("%s: got %v, want %v", key, err, want)
		}
	}
}

// Two frames with the same key never have the same nonce.
func TestNonces(t *testing.T) {
	t.Parallel()
	c := &channel{}
	if a, b := c.seal([]byte(check)), c.seal([]byte(check)); bytes.Equal(a, b) {
		t.Errorf("sealed twice: %s", a)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	c := &channel{}
	good := string(c.sealWith([nonceSize]byte{}, []byte(`{"request":"check"}`)))
	if _, err := c.open([]byte(good)); err != nil {
		t.Fatal(err)
	}
	length, rest, _ := strings.Cut(good, ":")
	nonce, text, _ := strings.Cut(rest, ":")
	for frame, want := range map[string]error{
		"":                              errMalformed,
		length:                          errMalformed,
		length + ":" + nonce:            errMalformed,
		good + ":x":                     errMalformed,
		"18:" + rest:                    errMalformed, // not the box's length
		"35:" + rest:                    errMalformed,
		"-19:" + rest:                   errMalformed,
		"+19:" + rest:                   errMalformed,
		" 19:" + rest:                   errMalformed,
		"0x13:" + rest:                  errMalformed,
		":" + rest:                      errMalformed,
		"19::" + text:                   errMalformed,
		"19:AAAA:" + text:               errMalformed,
		"19:" + nonce + ":":             errMalformed,
		"19:" + nonce + ":" + text[:20]: errMalformed,
		"19:" + nonce + ":!" + text[1:]: errMalformed,
		"19:" + strings.Repeat("B", nonceText) + ":" + text: errDecryption,
		"19:" + nonce + ":AAAA" + text[4:]:                  errDecryption,
	} {
		if got, err := c.open([]byte(frame)); err != want {
			t.Errorf("%s: got %q and %v, want %v", frame, got, err, want)
		}
	}
	if _, err := (&channel{key: [32]byte{1}}).open([]byte(good)); err != errDecryption {
		t.Errorf("another key: %v", err)
	}
}

// The length is checked before anything is read or allocated for it.
func TestFrameRefusesLengths(t *testing.T) {
	t.Parallel()
	for _, start := range []string{"1001:", "999999999", "1001"} {
		if _, err := frameEnd(1000)([]byte(start)); err == nil || err.Error() != ipc.TooLong(1000).Error() {
			t.Errorf("%s: got %v", start, err)
		}
	}
	for _, start := range []string{"9999999999", "0000000000", "-1", "+1", "1x", ":", "hello"} {
		if _, err := frameEnd(1000)([]byte(start)); err != errMalformed {
			t.Errorf("%s: got %v", start, err)
		}
	}
}

// FuzzFrame checks that a sealed message can be read from a stream in pieces, and that anything else is refused.
func FuzzFrame(f *testing.F) {
	for _, data := range []string{"", "19:", `{"request":"check"}`, "19:AAAA:AAAA", "0:" + strings.Repeat("A", 32) + ":" + strings.Repeat("A", 24)} {
		f.Add([]byte(data))
	}
	c := &channel{key: [32]byte{1, 2, 3}}
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := c.open(data); err == nil {
			t.Errorf("%q was opened: %q", data, got)
		}
		frame, _, err := ipc.Read(iotest.OneByteReader(bytes.NewReader(data)), nil, frameEnd(1000))
		if err == nil && !bytes.HasPrefix(data, frame) {
			t.Errorf("%q: got frame %q", data, frame)
		}
		sealed := c.seal(data)
		frame, _, err = ipc.Read(iotest.OneByteReader(bytes.NewReader(append(sealed, data...))), nil, frameEnd(len(data)))
		if err != nil || !bytes.Equal(frame, sealed) {
			t.Fatalf("%q: read %q, %v", data, frame, err)
		}
		if got, err := c.open(frame); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q: got %q, %v", data, got, err)
		}
	})
}
