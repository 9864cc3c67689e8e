package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalrank/metalrank/engine"
)

// TestBudget lets a large request take all that large ones may. A small one still fits; another large one waits, first
// in vain, then with success.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1, &trimmer{})
		full, small, more := &reservation{budget: b}, &reservation{budget: b}, &reservation{budget: b}
		if f := full.take(b.large); f != nil {
			t.Fatal(f.message)
		}
		if f := small.take(smallReservation); f != nil {
			t.Fatal(f.message)
		}
		begin := time.Now()
		f := more.take(smallReservation + 1)
		if f == nil || f.kind != kindOverloaded || time.Since(begin) != budgetWait {
			t.Fatalf("one too many: %v after %v", f, time.Since(begin))
		}
		go func() {
			time.Sleep(budgetWait / 2)
			full.keep(1000)
		}()
		begin = time.Now()
		if f := more.take(smallReservation + 1); f != nil || time.Since(begin) != budgetWait/2 {
			t.Fatalf("one that waits: %v after %v", f, time.Since(begin))
		}
		if want := int64(1000 + 2*smallReservation + 1); b.used != want {
			t.Errorf("%d bytes are used, want %d", b.used, want)
		}
		for _, s := range []*reservation{full, small, more} {
			s.keep(0)
		}
		if b.used != 0 || len(b.waiters) != 0 {
			t.Errorf("%d bytes are used and %d wait, want none", b.used, len(b.waiters))
		}
	})
}

// TestBudgetClients limits a client that already has a request to half of the memory for large ones.
func TestBudgetClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1, &trimmer{})
		anne, ben := &client{name: "anne"}, &client{name: "ben"}
		first, second, other := &reservation{budget: b, client: anne}, &reservation{budget: b, client: anne}, &reservation{budget: b, client: ben}
		if f := first.take(b.large / 2); f != nil {
			t.Fatal(f.message)
		}
		if f := second.take(smallReservation + 1); f == nil {
			t.Error("the client has more than half")
		}
		if f := other.take(b.large / 2); f != nil {
			t.Errorf("the other client: %s", f.message)
		}
	})
}

// TestEvict wants the slowest of the readers to be evicted for a waiting request, and none without one.
func TestEvict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1, &trimmer{})
		var stopped [3]atomic.Bool
		for i, received := range []int{900, 10, 500} { // of 1000, after a second
			s := &reservation{budget: b}
			if f := s.take(b.large / 3); f != nil {
				t.Fatal(f.message)
			}
			s.receiving(&upload{time.Now(), 1000 * smallReservation, amount(received * smallReservation), stopper(func() {
				stopped[i].Store(true)
				go s.keep(0)
			})})
		}
		time.Sleep(time.Second)
		if stopped[0].Load() || stopped[1].Load() || stopped[2].Load() {
			t.Error("a reader was sent away for nobody")
		}
		waiting := &reservation{budget: b}
		if f := waiting.take(b.large / 3); f != nil {
			t.Error(f.message)
		}
		if stopped[0].Load() || !stopped[1].Load() || stopped[2].Load() {
			t.Error("the slowest should be sent away, and no other")
		}
	})
}

type amount int

func (a amount) len() int { return int(a) }

type stopper func()

func (s stopper) SetReadDeadline(time.Time) error {
	s()
	return nil
}

// TestBudgetHammer takes and gives back bytes from many goroutines: the sum never exceeds the budget, and nothing is
// left. They block each other until their waits time out, which takes no real time under synctest.
func TestBudgetHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1, &trimmer{})
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for range 200 {
					s := &reservation{budget: b, client: &client{}}
					for range 3 {
						if s.take(rand.Int64N(b.large/8)) != nil {
							break
						}
						b.mu.Lock()
						if b.used > b.all || b.used < 0 {
							t.Errorf("%d bytes are used, of %d", b.used, b.all)
						}
						b.mu.Unlock()
					}
					s.keep(rand.Int64N(1000))
					s.keep(0)
				}
			})
		}
		group.Wait()
		if b.used != 0 || len(b.waiters) != 0 || len(b.uploads) != 0 {
			t.Errorf("%d bytes, %d waiters, %d readers are left", b.used, len(b.waiters), len(b.uploads))
		}
	})
}

// TestHalfBodies has many clients announce more bytes than there is memory for, and send a part of them: other clients
// are answered, and no memory stays taken.
func TestHalfBodies(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{})
	const clients = 20
	var conns []net.Conn
	for range clients {
		c := dial(t, address)
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprintf(c, "POST /rerank HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 16000000\r\n\r\n%s", typeJSON, strings.Repeat(" ", 40_000))
		conns = append(conns, c)
	}
	refused := make(chan reply, clients)
	for _, c := range conns {
		go func() {
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // closed below
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			refused <- reply{response.StatusCode, response.Header, string(body), response.Close}
		}()
	}
	for range clients - int(s.budget.large/(copies*16_000_000)) {
		got := <-refused
		checkRefusal(t, got, 429, "Overloaded")
		if got.header.Get("Retry-After") == "" || !got.last {
			t.Errorf("%v, last %t", got.header, got.last)
		}
		checkAlive(t, address)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	waitFor(t, func() bool { return s.budget.usedNow() == 0 }, "the budget to be free")
}

