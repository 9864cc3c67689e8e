package main

import "syscall"

// killWithParent has a process end when this one does, however this one ends.
func killWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
