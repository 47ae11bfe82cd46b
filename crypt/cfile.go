package crypt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"golang.org/x/crypto/nacl/secretbox"
)

// The C tools' format since 2.1.0, without a final LF:
//
//	LENGTH of the box in bytes, decimal
//	NONCE, 24 bytes base64
//	SALT, 16 bytes base64
//	24:16:16:32:1:2:67108864:2
//	BOX, base64 in one line
//	CHECK, base64 of the second half of the derived key
//	Generated using version: 5.3.3
//
// Line 4 has the lengths of nonce, salt, MAC and key, then the base64 variant and the parameters of Argon2id. Like
// the C tools we check the lengths and ignore the rest, which is always the same. The C tools need line 7 to
// distinguish this format from the one before. We do not, and also open a file without line 7, as they usually do.
const (
	cVersionLabel = "Generated using version:"
	cVersionLine  = cVersionLabel + " 5.3.3" // the C tools compare it with 2.1.0
	cLengths      = "24:16:16:32:"
	cSaltLength   = 16
)

func cText(e *envelope) []byte {
	return fmt.Appendf(nil, "%d\n%s\n%s\n%s1:2:67108864:2\n%s\n%s\n%s", len(e.box), encode64(e.nonce[:]),
		encode64([]byte(e.salt)), cLengths, encode64(e.box), e.check, cVersionLine)
}

func parseC(file []byte) (*envelope, error) {
	lines := bytes.Split(bytes.TrimRight(file, "\n"), []byte("\n"))
	if len(lines) != 6 && len(lines) != 7 {
		return nil, damaged(fmt.Sprintf("it has %d lines, not 7", len(lines)))
	}
	if !bytes.HasPrefix(append(bytes.Clone(lines[3]), ':'), []byte(cLengths)) {
		return nil, damaged("its line 4 does not have the lengths of the C tools")
	}
	return cEnvelope(FormatC, base64.StdEncoding.AppendDecode, lines[0], lines[1], lines[2], lines[4], lines[5])
}

// The C tools' format before 2.1.0 is one line, LENGTH:SALT:NONCE:BOX in hex, with the length of the box in decimal.
// It does not name the KDF, which changed once, so Open tries both. NewKey makes no keys for it, but the key of such
// a file can write it again: an old file must not lose a rotated refresh token.
func hexText(e *envelope) []byte {
	return fmt.Appendf(nil, "%d:%x:%x:%x", len(e.box), e.salt, e.nonce, e.box)
}

func parseHex(file []byte) (*envelope, error) {
	fields := bytes.Split(bytes.TrimRight(file, "\n"), []byte(":"))
	if len(fields) != 4 {
		return nil, damaged(fmt.Sprintf("it has %d fields, not 4", len(fields)))
	}
	return cEnvelope(FormatHex, hex.AppendDecode, fields[0], fields[2], fields[1], fields[3], nil)
}

// cEnvelope decodes the fields of a file of the C tools.
func cEnvelope(f Format, decode decoder, length, nonce, salt, box, check []byte) (*envelope, error) {
	n, err := strconv.Atoi(string(length))
	r := recipe{format: f, salt: string(exactly(cSaltLength, salt, decode))}
	e := &envelope{recipe: r, box: exactly(n, box, decode), check: check}
	if copy(e.nonce[:], exactly(nonceLength, nonce, decode)) == 0 || e.salt == "" {
		return nil, damaged("its nonce or salt is malformed")
	}
	if err != nil || len(e.box) < secretbox.Overhead {
		return nil, damaged("its content does not have the length that line 1 says")
	}
	return e, nil
}
