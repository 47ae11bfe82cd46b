package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// patience is how long an answer may take, in seconds. The agent waits 35 s for a provider and gives up first, so that
// its own words arrive.
const patience = 40

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
	seconds := int64(patience)
	if r.timeout > 0 {
		question.SetInt(ipc.KeyTimeout, r.timeout)
		seconds = min(r.timeout, patience-1) + 1
	}
	wait, agent, remote := time.Duration(seconds)*time.Second, ipc.SocketPath(), os.Getenv("OIDC_REMOTE_SOCK")
	answer, err = ipc.Call(until{context.Background(), time.Now().Add(wait)}, agent, question)
	if err == nil {
		err = ipc.Check(answer)
	}
	_, unreached := errors.AsType[*ipc.ConnectError](err)
	if remote != "" && (unreached || errors.Is(err, ipc.ErrNoAccount)) {
		r.remote, agent = true, remote
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if answer, err = callRemote(ctx, question); err == nil {
			err = ipc.Check(answer)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, cli.WithHint(
			errors.New("the agent at "+strconv.Quote(agent)+" gave no answer within "+strconv.FormatInt(seconds, 10)+" seconds"),
			"See what it does:  oidc-agent --status  or end it and start another one:  oidc-agent -k; eval $(oidc-agent)")
	}
	return answer, err
}

// callRemote lets oidc-add carry the request: the encrypted channel and the network would cost every call of
// this program a part of its start-up, though hardly one needs them.
func callRemote(ctx context.Context, question *cjson.Object) (*cjson.Object, error) {
	text, state, err := runAdd(ctx, question.Compact(), "--remote", "--relay")
	switch {
	case err != nil:
		return nil, err
	case !state.Success(): // it has told why
		return nil, errors.New("the agent that OIDC_REMOTE_SOCK names gave no answer")
	}
	return ipc.Answer(bytes.NewReader(text))
}

// runAdd runs oidc-add, but no longer than ctx lives, with a text on its standard input, and returns what it prints.
func runAdd(ctx context.Context, input []byte, args ...string) ([]byte, *os.ProcessState, error) {
	in, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	reader, out, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer reader.Close()
	add, err := startAdd([]*os.File{in, out, os.Stderr}, args...)
	in.Close()
	out.Close()
	if err != nil {
		writer.Close()
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { add.Kill() })
	defer stop()
	writer.Write(input) // where that fails it has ended, and its state tells
	writer.Close()
	text, readErr := io.ReadAll(reader)
	state, waitErr := add.Wait()
	return text, state, cmp.Or(ctx.Err(), readErr, waitErr)
}

func startAdd(files []*os.File, args ...string) (*os.Process, error) {
	program, err := cli.Sister("oidc-add")
	if err != nil {
		return nil, err
	}
	return os.StartProcess(program, append([]string{"oidc-add"}, args...), &os.ProcAttr{Files: files})
}
