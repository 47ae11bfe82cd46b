package prompt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/secret"
)

// questionVariable names a question. It turns the test binary into a child process that asks it on a terminal of
// its own.
const questionVariable = "PROMPT_TEST_QUESTION"

func TestMain(m *testing.M) {
	name := os.Getenv(questionVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	fmt.Print(questions[name]())
	os.Exit(0)
}

var errWrong, errDamaged = errors.New("wrong password"), errors.New("file is damaged")

// questions are those that a child can ask. Their results are written to its standard output.
var questions = map[string]func() string{
	"password": password,
	"raw":      password,
	"line":     line,
	"raw line": line,
	"confirm": func() string {
		yes, err := Confirm("Really?", false, "")
		return fmt.Sprint(yes, " ", err)
	},
	"confirm-yes": func() string {
		yes, err := Confirm("Really?", true, "")
		return fmt.Sprint(yes, " ", err)
	},
	"confirm-twice": func() string {
		first, err := Confirm("Really?", false, "")
		second, err2 := Confirm("Really?", false, "")
		return fmt.Sprint(first, second, err, err2)
	},
	"new":      func() string { return newPassword(true) },
	"new-lock": func() string { return newPassword(false) },
	"nohup": func() string {
		signal.Ignore(syscall.SIGHUP)
		return password()
	},
	"command": func() string {
		p, err := Source{kind: command, value: "read line; echo told >&2; echo $line"}.Read(context.Background(), "")
		return fmt.Sprintf("%q %v", p.Reveal(), err)
	},
	"decrypt": func() string { return decrypt(Source{}) },
	"decrypt-file": func() string {
		return decrypt(Source{kind: file, value: os.Getenv("PASSWORD_FILE")})
	},
}

func password() string {
	p, err := Password("Password: ")
	return fmt.Sprintf("%q %v", p.Reveal(), err)
}

func line() string {
	line, err := Line("Issuer [x]: ")
	return fmt.Sprintf("%q %v", line, err)
}

func newPassword(emptyOnce bool) string {
	p, err := NewPassword("New: ", "Again: ", emptyOnce)
	return fmt.Sprintf("%q %v", p.Reveal(), err)
}

// decrypt accepts the password "right", and fails with errDamaged for "damaged".
func decrypt(source Source) string {
	err := Decrypt(source, "Password: ", errWrong, func(password secret.Secret) error {
		switch string(password.Reveal()) {
		case "right":
			return nil
		case "damaged":
			return errDamaged
		}
		return fmt.Errorf("account: %w", errWrong)
	})
	return fmt.Sprint(err)
}

// child is a process that asks a question on a terminal.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File // the user's side of the terminal
	before unix.Termios
	shown  []byte // everything that the terminal has shown
	seen   int    // how much of it expect has matched
	stdout bytes.Buffer
}

// start asks a question on a new terminal. The child's standard input is a pipe that it must not read.
func start(t *testing.T, question string, env ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: childCommand(question, env...)}
	var err error
	if c.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.master.Close() })
	var number uint32
	c.control(func(fd int) (err error) {
		if number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
		}
		return err
	})
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	c.control(func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil || !strings.HasPrefix(question, "raw") {
			return err
		}
		state.Lflag &^= unix.ICANON | unix.ISIG | unix.ECHO
		state.Iflag &^= unix.ICRNL
		return unix.IoctlSetTermios(fd, unix.TCSETS, state)
	})
	c.before = c.termios()
	c.cmd.Stdout = &c.stdout
	c.cmd.ExtraFiles = []*os.File{slave}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	c.master.SetReadDeadline(time.Now().Add(20 * time.Second))
	return c
}

func childCommand(question string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	// With -race a child would wait at its end for reports of other threads.
	race := "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0"
	cmd.Env = append(append(os.Environ(), race, questionVariable+"="+question), env...)
	cmd.Stdin = strings.NewReader("not for us\n")
	return cmd
}

func (c *child) control(call func(fd int) error) {
	c.t.Helper()
	raw, err := c.master.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = call(int(fd)) })
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) termios() (state unix.Termios) {
	c.t.Helper()
	c.control(func(fd int) error {
		s, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			state = *s
		}
		return err
	})
	return state
}

// expect waits until the terminal shows the text.
func (c *child) expect(text string) {
	c.t.Helper()
	buf := make([]byte, 1000)
	for {
		if i := bytes.Index(c.shown[c.seen:], []byte(text)); i >= 0 {
			c.seen += i + len(text)
			return
		}
		n, err := c.master.Read(buf)
		if err != nil {
			c.t.Fatalf("the terminal shows %q, then %v; want %q", c.shown, err, text)
		}
		c.shown = append(c.shown, buf[:n]...)
	}
}

