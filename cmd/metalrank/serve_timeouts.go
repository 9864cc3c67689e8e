package main

import (
	"time"

	"github.com/metalrank/metalrank/httpapi"
)

// timeoutFlags bound the time that a client may take on a connection; httpapi.Config has the defaults and bounds.
type timeoutFlags struct {
	ReadTimeout  time.Duration `help:"How long a client may take to send a request. Default: 30s." placeholder:"D"`
	WriteTimeout time.Duration `help:"How long a client may take to receive an answer. Default: 30s." placeholder:"D"`
	IdleTimeout  time.Duration `help:"How long a connection may wait for its next request. Default: 75s." placeholder:"D"`
}

func (f *timeoutFlags) limit(c *httpapi.Config) {
	c.ReadTimeout, c.WriteTimeout, c.IdleTimeout = f.ReadTimeout, f.WriteTimeout, f.IdleTimeout
}
