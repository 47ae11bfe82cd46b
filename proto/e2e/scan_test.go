package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// A vault has all secrets of a story, and searches for them in a process's memory.
type vault []piece

// A piece is a secret, or a part of one.
type piece struct{ kind, text string }

func (v *vault) add(kind, secret string) { *v = append(*v, piece{kind, secret}) }

// pieceLength is the length of the pieces to search for: a buffer that was reused may hold only part of a secret.
const pieceLength = 16

// pieces returns the pieces of all secrets, by their first eight bytes. What several secrets have in common, such as
// the header of a JWT, is not secret.
func (v vault) pieces() map[uint64][]piece {
	owners := map[string]map[int]bool{}
	for i, secret := range v {
		for at := 0; at < len(secret.text); at += pieceLength {
			at := min(at, len(secret.text)-pieceLength)
			text := secret.text[at : at+pieceLength]
			if owners[text] == nil {
				owners[text] = map[int]bool{}
			}
			owners[text][i] = true
		}
	}
	pieces := map[uint64][]piece{}
	for text, secrets := range owners {
		for i := range secrets {
			if len(secrets) == 1 {
				key := binary.LittleEndian.Uint64([]byte(text))
				pieces[key] = append(pieces[key], piece{v[i].kind, text})
			}
		}
	}
	return pieces
}

// A trace is a piece that was found, with the bytes around it.
type trace struct {
	kind    string
	address uint64
	area    string
	around  []byte
}

func (t trace) String() string {
	return fmt.Sprintf("%s at %x (%s): %q", t.kind, t.address, t.area, t.around)
}

// search searches the whole memory of a process, which is stopped meanwhile.
func (v vault) search(pid int) (found []trace, err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	areas, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return nil, err
	}
	defer memory.Close()
	pieces := v.pieces()
	for lines := bufio.NewScanner(bytes.NewReader(areas)); lines.Scan(); {
		var start, end uint64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &start, &end, &mode); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if mode[0] != 'r' || strings.Contains(lines.Text(), "[v") { // [vvar], [vsyscall]: the kernel's
			continue
		}
		area := make([]byte, end-start)
		if _, err := memory.ReadAt(area, int64(start)); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		for _, t := range traces(area, pieces) {
			t.address, t.area = t.address+start, lines.Text()
			found = append(found, t)
		}
	}
	return found, nil
}

func traces(area []byte, pieces map[uint64][]piece) (found []trace) {
	var first [1 << 16]bool // rules out most of the memory quickly
	for key := range pieces {
		first[uint16(key)] = true
	}
	for i := 0; i+pieceLength <= len(area); i++ {
		if !first[binary.LittleEndian.Uint16(area[i:])] {
			continue
		}
		for _, p := range pieces[binary.LittleEndian.Uint64(area[i:])] {
			if string(area[i:i+pieceLength]) == p.text {
				around := bytes.Clone(area[max(0, i-100):min(len(area), i+100)])
				found = append(found, trace{kind: p.kind, address: uint64(i), around: around})
			}
		}
	}
	return found
}