// enter waits for the question and types the answer.
func (c *child) enter(question, answer string) {
	c.t.Helper()
	c.expect(question)
	if _, err := io.WriteString(c.master, answer); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the end of the child and checks that the terminal is as it was before.
func (c *child) end() syscall.WaitStatus {
	c.t.Helper()
	c.cmd.Wait()
	if after := c.termios(); after != c.before {
		c.t.Errorf("the terminal is left changed: %+v, was %+v", after, c.before)
	}
	for {
		buf := make([]byte, 1000)
		n, err := c.master.Read(buf)
		c.shown = append(c.shown, buf[:n]...)
		if err != nil {
			if !errors.Is(err, unix.EIO) { // the error when the other side is closed
				c.t.Errorf("the terminal's end: %v", err)
			}
			return c.cmd.ProcessState.Sys().(syscall.WaitStatus)
		}
	}
}

// want waits for the end of the child, and compares its standard output and everything that the terminal showed.
func (c *child) want(stdout, shown string) {
	c.t.Helper()
	status := c.end()
	if status.ExitStatus() != 0 || c.stdout.String() != stdout {
		c.t.Errorf("ended with %v and stdout %q, want %q", status, c.stdout.String(), stdout)
	}
	if got := strings.ReplaceAll(string(c.shown), "\r\n", "\n"); got != shown {
		c.t.Errorf("the terminal showed %q, want %q", got, shown)
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	c := start(t, "password")
	c.enter("Password: ", "secret 123\n")
	c.want(`"secret 123" <nil>`, "Password: \n")
	c = start(t, "password")
	c.enter("Password: ", "\n")
	c.want(`"" <nil>`, "Password: \n")
}

func TestLine(t *testing.T) {
	t.Parallel()
	c := start(t, "line")
	c.enter("Issuer [x]: ", "https://é/\n")
	c.want(`"https://é/" <nil>`, "Issuer [x]: https://é/\n")
	c = start(t, "line")
	c.enter("Issuer [x]: ", "\n")
	c.want(`"" <nil>`, "Issuer [x]: \n")
}

func TestEndOfInput(t *testing.T) {
	t.Parallel()
	for question, text := range map[string]string{"password": "Password: ", "line": "Issuer [x]: "} {
		c := start(t, question)
		c.enter(text, "\x04")
		c.want(`"" no input`, text+"\n")
	}
	c := start(t, "password") // after some input, pressing Ctrl-D twice ends the line
	c.enter("Password: ", "secret\x04\x04")
	c.want(`"secret" <nil>`, "Password: \n")
}

// A signal during a question restores the terminal and ends the process as the signal does.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		c := start(t, "password")
		c.expect("Password: ")
		if c.termios().Lflag&unix.ECHO != 0 {
			t.Errorf("%v: echo is on", s)
		}
		c.cmd.Process.Signal(s)
		if status := c.end(); !status.Signaled() || status.Signal() != s {
			t.Errorf("%v: ended with %v", s, status)
		}
	}
	c := start(t, "nohup")
	c.expect("Password: ")
	c.cmd.Process.Signal(syscall.SIGHUP)
	c.enter("", "secret\n")
	c.want(`"secret" <nil>`, "Password: \n")
	c = start(t, "password")
	c.enter("Password: ", "sec\x03")
	if status := c.end(); !status.Signaled() || status.Signal() != syscall.SIGINT || c.stdout.Len() > 0 {
		t.Errorf("Ctrl-C: ended with %v, stdout %q", status, c.stdout.String())
	}
	c = start(t, "password")
	c.enter("Password: ", "sec\x1c")
	if status := c.end(); status.ExitStatus() != 131 || c.stdout.Len() > 0 {
		t.Errorf("Ctrl-\\: ended with %v, stdout %q", status, c.stdout.String())
	}
}

// On a terminal that was left raw, an answer can be typed, corrected and interrupted. Afterwards the terminal is
// raw again.
func TestRawTerminal(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{"x\x7fsecret\r": `"secret" <nil>`, "sec\x03": ""} {
		c := start(t, "raw")
		c.expect("Password: ")
		io.WriteString(c.master, keys)
		if c.end(); c.stdout.String() != want {
			t.Errorf("%q: stdout %q, want %q", keys, c.stdout.String(), want)
		}
	}
	c := start(t, "raw line")
	c.enter("Issuer [x]: ", "https://x/\r")
	c.want(`"https://x/" <nil>`, "Issuer [x]: https://x/\n")
}

// Ctrl-Z restores the terminal. When the process continues, the question is asked again, without echo.
func TestStop(t *testing.T) {
	t.Parallel()
	c := start(t, "password")
	c.enter("Password: ", "\x1a")
	var status unix.WaitStatus
	if _, err := unix.Wait4(c.cmd.Process.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("after Ctrl-Z: %v, %v", status, err)
	}
	if c.termios() != c.before {
		t.Error("the terminal is changed while the process is stopped")
	}
	c.cmd.Process.Signal(syscall.SIGCONT)
	c.enter("Password: ", "secret\n")
	c.want(`"secret" <nil>`, "Password: \nPassword: \n")
}

