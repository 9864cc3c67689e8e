package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalrank/metalrank/weights/builtin"
)

// BenchmarkConcurrentRequests sends the same pairs in one call and as mixed requests of many callers, in turn, and reports
// the ratio of the times: the cost of scheduling, small requests and their gathering on a real backend.
//
//	go test -run '^$' -bench ConcurrentRequests -benchtime 1x ./engine
func BenchmarkConcurrentRequests(b *testing.B) {
	for _, precision := range []string{PrecisionFP32, PrecisionInt8} {
		b.Run(precision, func(b *testing.B) {
			e, err := Open(b.Context(), Config{Embedded: builtin.Open, Precision: precision, TokenCacheBytes: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			pairs, requests := trafficOf(2000)
			score := func(pairs []Pair) {
				if _, err := e.Score(b.Context(), pairs, raw); err != nil {
					b.Error(err)
				}
			}
			score(pairs[:200])
			var ratios []float64
			for range b.N {
				for range 5 {
					begin := time.Now()
					score(pairs)
					offline := time.Since(begin)
					begin = time.Now()
					var callers sync.WaitGroup
					next := make(chan []Pair)
					for range 16 {
						callers.Go(func() {
							for request := range next {
								score(request)
							}
						})
					}
					for _, request := range requests {
						next <- request
					}
					close(next)
					callers.Wait()
					ratios = append(ratios, offline.Seconds()/time.Since(begin).Seconds())
				}
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "of-offline")
			b.ReportMetric(ratios[0], "of-offline-least")
			b.ReportMetric(ratios[len(ratios)-1], "of-offline-most")
		})
	}
}

// trafficOf makes n pairs of 10 to 120 words, and cuts them into requests of 1 to 100.
func trafficOf(n int) (pairs []Pair, requests [][]Pair) {
	random := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("the of kettle river seven quickly stone under lamp paper morning train glass orange slowly north")
	text := func(most int) string {
		var s []string
		for range 1 + random.IntN(most) {
			s = append(s, words[random.IntN(len(words))])
		}
		return strings.Join(s, " ")
	}
	for i := range n {
		pairs = append(pairs, Pair{Query: fmt.Sprint("what is number ", i/20), Document: text(20) + " " + text(100)})
	}
	for rest := pairs; len(rest) > 0; {
		size := min(1+random.IntN(8), len(rest))
		if random.IntN(10) == 0 {
			size = min(100, len(rest))
		}
		requests, rest = append(requests, rest[:size]), rest[size:]
	}
	return pairs, requests
}
