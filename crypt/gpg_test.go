package crypt

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The id of the sample key's encryption subkey is what gpg --list-packets shows.
func TestGPGKeyID(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"4.2.6", "5.3.3"} {
		file := []byte(mustRead(t, "testdata/"+version+"/gpg"))
		if id, err := gpgKeyID(file); err != nil || id != "A410E8ED85005732" {
			t.Errorf("%s: %q, %v", version, id, err)
		}
		if f, err := Detect(file); err != nil || f != FormatGPG {
			t.Errorf("%s: format %v, %v", version, f, err)
		}
		if got := tryOpen(string(file), "x"); got != "unknown" {
			t.Errorf("%s: a key was derived: %s", version, got)
		}
	}
}

func TestGPGKeyIDOfOtherMessages(t *testing.T) {
	t.Parallel()
	armor := func(packet string) string {
		return armorBegin + "\nComment: x\n\n" + string(encode64(unhex(t, packet))) + armorEnd + "\n"
	}
	for _, v := range []struct{ what, file, want string }{
		{"legacy header, length of 1 byte", armor("84 10 03 0102030405060708 01"), "0102030405060708"},
		{"legacy header, length of 4 bytes", armor("86 00000010 03 0102030405060708"), "0102030405060708"},
		{"new header, length of 1 byte", armor("c1 10 03 a1b2c3d4e5f60708"), "A1B2C3D4E5F60708"},
		{"new header, length of 2 bytes", armor("c1 c010 03 0102030405060708"), "0102030405060708"},
		{"new header, length of 5 bytes", armor("c1 ff00000010 03 0102030405060708"), "0102030405060708"},
		{"hidden recipient", armor("84 10 03 0000000000000000"), "the message hides which key it is encrypted to"},
		{"packet version 6", armor("84 10 06 0102030405060708"), "damaged"},
		{"a passphrase (packet type 3)", armor("8c 0d 04 0102030405060708"), "damaged"},
		{"legacy header, indeterminate length", armor("87 0000000000000000 03 0102030405060708"), "damaged"},
		{"half a header", armor("86 00"), "damaged"},
		{"partial length", armor("c1 e1 03 0102030405060708"), "damaged"},
		{"too short", armor("84 10 03 01020304050607"), "damaged"},
		{"one byte", armor("84"), "damaged"},
		{"no packet", armor(""), "damaged"},
		{"no base64", armorBegin + "\n\n????" + armorEnd, "damaged"},
		{"no end", armorBegin + "\n\nhAMB", "damaged"},
		{"no message", "hAMB", "unknown"},
	} {
		id, err := gpgKeyID([]byte(v.file))
		if err != nil {
			id = class(err)
		}
		if id != v.want {
			t.Errorf("%s: %s, want %s", v.what, id, v.want)
		}
	}
}

func TestIsKeyID(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"85005732": true, "A410E8ED85005732": true, "0xa410e8ed85005732": true,
		"171DCE56E3A320C1ABD08E3DA410E8ED85005732": true, "": false, "0x": false,
		"cafe": false, "user@example.org": false, "A410E8ED8500573": false,
	} {
		if isKeyID(name) != want {
			t.Errorf("isKeyID(%q) = %v", name, !want)
		}
	}
}

// Output above the limit is an error.
func TestOutput(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100_000, maxGPGOutput, maxGPGOutput + 1} {
		text := strings.Repeat("x", n)
		for what, r := range map[string]io.Reader{
			"whole": strings.NewReader(text), "halves": iotest.HalfReader(strings.NewReader(text)),
			"end with data": iotest.DataErrReader(strings.NewReader(text)),
		} {
			var o output
			_, err := o.ReadFrom(r)
			if cap(o.Bytes()) > maxGPGOutput*3/2 {
				t.Errorf("%d bytes, %s: the buffer has grown", n, what)
			}
			if tooLong := n > maxGPGOutput; tooLong != (err != nil) || !tooLong && o.String() != text {
				t.Errorf("%d bytes, %s: %d bytes, %v", n, what, o.Len(), err)
			}
		}
	}
	if _, err := new(output).ReadFrom(iotest.ErrReader(io.ErrClosedPipe)); err != io.ErrClosedPipe {
		t.Errorf("an error of the pipe is lost: %v", err)
	}
}

// fakeGPG puts a shell script in the place of gpg.
func fakeGPG(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gpg"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// A gpg that waits for a passphrase ends with the caller's context.
func TestGPGEndsWithContext(t *testing.T) {
	fakeGPG(t, "exec sleep 300")
	k, file := GPGKey("A410E8ED85005732"), []byte(mustRead(t, "testdata/5.3.3/gpg"))
	for what, run := range map[string]func(context.Context) error{
		"Encrypt": func(ctx context.Context) error { _, err := k.Encrypt(ctx, []byte("{}")); return err },
		"Decrypt": func(ctx context.Context) error { _, err := k.Decrypt(ctx, file); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %v after %v", what, err, time.Since(began))
		}
		cancel()
	}
}

// OpenAny returns what gpg writes, or says why there is nothing.
func TestGPGOutput(t *testing.T) {
	file := []byte(mustRead(t, "testdata/5.3.3/gpg"))
	for script, want := range map[string]string{
		"cat >/dev/null; echo text":                    "text",
		"head -c 1048577 /dev/zero":                    "gpg: more than 1048576 bytes of output",
		"echo gpg: one >&2; echo gpg: two >&2; exit 2": "gpg: exit status 2: one; two",
		"exit 3": "gpg: exit status 3",
	} {
		fakeGPG(t, script)
		text, key, err := OpenAny(t.Context(), file, nil)
		got := string(text.Reveal())
		if err != nil {
			got = err.Error()
		}
		if got != want || key.Format() != FormatGPG {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}