func (b *budget) usedNow() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

func waitFor(t *testing.T, condition func() bool, what string) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestBudgetHolds checks that the texts of a request count until it is answered.
func TestBudgetHolds(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, address := start(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		entered <- struct{}{}
		<-release
		return rankByWords(q, d, o), nil
	}}, Config{})
	body := `{"query":"a","texts":["` + strings.Repeat("b", 1_000_000) + `"]}`
	for encoding, packed := range map[string]string{"identity": body, "gzip": pack(t, "gzip", strings.NewReader(body))} {
		done := make(chan reply)
		go func() {
			done <- send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", packed, typeJSON, "Content-Encoding: "+encoding))
		}()
		<-entered
		if used := s.budget.usedNow(); used != int64(len(body)) {
			t.Errorf("%s: %d bytes are used, want %d", encoding, used, len(body))
		}
		release <- struct{}{}
		if got := <-done; got.status != 200 {
			t.Errorf("%s: %d %s", encoding, got.status, got.body)
		}
		waitFor(t, func() bool { return s.budget.usedNow() == 0 }, "the budget to be free")
	}
}

// TestUnreadAnswers checks that a long answer counts until its client has read it, or has gone.
func TestUnreadAnswers(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{})
	body := `{"query":"a","return_text":true,"texts":["` + strings.Repeat("b", 2_000_000) + strings.Repeat(`","`+strings.Repeat("c", 2_000_000), 6) + `"]}`
	c := dial(t, address)
	defer c.Close()
	if err := c.SetReadBuffer(256 << 10); err != nil { // too small for a whole answer
		t.Fatal(err)
	}
	raw := request(http.MethodPost, "/rerank", body, typeJSON)
	fmt.Fprint(c, raw)
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		t.Fatal(err)
	}
	if used := s.budget.usedNow(); used < 14_000_000 || used > 14_001_000 {
		t.Errorf("%d bytes are used while the answer is written", used)
	}
	r := bufio.NewReader(io.MultiReader(strings.NewReader(string(first)), c))
	if got := receive(t, r, http.MethodPost); got.status != 200 || len(got.body) < 14_000_000 {
		t.Fatalf("%d, %d bytes", got.status, len(got.body))
	}
	waitFor(t, func() bool { return s.budget.usedNow() == 0 }, "the budget to be free")
	fmt.Fprint(c, raw)
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	waitFor(t, func() bool { return s.budget.usedNow() == 0 }, "the budget to be free after the client has gone")
}

// TestMaxConnections refuses a connection over the limit, and accepts one again after another has closed.
func TestMaxConnections(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{MaxConnections: 3})
	var conns []net.Conn
	for range 3 {
		c := dial(t, address)
		t.Cleanup(func() { _ = c.Close() })
		fmt.Fprint(c, secondRequest)
		if got := receive(t, bufio.NewReader(c), http.MethodGet); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		conns = append(conns, c)
	}
	got := send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON))
	if message := checkRefusal(t, got, 503, "Unhealthy"); message != "the server has 3 connections, which is the limit" ||
		!got.last || got.header.Get("Retry-After") != "1" {
		t.Errorf("%q, last %t, %v", message, got.last, got.header)
	}
	_ = conns[1].Close()
	waitFor(t, func() bool { return s.Connections() < 3 }, "a connection to be closed")
	checkAlive(t, address)
}

// TestDefaultsGoTogether sends as many documents as are taken, each of 3,990 tokens of four bytes.
func TestDefaultsGoTogether(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	document := strings.Repeat("abc ", 3990)
	body := `{"query":"a","documents":["` + strings.Repeat(document+`","`, 999) + document + `"]}`
	if got := rerank(t, address, body); got.status != 200 {
		t.Errorf("%d bytes: %d %s", len(body), got.status, got.body)
	}
}

// TestManyNames refuses too many names in an object, wherever in the body it is.
func TestManyNames(t *testing.T) {
	var many strings.Builder
	for i := range maxNames + 1 {
		fmt.Fprintf(&many, `"%x":1,`, i)
	}
	for _, body := range []string{
		`{` + many.String() + `"query":"a","texts":["a"]}`, `{"query":"a","documents":[{` + many.String() + `"text":"a"}]}`,
		`{"x":[{"y":{` + strings.Replace(many.String(), ":1,", `:{`, 1) + `"z":1}}}],"query":"a","texts":["a"]}`,
	} {
		_, f := decode([]byte(body), rerankForm, fuzzLimits)
		if f == nil || f.kind != kindValidation || !strings.Contains(f.message, "more than 100000 names") {
			t.Errorf("%.40s: %v", body, f)
		}
	}
	few := `{"x":[` + strings.Repeat(`{"a":1,"b":{"c":2}},`, maxNames) + `1],"query":"a","texts":["a"]}`
	if _, f := decode([]byte(few), rerankForm, fuzzLimits); f != nil {
		t.Errorf("many objects: %s", f.message)
	}
}
