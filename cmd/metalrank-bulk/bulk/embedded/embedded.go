// Package embedded runs a NATS server with JetStream in this process, for fleets that have none.
package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Config says how to run the server.
type Config struct {
	// File is a configuration file of nats-server's own, for users, TLS, clusters. Empty: none.
	File string
	// Listen is the address for clients, HOST:PORT; port 0 is any free one. Empty: the file's, or 127.0.0.1:4222.
	Listen string
	// Store is JetStream's folder. Empty: the file's.
	Store string
	// Token, if not empty, is required of clients.
	Token string
	// AllowAnyone permits a server that other machines reach without credentials. Else such a server is an [ErrOpen].
	AllowAnyone bool
	// MaxStoreBytes bounds JetStream's files. 0: three quarters of the free space, nats-server's default.
	MaxStoreBytes int64
	// Log is where the server's log goes. Empty: nowhere.
	Log string
}

// Server is a running server.
type Server struct{ server *server.Server }

const readyTimeout = 30 * time.Second

// Start runs a server. The caller closes it.
func Start(c Config) (*Server, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("nats-server: %w", err)
	}
	if c.Log != "" || c.File != "" {
		s.ConfigureLogger()
	}
	s.Start()
	if !s.ReadyForConnections(readyTimeout) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("nats-server: not ready on %s with JetStream in %s: is the port in use, or the folder another server's?",
			net.JoinHostPort(o.Host, strconv.Itoa(o.Port)), o.StoreDir)
	}
	return &Server{s}, nil
}

func (c *Config) options() (*server.Options, error) {
	o := &server.Options{Host: "127.0.0.1", Port: server.DEFAULT_PORT}
	if c.File != "" {
		var err error
		if o, err = server.ProcessConfigFile(c.File); err != nil {
			return nil, fmt.Errorf("nats-server: %w", err)
		}
	}
	o.NoSigs, o.JetStream = true, true
	if c.Store != "" {
		o.StoreDir = c.Store
	}
	if o.StoreDir == "" {
		return nil, errors.New("nats-server: no folder for JetStream")
	}
	if info, err := os.Stat(o.StoreDir); err == nil && !info.IsDir() { // the server would wait for the folder
		return nil, fmt.Errorf("nats-server: JetStream's folder %s is a file", o.StoreDir)
	}
	if c.MaxStoreBytes > 0 {
		o.JetStreamMaxStore = c.MaxStoreBytes
	}
	if c.Token != "" {
		o.Authorization = c.Token
	}
	if c.Log != "" {
		o.LogFile, o.Logtime = c.Log, true
	}
	if c.Listen != "" {
		if err := listen(o, c.Listen); err != nil {
			return nil, err
		}
	}
	if !c.AllowAnyone {
		return o, refuseOpen(o)
	}
	return o, nil
}

// listen sets the address for clients.
func listen(o *server.Options, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address %q: want HOST:PORT", address)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("listen address %q: port %q is not a number up to 65535", address, port)
	}
	o.Host, o.Port = host, int(number)
	if number == 0 {
		o.Port = server.RANDOM_PORT
	}
	return nil
}

// URL returns the URL for clients.
func (s *Server) URL() string { return s.server.ClientURL() }

// Close stops the server; JetStream's data stays on disk.
func (s *Server) Close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
