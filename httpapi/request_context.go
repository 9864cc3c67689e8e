package httpapi

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// timeoutHeaders are the names under which a request may say how long it waits.
var timeoutHeaders = [...]string{"X-Request-Timeout", "Request-Timeout"}

// maxRequestTimeout is a day; a client that waits longer needs no timeout.
const maxRequestTimeout = 86400 // seconds

// requestTimeout returns the shortest time that headers give, or 0.
func requestTimeout(header *fasthttp.RequestHeader) (time.Duration, *failure) {
	var shortest time.Duration
	for _, name := range timeoutHeaders {
		raw := header.Peek(name)
		if raw == nil {
			continue
		}
		value := string(raw)
		number := scanner{text: raw}
		ok := number.number()
		seconds, err := strconv.ParseFloat(value, 64)
		if !ok || number.at != len(value) || err != nil || seconds <= 0 || seconds > maxRequestTimeout {
			return 0, failf(kindValidation, "%s is %s, want seconds, more than 0 and at most %d", name, quote(value), maxRequestTimeout)
		}
		timeout := max(1, time.Duration(seconds*float64(time.Second)))
		if shortest == 0 || timeout < shortest {
			shortest = timeout
		}
	}
	return shortest, nil
}

// requestContext is the context of a request. It ends when the client has gone or the request's time is over.
type requestContext struct {
	context.Context
	watchedClient
	watch *watcher // nil: the connection is not watched
}

// newRequestContext begins a request's context; the handler must call end before it returns.
//
// Its context is not fasthttp's, which ends as soon as Shutdown begins, and not when the client leaves: an accepted
// request is answered, unless Cancel is called.
func (s *Server) newRequestContext(ctx *fasthttp.RequestCtx) (*requestContext, *failure) {
	timeout, f := requestTimeout(&ctx.Request.Header)
	if f != nil {
		return nil, f
	}
	w := &requestContext{}
	if timeout > 0 {
		w.Context, w.cancel = context.WithDeadline(s.life, readAt(ctx).Add(timeout))
	} else {
		w.Context, w.cancel = context.WithCancel(s.life)
	}
	if c := ourConn(ctx.Conn()); c != nil && c.raw != nil {
		w.conn, w.watch = c.raw, &s.watch
		w.watch.add(&w.watchedClient)
	}
	return w, nil
}

func (w *requestContext) end() {
	if w.watch != nil {
		w.watch.remove(&w.watchedClient)
	}
	w.cancel()
}

// ourConn returns the *conn below c's wrappers, or nil.
func ourConn(c net.Conn) *conn {
	for {
		switch wrapped := c.(type) {
		case *conn:
			return wrapped
		case interface{ NetConn() net.Conn }: // such as *tls.Conn
			c = wrapped.NetConn()
		default:
			return nil
		}
	}
}

// watcher checks now and then whether the clients of requests in flight are still there: nothing reads from their
// connections meanwhile, so nothing else would notice. It has one goroutine, while there is any such request.
type watcher struct {
	mu      sync.Mutex
	clients []*watchedClient // guarded by mu
	running bool             // guarded by mu
}

type watchedClient struct {
	conn   syscall.RawConn
	cancel context.CancelFunc
	index  int  // in clients, or gone; guarded by the watcher's mu
	old    bool // was there at the last look; guarded by the watcher's mu
}

const (
	// watchInterval is the time between looks. A request is not looked at before one interval has passed, so that quick
	// ones cost no system call.
	watchInterval = 50 * time.Millisecond
	gone          = -1
)

func (w *watcher) add(one *watchedClient) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one.index = len(w.clients)
	w.clients = append(w.clients, one)
	if !w.running {
		w.running = true
		go w.run()
	}
}

func (w *watcher) remove(one *watchedClient) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(one)
}

// drop removes one. The caller holds mu.
func (w *watcher) drop(one *watchedClient) {
	if one.index == gone {
		return
	}
	last := len(w.clients) - 1
	w.clients[one.index] = w.clients[last]
	w.clients[one.index].index = one.index
	w.clients[last] = nil
	w.clients = w.clients[:last]
	one.index = gone
}

func (w *watcher) run() {
	for {
		time.Sleep(watchInterval)
		if !w.look() {
			return
		}
	}
}

// look cancels the requests of clients that have gone, and returns false if no request is left to watch. A connection
// can't be closed while it is looked at: its handler must get past remove first.
func (w *watcher) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range slices.Backward(w.clients) { // drop fills the place with a client already seen
		if !one.old {
			one.old = true
			continue
		}
		if closedByPeer(one.conn) {
			w.drop(one)
			one.cancel()
		}
	}
	w.running = len(w.clients) > 0
	return w.running
}
