//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Empty is the floor of every Go program: the time of the kernel and the runtime before main.
package main

func main() {}
