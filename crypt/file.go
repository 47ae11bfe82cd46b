package crypt

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
)

// Our format is text, a line for each concern:
//
//	oidc-agent account file v1
//	scrypt N=65536 r=8 p=1 salt=BASE64
//	nonce BASE64
//	hmac-sha256 BASE64
//	BASE64, in lines of 64 characters
//	sha256 HEX
//
// One scrypt run gives 64 bytes. The first 32 are the HMAC key of the three lines above the hmac-sha256 line:
// they tell a wrong password. The other 32 open the body (secretbox). The last line is a plain SHA-256 of all
// bytes above it, which anyone can compute: it tells damage, and is looked at first. Each text has only one way
// to be written; anything else is refused. The C tools find no version and no colon in it and so give up.
const (
	magic        = "oidc-agent account file v"
	firstWords   = magic + "1\nscrypt "
	headerFormat = firstWords + "N=%d r=%d p=%d salt=%s\nnonce %s\n"
	checkFormat  = "hmac-sha256 %s\n"
	sumLabel     = "\nsha256 "
	sumFormat    = "sha256 %x\n"
	bodyColumns  = 64
)

// header is what the HMAC authenticates.
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

// parseScrypt takes a file of ours apart. Whatever it overlooks shows when the file is not what scryptText writes.
func parseScrypt(file []byte) (*envelope, error) {
	file = append(bytes.TrimSuffix(slices.Clip(file), []byte("\n")), '\n') // the last LF may have been lost on the way
	end := bytes.LastIndex(file, []byte(sumLabel)) + 1
	switch {
	case end == 0:
		return nil, damaged("its end is missing")
	case string(file[end:]) != fmt.Sprintf(sumFormat, sha256.Sum256(file[:end])):
		return nil, damaged("its checksum does not fit its content")
	case !bytes.HasPrefix(file, []byte(firstWords)):
		return nil, fmt.Errorf("file of another version or key derivation, %.50q: %w", file, ErrFormat)
	}
	e := &envelope{recipe: recipe{format: FormatScrypt}}
	var salt, nonce []byte
	body := bytes.NewReader(file[:end])
	_, err := fmt.Fscanf(body, headerFormat+checkFormat, &e.costs[0], &e.costs[1], &e.costs[2], &salt, &nonce, &e.check)
	e.salt = string(decodeLoosely(salt))
	copy(e.nonce[:], decodeLoosely(nonce))
	e.box = decodeLoosely(file[end-body.Len() : end])
	if err != nil || len(e.check) != base64.StdEncoding.EncodedLen(sha256.Size) || !bytes.Equal(scryptText(e), file) {
		return nil, damaged("its lines are not as they were written")
	}
	return e, e.costs.checkScrypt()
}

// decodeLoosely reads base64 as far as it goes, over line ends.
func decodeLoosely(text []byte) []byte {
	b, _ := base64.StdEncoding.AppendDecode(nil, text)
	return b
}
