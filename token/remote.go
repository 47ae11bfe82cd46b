package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// call asks the local agent, and where that cannot help the one that OIDC_REMOTE_SOCK names.
func call(ctx context.Context, question *cjson.Object) (*cjson.Object, error) {
	answer, err := ipc.Call(ctx, ipc.SocketPath(), question)
	local := err
	if local == nil {
		local = ipc.Check(answer)
	}
	unreached := new(ipc.ConnectError)
	if os.Getenv("OIDC_REMOTE_SOCK") == "" || !errors.As(local, &unreached) && !errors.Is(local, ipc.ErrNoAccount) {
		return answer, err
	}
	return callRemote(ctx, question)
}

// callRemote lets oidc-add carry the request: the encrypted channel and the network would cost every call of
// this program a part of its start-up, though hardly one needs them.
func callRemote(ctx context.Context, question *cjson.Object) (*cjson.Object, error) {
	in, request, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	answer, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	relay, err := os.StartProcess(sister("oidc-add"), []string{"oidc-add", "--remote", "--relay"},
		&os.ProcAttr{Files: []*os.File{in, out, os.Stderr}})
	in.Close()
	out.Close()
	if err != nil {
		request.Close()
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { relay.Kill() })
	defer stop()
	_, err = request.Write(question.Compact())
	request.Close()
	text, readErr := io.ReadAll(answer)
	state, waitErr := relay.Wait()
	if err = errors.Join(err, readErr, waitErr); err != nil {
		return nil, err
	}
	if !state.Success() { // it has told why
		return nil, errRelay
	}
	return ipc.Answer(bytes.NewReader(text))
}

var errRelay = errors.New("the agent that OIDC_REMOTE_SOCK names gave no answer")

// sister finds another of our programs: beside this one, else in PATH.
func sister(name string) string {
	if self, err := os.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return name
}
