package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// patience is how many seconds an answer may take: longer than the 35 s that the agent waits for a provider, so
// that the agent's own error arrives.
const patience = 40

// call asks the local agent. If that one cannot be reached, or does not know the account, call asks the agent
// that OIDC_REMOTE_SOCK names. If the answer reports a failure, call returns both the answer and an error.
func (r *request) call(question *cjson.Object) (answer *cjson.Object, err error) {
	seconds := int64(patience)
	if r.timeout > 0 {
		question.SetInt(ipc.KeyTimeout, r.timeout)
		seconds = min(r.timeout, patience-1) + 1
	}
	wait, agent, remote := time.Duration(seconds)*time.Second, ipc.SocketPath(), os.Getenv("OIDC_REMOTE_SOCK")
	answer, err = ipc.Call(agent, question, wait)
	if err == nil {
		err = ipc.Check(answer)
	}
	_, unreached := errors.AsType[*ipc.ConnectError](err)
	if remote != "" && (unreached || errors.Is(err, ipc.ErrNoAccount)) {
		r.remote, agent = true, remote
		if answer, err = callRemote(question, wait); err == nil {
			err = ipc.Check(answer)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, cli.WithHint(
			errors.New("the agent at "+strconv.Quote(agent)+" gave no answer within "+strconv.FormatInt(seconds, 10)+" seconds"),
			"See what it does:  oidc-agent --status  or restart it:  oidc-agent -k; eval $(oidc-agent)")
	}
	return answer, err
}

// callRemote has oidc-add pass the request on: the encrypted channel and the network packages would slow down
// every start of this program, and few calls need them.
func callRemote(question *cjson.Object, wait time.Duration) (*cjson.Object, error) {
	add, conn, err := talkToAdd("--remote", "--relay")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	timer := time.AfterFunc(wait, func() { add.Kill() })
	conn.Write(question.Compact()) // if this fails, oidc-add has ended and there is no answer
	answer, err := ipc.Answer(conn)
	add.Wait()
	switch {
	case !timer.Stop():
		return nil, os.ErrDeadlineExceeded
	case err != nil: // oidc-add has printed the reason
		return nil, errors.New("the agent that OIDC_REMOTE_SOCK names gave no answer")
	}
	return answer, nil
}

// talkToAdd starts oidc-add with a socket as its standard input and output, and returns the other end.
func talkToAdd(args ...string) (*os.Process, *os.File, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(ends[0])
	syscall.CloseOnExec(ends[1])
	ours, its := os.NewFile(uintptr(ends[0]), "oidc-add"), os.NewFile(uintptr(ends[1]), "oidc-add")
	defer its.Close()
	add, err := startAdd([]*os.File{its, its, os.Stderr}, args...)
	if err != nil {
		ours.Close()
	}
	return add, ours, err
}

func startAdd(files []*os.File, args ...string) (*os.Process, error) {
	program, err := cli.Sister("oidc-add")
	if err != nil {
		return nil, err
	}
	return os.StartProcess(program, append([]string{"oidc-add"}, args...), &os.ProcAttr{Files: files})
}