// Without a terminal nobody is asked, and standard input is not read instead. The exception is a yes-or-no
// question: the end of the input is an empty answer.
func TestNoTerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ question, stdin, stdout, stderr string }{
		{"password", "not for us\n", `"" ` + ErrNoTerminal.Error(), ""},
		{"line", "not for us\n", `"" ` + ErrNoTerminal.Error(), ""},
		{"confirm", "perhaps\n", "false <nil>", "Really? [No/yes/quit]: \n"},
		{"confirm", "y", "true <nil>", "Really? [No/yes/quit]: \n"},
		{"confirm", "", "false <nil>", "Really? [No/yes/quit]: \n"},
		{"confirm-twice", "no\nyes\n", "false true <nil> <nil>", "Really? [No/yes/quit]: \nReally? [No/yes/quit]: \n"},
		{"confirm-yes", "", "true <nil>", "Really? [Yes/no/quit]: \n"},
		{"decrypt", "", "a password is needed, and " + ErrNoTerminal.Error(), ""},
		{"command", "for it\nmore", `"for it" <nil>`, "told\n"},
	} {
		cmd := childCommand(c.question)
		cmd.Stdin = strings.NewReader(c.stdin)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || string(out) != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%+v: %v, stdout %q, stderr %q", c, err, out, stderr.String())
		}
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ question, answer, want string }{
		{"confirm", "", "false <nil>"},
		{"confirm", "yes", "true <nil>"},
		{"confirm", " Y", "true <nil>"},
		{"confirm", "perhaps", "false <nil>"},
		{"confirm", "quit", "false " + ErrQuit.Error()},
		{"confirm-yes", "", "true <nil>"},
		{"confirm-yes", "no", "false <nil>"},
		{"confirm-yes", "perhaps", "false <nil>"},
	} {
		text := "Really? [No/yes/quit]: "
		if c.question == "confirm-yes" {
			text = "Really? [Yes/no/quit]: "
		}
		p := start(t, c.question)
		p.enter(text, c.answer+"\n")
		p.want(c.want, text+c.answer+"\n")
	}
}

func TestNewPassword(t *testing.T) {
	t.Parallel()
	c := start(t, "new")
	c.enter("New: ", "a\n")
	c.enter("Again: ", "a\n")
	c.want(`"a" <nil>`, "New: \nAgain: \n")
	c = start(t, "new")
	c.enter("New: ", "a\n")
	c.enter("Again: ", "b\n")
	c.want(`"" `+ErrMismatch.Error(), "New: \nAgain: \n")
	c = start(t, "new")
	c.enter("New: ", "\n")
	c.want(`"" <nil>`, "New: \n")
	c = start(t, "new-lock")
	c.enter("New: ", "\n")
	c.enter("Again: ", "\n")
	c.want(`"" <nil>`, "New: \nAgain: \n")
}

func TestDecryptAsks(t *testing.T) {
	t.Parallel()
	c := start(t, "decrypt")
	c.enter("Password: ", "wrong\n")
	c.enter("Password: ", "right\n")
	c.want("<nil>", "Password: \nPassword: \n")
	c = start(t, "decrypt")
	for range maxTries {
		c.enter("Password: ", "wrong\n")
	}
	c.want("reached maximum number of tries: account: wrong password", strings.Repeat("Password: \n", maxTries))
	c = start(t, "decrypt")
	c.enter("Password: ", "damaged\n")
	c.want("file is damaged", "Password: \n")
	c = start(t, "decrypt")
	c.enter("Password: ", "\x04")
	c.want("no input", "Password: \n")
}

// If a source yields no password or a wrong one, the user is told and then asked.
func TestDecryptFallsBack(t *testing.T) {
	t.Parallel()
	wrong, right := t.TempDir()+"/wrong", t.TempDir()+"/right"
	if err := errors.Join(os.WriteFile(wrong, []byte("wrong\n"), 0600), os.WriteFile(right, []byte("right"), 0600)); err != nil {
		t.Fatal(err)
	}
	c := start(t, "decrypt-file", "PASSWORD_FILE="+right)
	c.want("<nil>", "")
	for file, notice := range map[string]string{
		wrong:              "account: wrong password",
		wrong + "/nothere": "not a directory",
	} {
		notice = fmt.Sprintf("password file %q: %s\n", file, notice)
		c = start(t, "decrypt-file", "PASSWORD_FILE="+file)
		c.enter("Password: ", "right\n")
		c.want("<nil>", notice+"Password: \n")

		cmd := childCommand("decrypt-file", "PASSWORD_FILE="+file)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		out, err := cmd.Output()
		if err != nil || string(out)+"\n" != notice {
			t.Errorf("without a terminal: %v, stdout %q, want %q", err, out, notice)
		}
	}
}
