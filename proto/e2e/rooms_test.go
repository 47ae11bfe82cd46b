package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A room of the README's picture is a package, with those below it that are not rooms themselves.
type room struct {
	path, what string
	x, y       int // of its centre
}

const (
	roomWidth, roomHeight = 150, 52
	pictureFile           = "rooms.svg"
)

var pictured = []room{
	{"gen", "oidc-gen: makes accounts", 90, 50},
	{"add", "oidc-add: loads them", 260, 50},
	{"token", "oidc-token: prints a token", 430, 50},
	{"agent", "oidc-agent: the daemon", 600, 50},
	{"fakeidp", "a fake INDIGO IAM", 770, 50},
	{"proto/account", "accounts and issuers", 90, 210},
	{"proto/cli", "options, errors, prompts", 260, 210},
	{"proto/ipc", "the agent's socket", 430, 210},
	{"crypt", "sealed files and memory", 600, 210},
	{"proto/oidc", "providers, over net/http", 770, 210},
	{"proto/cjson", "JSON as the C tools do it", 260, 330},
	{leaf, "every room may enter", 600, 330},
}

// leaf is imported everywhere: its arrows are omitted.
const leaf = "proto/secret"

// TestRooms: the picture in the README shows the actual imports. If it does not, the test draws a new one to look at.
func TestRoomsPicture(t *testing.T) {
	t.Parallel()
	want := drawRooms(roomImports(t))
	have, err := os.ReadFile(pictureFile)
	if err == nil && string(have) == want {
		return
	}
	if os.Getenv("CI") == "" {
		err = os.WriteFile(pictureFile, []byte(want), 0o644)
	}
	t.Errorf("%s does not show the imports as they are: run this test once more and commit it (%v)", pictureFile, err)
}

// roomImports returns the direct imports of each room.
func roomImports(t *testing.T) (arrows [][2]room) {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		packages := strings.Fields(line)
		from, ok := roomOf(packages[0])
		for _, p := range packages[1:] {
			to, isRoom := roomOf(p)
			if arrow := [2]room{from, to}; ok && isRoom && from != to && to.path != leaf && !slices.Contains(arrows, arrow) {
				arrows = append(arrows, arrow)
			}
		}
	}
	return arrows
}

func roomOf(path string) (room, bool) {
	for _, r := range pictured {
		if within(path, module+r.path+"/...") {
			return r, true
		}
	}
	return room{}, false
}

func drawRooms(arrows [][2]room) string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 380" font-family="sans-serif" text-anchor="middle">
<title>The rooms of oidc-agent; an arrow goes from who imports to what is imported</title>
<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0,1 L7,4 L0,7" fill="none" stroke="#555"/></marker></defs>
<rect width="860" height="380" fill="#fff"/>
`)
	for _, a := range arrows {
		from, to := a[0], a[1]
		fmt.Fprintf(&b, "<path d=\"M%d,%d L%d,%d\" stroke=\"#999\" marker-end=\"url(#tip)\"/>\n",
			from.x, from.y+roomHeight/2, to.x, to.y-roomHeight/2)
	}
	for _, r := range pictured {
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="#eef4fb" stroke="#357"/>`+"\n",
			r.x-roomWidth/2, r.y-roomHeight/2, roomWidth, roomHeight)
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="14" font-weight="bold">%s/</text><text x="%d" y="%d" font-size="11">%s</text>`+"\n",
			r.x, r.y-4, r.path, r.x, r.y+14, r.what)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
