package main

import "syscall"

// tied has a process end when this one does, however this one ends.
func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
