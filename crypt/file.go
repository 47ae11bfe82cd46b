package crypt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
)

// Our format is text:
//
//	oidc-agent account file v1
//	scrypt N=65536 r=8 p=1 salt=BASE64
//	nonce BASE64
//	hmac-sha256 BASE64
//	BASE64, in lines of 64 characters
//	sha256 HEX
//
// scrypt derives 64 bytes. The first 32 are the key of the HMAC over the first three lines, which detects a wrong
// password. The other 32 are the key of the body, a secretbox. The last line is a plain SHA-256 of all bytes above
// it, which anyone can compute; it is checked first and detects damage. A file in any other spelling is rejected. The
// C tools reject our files, because they find neither their version line nor a colon.
const (
	magic        = "oidc-agent account file v"
	firstWords   = magic + "1\nscrypt "
	headerFormat = firstWords + "N=%d r=%d p=%d salt=%s\nnonce %s\n"
	checkFormat  = "hmac-sha256 %s\n"
	sumLabel     = "\nsha256 "
	sumFormat    = "sha256 %x\n"
	bodyColumns  = 64
)

// header returns the lines that the HMAC authenticates.
func (e *envelope) header() []byte {
	c := e.costs
	return fmt.Appendf(nil, headerFormat, c[0], c[1], c[2], encode64([]byte(e.salt)), encode64(e.nonce[:]))
}

func scryptText(e *envelope) []byte {
	text := fmt.Appendf(e.header(), checkFormat, e.check)
	for line := range slices.Chunk(encode64(e.box), bodyColumns) {
		text = append(append(text, line...), '\n')
	}
	return fmt.Appendf(text, sumFormat, sha256.Sum256(text))
}

// parseScrypt may parse loosely, because it rejects every file that differs from what scryptText writes.
func parseScrypt(file []byte) (*envelope, error) {
	file = append(bytes.TrimSuffix(slices.Clip(file), []byte("\n")), '\n') // a final LF is easily lost
	end := bytes.LastIndex(file, []byte(sumLabel)) + 1
	switch {
	case end == 0:
		return nil, damaged("its end is missing")
	case string(file[end:]) != fmt.Sprintf(sumFormat, sha256.Sum256(file[:end])):
		return nil, damaged("its checksum does not match")
	case !bytes.HasPrefix(file, []byte(firstWords)):
		return nil, fmt.Errorf("unsupported version or key derivation %.50q: %w", file, ErrFormat)
	}
	e := &envelope{recipe: recipe{format: FormatScrypt}}
	var salt, nonce []byte
	body := bytes.NewReader(file[:end])
	_, err := fmt.Fscanf(body, headerFormat+checkFormat, &e.costs[0], &e.costs[1], &e.costs[2], &salt, &nonce, &e.check)
	e.salt = string(decodeLoosely(salt))
	copy(e.nonce[:], decodeLoosely(nonce))
	e.box = decodeLoosely(file[end-body.Len() : end])
	if err != nil || len(e.check) != base64.StdEncoding.EncodedLen(sha256.Size) || !bytes.Equal(scryptText(e), file) {
		return nil, damaged("its lines are malformed")
	}
	return e, e.costs.checkScrypt()
}

// decodeLoosely decodes base64 up to the first error and ignores line ends.
func decodeLoosely(text []byte) []byte {
	b, _ := base64.StdEncoding.AppendDecode(nil, text)
	return b
}
