package oidc

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
)

// CloseIdle closes the connections that no request uses now. Their buffers hold the last exchange until they are
// collected: see [Client.Open].
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Open counts the connections that are still in memory, closed or not.
func (c *Client) Open() int64 { return c.open.Load() }

type dialContext func(ctx context.Context, network, address string) (net.Conn, error)

// counted counts connections until they are collected.
func counted(dial dialContext, open *atomic.Int64) dialContext {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			open.Add(1)
			runtime.AddCleanup(tcp, func(open *atomic.Int64) { open.Add(-1) }, open)
		}
		return conn, err
	}
}
