package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/ipc"
)

// BenchmarkStorm measures cached tokens on an idle agent, and while another account's provider is silent, 500
// connections are idle and 20 clients write byte by byte. Compare the 99th percentiles within one run.
func BenchmarkStorm(b *testing.B) {
	w := newWorld(b, iam.Settings{})
	w.must(w.agent, addRequest(w.account("demo"), ""))
	w.must(w.agent, addRequest(w.account("silent"), ""))
	path := w.serve()
	var idle time.Duration
	b.Run("idle", func(b *testing.B) {
		f := measure(b, path, 10, b.N, cachedRequest)
		f.report(b, b.N)
		idle = f.p99
	})
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	w.idp.Fail(iam.Fault{Path: "token", Delay: time.Hour})
	for range 20 {
		go ipc.Call(path, forced("silent").SetInt(ipc.KeyTimeout, 30), time.Minute)
		go trickleUntil(ctx, path)
	}
	release := target{TB: b, path: path}.hold(500, "")
	defer release()
	b.Run("storm", func(b *testing.B) {
		f := measure(b, path, 10, b.N, cachedRequest)
		f.report(b, b.N)
		b.ReportMetric(float64(f.p99)/float64(max(idle, 1)), "p99/idle")
	})
}

// trickleUntil writes a byte every 100 ms, on one connection after the other.
func trickleUntil(ctx context.Context, path string) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return
		}
		_, err = io.WriteString(conn, `{"request":"`)
		for err == nil {
			select {
			case <-tick.C:
				_, err = io.WriteString(conn, "x")
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		conn.Close()
		if ctx.Err() != nil {
			return
		}
	}
}
