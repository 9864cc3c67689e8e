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

// refuseOpen returns an [ErrOpen] for the first listener that other machines reach without a proof of who they are. All of
// them lead to the jobs: clients', and those that make servers one.
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
		{"cluster", o.Cluster.Host, o.Cluster.Port, o.Cluster.Username != "" || o.Cluster.TLSConfig != nil}, // which wants certificates of both
		{"gateway", o.Gateway.Host, o.Gateway.Port, o.Gateway.Username != "" || o.Gateway.TLSConfig != nil},
	} {
		if l.port != 0 && !l.asks && !loopback(l.host) {
			return fmt.Errorf("%w: %s on %s", ErrOpen, l.name, net.JoinHostPort(l.host, strconv.Itoa(l.port)))
		}
	}
	return nil
}

// asksClients says whether a client has to prove who it is.
func asksClients(o *server.Options) bool {
	if o.NoAuthUser != "" {
		return false // as whom all come in who say nothing
	}
	return o.Authorization != "" || o.Username != "" || len(o.Users) > 0 || len(o.Nkeys) > 0 || len(o.TrustedOperators) > 0 ||
		len(o.TrustedKeys) > 0 || o.AuthCallout != nil
}

// loopback says whether only this machine reaches an address. No host is all addresses.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
