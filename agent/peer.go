package main

import (
	"errors"
	"os"
	"slices"
)

var errStranger = errors.New("a process of another user connected")

// admit lets in the user himself, root, and with --with-group the members of that group, as they were when they
// connected (socket(7), unix(7)). The modes of the socket and its folder keep strangers out already, unless somebody
// has opened them.
func (a *agent) admit(fd int) error {
	uid, _, err := peer(fd)
	if err != nil || uid == os.Getuid() || uid == 0 {
		return err
	}
	gid, err := groupID(a.settings.group)
	if err != nil {
		return err
	}
	groups, err := peerGroups(fd)
	if err == nil && (gid < 0 || !slices.Contains(groups, uint32(gid))) {
		err = errStranger
	}
	return err
}
