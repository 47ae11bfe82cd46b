//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Empty is the floor of every Go program: what the kernel and the runtime take before main.
package main

func main() {}
