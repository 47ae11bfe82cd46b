//go:build linux

package user

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is a pseudo-terminal. The slave is the program's side.
type terminal struct {
	master, slave *os.File
	start         *unix.Termios
}

func openTerminal() (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t := &terminal{master: master}
	var number uint32
	err = t.control(func(fd int) error {
		number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return errors.Join(err,
			unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), // unlocks the slave
			unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}))
	})
	if err == nil {
		t.slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		t.start, err = t.state()
	}
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("pseudo-terminal: %w", err)
	}
	return t, nil
}

// control calls f with the master's descriptor. It stays non-blocking, so that Close ends a Read.
func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	err = raw.Control(func(fd uintptr) { ferr = f(int(fd)) })
	return errors.Join(err, ferr)
}

// state returns the settings of the slave. The kernel returns them for the master too, even if the slave is closed.
func (t *terminal) state() (state *unix.Termios, err error) {
	err = t.control(func(fd int) (err error) {
		state, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	return state, err
}

func (t *terminal) checkRestored() error {
	end, err := t.state()
	if err == nil && *end != *t.start {
		err = fmt.Errorf("the terminal is left changed: local modes %#x, were %#x", end.Lflag, t.start.Lflag)
	}
	return err
}

// waitEcho polls, because there is no event when a program switches echo.
func (t *terminal) waitEcho(ctx context.Context, ended <-chan struct{}, on bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := t.state()
		if err != nil || (s.Lflag&unix.ECHO != 0) == on {
			return err
		}
		if err := await(ctx, tick.C, ended); err != nil {
			return fmt.Errorf("waiting for echo to be %t: %w", on, err)
		}
	}
}
