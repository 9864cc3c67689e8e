package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// tlsFlags make the server use TLS.
type tlsFlags struct {
	TLSCert string `name:"tls-cert" help:"Certificate chain, PEM: speak TLS, 1.2 or newer. Read again on SIGHUP, and when it or the key has changed." type:"path" placeholder:"FILE"`
	TLSKey  string `name:"tls-key" help:"The certificate's private key, PEM." type:"path" placeholder:"FILE"`
}

func (f *tlsFlags) validate() error {
	if (f.TLSCert == "") != (f.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	return nil
}

// open reads the certificate; it returns nil where no flag asks for TLS.
func (f *tlsFlags) open(logger *slog.Logger) (*certificate, error) {
	if f.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{files: [...]string{f.TLSCert, f.TLSKey}, logger: logger}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.read(c.stamps())
}

// certificate is a certificate in files that may be replaced while it is in use.
type certificate struct {
	files  [2]string // certificate, key
	logger *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu
	last    [2]stamp         // guarded by mu; of the files when they were last read, or could not be
	looked  time.Time        // guarded by mu; when stamps were last taken
}

// stamp tells whether a file has changed.
type stamp struct {
	modified  time.Time
	sizeBytes int64
}

// stampInterval bounds how often files are looked at, however many clients connect.
const stampInterval = time.Second

// config returns the configuration for a server.
func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: c.get}
}

func (c *certificate) stamps() (s [2]stamp) {
	for i, name := range c.files {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// read wants mu held.
func (c *certificate) read(now [2]stamp) error {
	c.last, c.looked = now, time.Now()
	pair, err := tls.LoadX509KeyPair(c.files[0], c.files[1])
	if err != nil {
		return fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.files[0], c.files[1], err)
	}
	c.current = &pair
	return nil
}

// reload reads the files. If that fails, the certificate stays as it is.
func (c *certificate) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readAgain(c.stamps())
}

// readAgain wants mu held.
func (c *certificate) readAgain(now [2]stamp) {
	if err := c.read(now); err != nil {
		c.logger.Error("certificate not read again; the one from before stays", "error", err)
		return
	}
	c.logger.Info("certificate read again", "expires", c.current.Leaf.NotAfter)
}

// get returns the certificate for a new connection. While only one of the two files has been replaced, they don't match,
// and the old certificate stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) >= stampInterval {
		c.looked = time.Now()
		if now := c.stamps(); now != c.last {
			c.readAgain(now)
		}
	}
	return c.current, nil
}

// String returns the names in the certificate, and when it expires.
func (c *certificate) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf := c.current.Leaf
	return fmt.Sprintf("for %s; expires %s", strings.Join(append([]string{leaf.Subject.CommonName}, leaf.DNSNames...), " "), leaf.NotAfter.Format(time.DateTime))
}
