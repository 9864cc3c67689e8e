package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Start fails at once where the store is a file, not a folder.
func TestStoreIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Start(Config{Listen: "127.0.0.1:0", Store: path}); err == nil || !strings.Contains(err.Error(), path+" is a file") {
		t.Errorf("%v, error %v", s, err)
	}
}

// A server that other machines reach wants credentials on each of its listeners, unless AllowAnyone is set.
func TestOpenAddressNeedsProof(t *testing.T) {
	const users = "authorization { users: [ { user: ann, password: secret } ] }\n"
	for _, c := range []struct {
		listen, token, file string
		open                string // the listener; "": none
	}{
		{"127.0.0.1:0", "", "", ""},
		{"[::1]:0", "", "", ""},
		{"localhost:0", "", "", ""},
		{"", "", "", ""},
		{"0.0.0.0:0", "", "", "clients on 0.0.0.0"},
		{"[::]:0", "", "", "clients on [::]"},
		{":4222", "", "", "clients on :4222"},
		{"192.0.2.1:4222", "", "", "clients on 192.0.2.1:4222"},
		{"example.com:4222", "", "", "clients on example.com:4222"},
		{"0.0.0.0:0", "secret", "", ""},
		{"", "", "port: 4222\n", "clients on :4222"}, // all addresses
		{"127.0.0.1:0", "", "port: 4222\n", ""},
		{"", "", "listen: 0.0.0.0:4222\n" + users, ""},
		{"", "", "listen: 0.0.0.0:4222\nno_auth_user: ann\n" + users, "clients on 0.0.0.0"},
		{"", "", "listen: 0.0.0.0:4222\nauthorization { token: secret }\n", ""},
		{"127.0.0.1:0", "", "websocket { port: 4223, no_tls: true }\n", "websocket on :4223"},
		{"127.0.0.1:0", "secret", "websocket { port: 4223, no_tls: true }\n", ""},
		{"127.0.0.1:0", "", "leafnodes { listen: 0.0.0.0:4223 }\n", "leafnodes on 0.0.0.0:4223"},
		{"127.0.0.1:0", "secret", "cluster { name: c, listen: 0.0.0.0:4223 }\n", "cluster on 0.0.0.0:4223"},
		{"127.0.0.1:0", "secret", "cluster { name: c, listen: 0.0.0.0:4223, authorization { user: a, password: b } }\n", ""},
		{"127.0.0.1:0", "", "cluster { name: c, listen: 127.0.0.1:4223 }\n", ""},
	} {
		config := Config{Listen: c.listen, Token: c.token, Store: t.TempDir()}
		if c.file != "" {
			config.File = filepath.Join(t.TempDir(), "nats.conf")
			if err := os.WriteFile(config.File, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := config.options()
		if errors.Is(err, ErrOpen) != (c.open != "") || c.open == "" && err != nil || c.open != "" && !strings.Contains(err.Error(), c.open) {
			t.Errorf("%+v: %v", c, err)
		}
		config.AllowAnyone = true
		if _, err := config.options(); err != nil {
			t.Errorf("%+v, allowed: %v", c, err)
		}
	}
}
