package embedded

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrOpen is returned for a server that anybody may use from other machines.
var ErrOpen = errors.New("nats-server: other machines reach it, and it asks nobody who they are")

// refuseOpen returns an [ErrOpen] for the first listener that other machines reach without credentials. Every listener
// gives access to the jobs: those for clients, and those that connect servers with each other.
func refuseOpen(o *server.Options) error {
	clients := asksClients(o)
	for _, l := range []struct {
		name string
		host string
		port int
		asks bool
	}{
		{"clients", o.Host, o.Port, clients || o.TLSVerify},
		{"websocket", o.Websocket.Host, o.Websocket.Port, clients || o.Websocket.Username != "" || o.Websocket.Token != ""},
		{"mqtt", o.MQTT.Host, o.MQTT.Port, clients || o.MQTT.Username != "" || o.MQTT.Token != ""},
		{"leafnodes", o.LeafNode.Host, o.LeafNode.Port, clients || o.LeafNode.Username != "" || o.LeafNode.Nkey != "" || len(o.LeafNode.Users) > 0},
		{"cluster", o.Cluster.Host, o.Cluster.Port, o.Cluster.Username != "" || o.Cluster.TLSConfig != nil}, // TLS between servers wants certificates of both
		{"gateway", o.Gateway.Host, o.Gateway.Port, o.Gateway.Username != "" || o.Gateway.TLSConfig != nil},
	} {
		if l.port != 0 && !l.asks && !loopback(l.host) {
			return fmt.Errorf("%w: %s on %s", ErrOpen, l.name, net.JoinHostPort(l.host, strconv.Itoa(l.port)))
		}
	}
	return nil
}

// asksClients says whether clients need credentials.
func asksClients(o *server.Options) bool {
	if o.NoAuthUser != "" {
		return false // clients without credentials connect as this user
	}
	return o.Authorization != "" || o.Username != "" || len(o.Users) > 0 || len(o.Nkeys) > 0 || len(o.TrustedOperators) > 0 ||
		len(o.TrustedKeys) > 0 || o.AuthCallout != nil
}

// loopback says whether only this machine reaches an address. An empty host stands for all addresses.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
