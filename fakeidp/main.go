// Fakeidp is a fake INDIGO IAM for tests: one program, no database, everything in memory. When it is ready it
// prints its issuer URL, alone, as the first line on stdout. It exits on SIGTERM or SIGINT.
//
// The server itself is package fakeidp/iam, which Go tests can use without this program.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"oidc-agent/fakeidp/iam"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintln(os.Stderr, "Try `fakeidp --help' for more information.")
		os.Exit(64) // EX_USAGE, as the C tools have it
	}
	os.Exit(1)
}

// run serves until ctx is done.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	o, err := parseOptions(args, stdout)
	if err != nil || o == nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %q: %w", o.listen, err)
	}
	defer l.Close()
	scheme := "http"
	if o.tls {
		scheme = "https"
		if l, err = secure(l, o.caOut); err != nil {
			return err
		}
	}
	o.config.Issuer = cmp.Or(o.config.Issuer, scheme+"://"+authority(l.Addr().(*net.TCPAddr))+"/")
	o.config.Listener = l
	idp, err := iam.Start(o.config)
	if err != nil {
		return &usageError{err}
	}
	defer idp.Close()
	if _, err := fmt.Fprintln(stdout, idp.Issuer()); err != nil {
		return fmt.Errorf("printing the issuer: %w", err)
	}
	<-ctx.Done()
	return nil
}

// authority returns the host and port under which clients reach a: they cannot connect to an unspecified address.
func authority(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return a.String()
}
