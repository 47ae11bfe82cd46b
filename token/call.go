package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// The agent gives up first, so that its own words arrive.
const (
	patience = 40 * time.Second // the agent waits 35 s for a provider
	grace    = time.Second      // on top of --timeout
)

func (r *request) patience() time.Duration {
	if r.timeout > 0 && r.timeout < int64(patience/time.Second) {
		return time.Duration(r.timeout)*time.Second + grace
	}
	return patience
}

// until is a context that has a deadline and no timer: starting the runtime's timers would cost every call.
type until struct {
	context.Context
	at time.Time
}

// Deadline is all that [ipc.Call] wants to know.
func (u until) Deadline() (time.Time, bool) { return u.at, true }

// call asks the local agent, and where that cannot help the one that OIDC_REMOTE_SOCK names. An answer that tells
// a failure comes with that failure.
func (r *request) call(question *cjson.Object) (answer *cjson.Object, err error) {
	wait := r.patience()
	if r.timeout > 0 {
		question.SetInt(ipc.KeyTimeout, r.timeout)
	}
	answer, err = ipc.Call(until{context.Background(), time.Now().Add(wait)}, ipc.SocketPath(), question)
	if err == nil {
		err = ipc.Check(answer)
	}
	unreached := new(ipc.ConnectError)
	if os.Getenv("OIDC_REMOTE_SOCK") != "" && (errors.As(err, &unreached) || errors.Is(err, ipc.ErrNoAccount)) {
		r.remote = true
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if answer, err = callRemote(ctx, question); err == nil {
			err = ipc.Check(answer)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, r.late(wait)
	}
	return answer, err
}

func (r *request) late(wait time.Duration) error {
	agent := ipc.SocketPath()
	if r.remote {
		agent = os.Getenv("OIDC_REMOTE_SOCK")
	}
	return cli.WithHint(
		errors.New("the agent at "+strconv.Quote(agent)+" gave no answer within "+strconv.Itoa(int(wait/time.Second))+" seconds"),
		"See what it does:  oidc-agent --status  or end it and start another one:  oidc-agent -k; eval $(oidc-agent)")
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
	relay, err := startAdd([]*os.File{in, out, os.Stderr}, "--remote", "--relay")
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
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err = errors.Join(err, readErr, waitErr); err != nil {
		return nil, err
	}
	if !state.Success() { // it has told why
		return nil, errRelay
	}
	return ipc.Answer(bytes.NewReader(text))
}

var errRelay = errors.New("the agent that OIDC_REMOTE_SOCK names gave no answer")

func startAdd(files []*os.File, args ...string) (*os.Process, error) {
	return os.StartProcess(sister("oidc-add"), append([]string{"oidc-add"}, args...), &os.ProcAttr{Files: files})
}

// sister finds another of our programs: beside this one, else in PATH.
func sister(name string) string {
	if self, err := cli.Executable(); err == nil {
		path := filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if path, err := cli.LookPath(name); err == nil {
		return path
	}
	return name
}
