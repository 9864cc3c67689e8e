package main

import (
	"os"
	"os/signal"
	"syscall"
)

// hangups are the SIGHUPs that the process gets from catchHangups on. One that comes before each is called is kept.
type hangups chan os.Signal

// catchHangups keeps SIGHUP from ending the process.
func catchHangups() hangups {
	h := make(hangups, 1)
	signal.Notify(h, syscall.SIGHUP)
	return h
}

// each calls reload for every SIGHUP, one call at a time, until stop is called, which waits for a call under way. Later
// SIGHUPs don't end the process either.
func (h hangups) each(reload func()) (stop func()) {
	stopping, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-h:
				reload()
			case <-stopping:
				return
			}
		}
	}()
	return func() {
		close(stopping)
		<-done
	}
}
