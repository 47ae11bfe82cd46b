package main

import (
	"fmt"
	"io"
	"log/syslog"
	"os"
	"time"
)

// logger writes to syslog (facility authpriv, as the C agent), and to stderr where that is asked for. It
// never gets a secret: secrets are of a type that does not print.
type logger struct {
	syslog *syslog.Writer
	stderr io.Writer
	debug  bool
}

// newLogger opens the log. A machine without a syslog daemon is no reason not to start.
func newLogger(stderr, debug bool) *logger {
	l := &logger{debug: debug}
	l.syslog, _ = syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_NOTICE, "oidc-agent")
	if stderr {
		l.stderr = os.Stderr
	}
	return l
}

// write writes a line. A log that cannot be written has nobody to be told.
func (l *logger) write(to func(*syslog.Writer, string) error, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.syslog != nil {
		_ = to(l.syslog, text)
	}
	if l.stderr != nil {
		fmt.Fprintf(l.stderr, "%s oidc-agent: %s\n", time.Now().Format(time.RFC3339), text)
	}
}

func (l *logger) warning(format string, args ...any) {
	l.write((*syslog.Writer).Warning, format, args...)
}

func (l *logger) notice(format string, args ...any) {
	l.write((*syslog.Writer).Notice, format, args...)
}

func (l *logger) debugf(format string, args ...any) {
	if l.debug {
		l.write((*syslog.Writer).Debug, format, args...)
	}
}
