package main

import (
	"fmt"
	"io"
	"log/syslog"
	"os"
	"time"
)

// logger writes to syslog, under the facility authpriv like the C agent, and to stderr if asked to. It never gets a
// secret: secrets are of a type that does not print.
type logger struct {
	syslog *syslog.Writer // nil if there is no syslog daemon
	stderr io.Writer
	debug  bool
}

func newLogger(stderr, debug bool) *logger {
	l := &logger{debug: debug}
	l.syslog, _ = syslog.New(syslog.LOG_AUTHPRIV|syslog.LOG_NOTICE, "oidc-agent")
	if stderr {
		l.stderr = os.Stderr
	}
	return l
}

// write writes a line. There is nobody to tell if that fails.
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
