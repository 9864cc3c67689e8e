package bulk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Connection names the server, and the identity to use there.
type Connection struct {
	URL       string // one or more, separated by commas. Empty: nats://127.0.0.1:4222
	Name      string // how the server lists us
	Creds     string // a .creds file, with a JWT and its seed
	NKey      string // a file with an nkey's seed
	TokenFile string // a file with a token
	User      string // with the password in PasswordFile
	// PasswordFile is a file; a password in a flag or a URL can be seen by other users of the machine.
	PasswordFile string
	TLSCA        string // authorities to trust besides the system's
	TLSCert      string // ours, with TLSKey
	TLSKey       string
	// OnChange is called when the connection changes or fails: "disconnected: …", "connected again to …". May be nil.
	OnChange func(string)
}

// Client is a connection to a server with JetStream. It outlives restarts of the server: calls wait, or are repeated.
type Client struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	jobs    jetstream.KeyValue
	workers jetstream.KeyValue
	streams sync.Map // name to jetstream.Stream: each is looked up once
}

const (
	workerTTL     = 30 * time.Second // after which a silent worker counts as gone
	reconnectWait = 250 * time.Millisecond
	callTimeout   = 10 * time.Second // of one exchange with the server
	retryWait     = 250 * time.Millisecond
	settleTimeout = time.Minute // of a stream that gets more replicas
)

// Connect connects to a server and makes the buckets that all jobs share. The caller closes the Client.
func Connect(ctx context.Context, c Connection) (*Client, error) {
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	url := cmp.Or(c.URL, nats.DefaultURL)
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("bulk: server %s: %w", url, err)
	}
	client, err := newClient(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("bulk: server %s: %w", url, err)
	}
	return client, nil
}

func newClient(ctx context.Context, conn *nats.Conn) (*Client, error) {
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(callTimeout))
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, js: js}
	c.jobs, err = bucket(ctx, js, jetstream.KeyValueConfig{Bucket: jobsBucket, Description: "metalrank bulk: jobs"})
	if err == nil {
		c.workers, err = bucket(ctx, js, jetstream.KeyValueConfig{
			Bucket: workersBucket, Description: "metalrank bulk: workers that are alive", TTL: workerTTL, Storage: jetstream.MemoryStorage,
		})
	}
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) {
		err = fmt.Errorf("it has no JetStream: start it with -js, or use \"metalrank bulk serve\" (%w)", err)
	}
	return c, err
}

// bucket opens a bucket, or makes it: an operator may have made it with other settings, which stay.
func bucket(ctx context.Context, js jetstream.JetStream, config jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, config.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return js.CreateOrUpdateKeyValue(ctx, config)
	}
	return kv, err
}

func (c *Connection) options() ([]nats.Option, error) {
	tell := func(format string, args ...any) {
		if c.OnChange != nil {
			c.OnChange(fmt.Sprintf(format, args...))
		}
	}
	options := []nats.Option{
		nats.Name(cmp.Or(c.Name, "metalrank bulk")), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				tell("disconnected: %v", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) { tell("connected again to %s", conn.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { tell("%v", err) }),
	}
	if c.Creds != "" {
		options = append(options, nats.UserCredentials(c.Creds))
	}
	if c.NKey != "" {
		option, err := nats.NkeyOptionFromSeed(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("bulk: nkey %s: %w", c.NKey, err)
		}
		options = append(options, option)
	}
	if c.TokenFile != "" {
		token, err := secret(c.TokenFile)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Token(token))
	}
	if c.User != "" {
		password, err := secret(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.UserInfo(c.User, password))
	}
	if c.TLSCA != "" {
		options = append(options, nats.RootCAs(c.TLSCA))
	}
	if c.TLSCert != "" || c.TLSKey != "" {
		options = append(options, nats.ClientCert(c.TLSCert, c.TLSKey))
	}
	return options, nil
}

// secret returns the text of a file without the white space around it. An empty text is an error.
func secret(file string) (string, error) {
	if file == "" {
		return "", errors.New("bulk: a user needs a password file")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("bulk: %w", err)
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return "", fmt.Errorf("bulk: %s is empty", file)
	}
	return trimmed, nil
}

// Close sends buffered messages, and disconnects.
func (c *Client) Close() {
	_ = c.conn.FlushTimeout(time.Second) // a server that is gone gets nothing
	c.conn.Close()
}

// stream returns the handle of a stream.
func (c *Client) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if known, ok := c.streams.Load(name); ok {
		s, _ := known.(jetstream.Stream) // nothing else is put there
		return s, nil
	}
	s, err := c.js.Stream(ctx, name)
	if err == nil {
		c.streams.Store(name, s)
	}
	return s, err
}

// publish puts a message into a stream of a job, and repeats that while no stream answers: the server may be starting. If
// the job has been removed, its stream never answers, and the error is an ErrNoJob.
func (c *Client) publish(ctx context.Context, job string, told func(error), m *nats.Msg, options ...jetstream.PublishOpt) error {
	return persist(ctx, told, func(ctx context.Context) error {
		_, err := c.js.PublishMsg(ctx, m, options...)
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			if _, gone := c.Job(ctx, job); errors.Is(gone, ErrNoJob) {
				return gone
			}
		}
		return err
	})
}

// wait sleeps, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isPermanent says whether a repeated call would fail with the same error. Other errors pass: the server is away, is
// starting, or has no room.
func isPermanent(err error) bool {
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrAuthorization) ||
		errors.Is(err, nats.ErrPermissionViolation) {
		return true
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case jetstream.JSErrCodeStreamNotFound, jetstream.JSErrCodeConsumerNotFound,
			jetstream.JSErrCodeStreamMessageExceedsMaximum, jetstream.JSErrCodeMessageNotFound:
			return true
		}
	}
	return isConflict(err) || slices.ContainsFunc([]error{
		errFormat, ErrNoJob, ErrName, jetstream.ErrKeyNotFound, jetstream.ErrBucketNotFound, jetstream.ErrStreamNotFound,
		jetstream.ErrMsgNotFound,
	}, func(target error) bool { return errors.Is(err, target) })
}

// errConflict marks a key that already has a value, or another one than expected.
var errConflict = errors.New("bulk: it was changed")

// isConflict says whether an error is errConflict, or the server's own error for it.
func isConflict(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant
	}
	return errors.Is(err, errConflict) || errors.Is(err, jetstream.ErrKeyExists)
}

// persist repeats a call until it succeeds, fails for good, or ctx ends. told is called when it begins to wait.
func persist(ctx context.Context, told func(error), call func(context.Context) error) error {
	for first := true; ; first = false {
		try, cancel := context.WithTimeout(ctx, callTimeout)
		err := call(try)
		cancel()
		switch {
		case err == nil || isPermanent(err):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if first && told != nil {
			told(err)
		}
		if err := wait(ctx, retryWait); err != nil {
			return err
		}
	}
}
