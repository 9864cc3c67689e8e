package simulate

import (
	"container/heap"
	"math"
	"time"
)

// ring shares a cost among members by deficit round robin (Shreedhar and Varghese, 1996), in the form that lets a member
// go below zero by its last piece of work, since a sequence's place in a batch is known only once it is there.
//
// In each round a member may take its quantum. Rounds are numbers, and the member with the lowest is served: so a turn
// costs a step in a heap, and ties in a round can be broken by deadline.
//
// A newcomer joins the round that is going on, with a first credit, and before the others in it: small work is done in its
// first turn. That could keep the others waiting for ever; so newcomers may put only so much before them in a round, and
// after that join the next that has room.
type ring[T any] struct {
	config   ringConfig
	members  []*share[T] // a heap, first to be served first
	weight   float64     // of all members
	round    uint64      // that is going on; 0 before the first
	entry    uint64      // the round that newcomers join
	room     float64     // cost left for newcomers in it
	fresh    int         // members that have not had a turn, or were promoted
	arrivals uint64
}

type ringConfig struct {
	// total is the cost that a round hands out among all members, but no member gets less than least.
	total, least float64
	// first is a newcomer's credit, and newcomers the limit for all newcomers of a round together.
	first, newcomers float64
}

// share is a member's standing in a ring. The zero value has weight 1 once it joins.
type share[T any] struct {
	owner    T
	weight   float64
	credit   float64 // left of its turn
	round    uint64  // in which it is served next
	fresh    bool    // has not had a turn
	promoted bool    // to the round before the one it is due in
	deadline time.Duration
	arrival  uint64
	at       int // in the heap, from 1; 0: not a member
}

func (s *share[T]) joined() bool { return s.at > 0 }

// join makes s a member that wants no more than need. A member that left in this round, or ahead of it, comes back with the
// credit that it had then, so that leaving gains nothing.
func (r *ring[T]) join(s *share[T], need float64) {
	if s.weight <= 0 {
		s.weight = 1
	}
	r.weight += s.weight
	if len(r.members) == 0 {
		r.begin(max(r.round, s.round, 1))
	}
	r.arrivals++
	s.arrival = r.arrivals
	if s.round < r.round {
		if r.fresh == 0 && r.entry > r.round { // the newcomers that it was put off for have left
			r.entry, r.room = r.round+1, r.config.newcomers
		}
		if r.room <= 0 {
			r.entry, r.room = r.entry+1, r.config.newcomers
		}
		s.fresh, s.credit, s.round = true, r.config.first*s.weight, r.entry
		r.room -= min(s.credit, need)
	}
	if s.fresh {
		r.fresh++
	}
	heap.Push(r, s)
}

// begin starts a round.
func (r *ring[T]) begin(round uint64) {
	r.round = round
	if r.entry < round {
		r.entry, r.room = round, r.config.newcomers
	}
}

// next returns the member to be served, or nil.
func (r *ring[T]) next() *share[T] {
	if len(r.members) == 0 {
		return nil
	}
	return r.reach(r.members[0])
}

// reach goes on to the round of s, which is to be served, if that is not yet reached.
func (r *ring[T]) reach(s *share[T]) *share[T] {
	if s.round > r.round {
		r.begin(s.round)
	}
	return s
}

// promote puts a member that has had its turn before the others again, as it was when it was a newcomer, if it is due
// no later than in the next round. Its cost is charged, so that it gains time and nothing else; and as it is due later
// then, it can't be promoted for ever.
func (r *ring[T]) promote(s *share[T]) {
	if s.fresh || s.round > r.round+1 {
		return
	}
	s.fresh = true
	r.fresh++
	if s.round > r.round {
		s.round, s.promoted = r.round, true
	}
	r.arrivals++
	s.arrival = r.arrivals
	heap.Fix(r, s.at-1)
}

// demote undoes promote, or ends a newcomer's turn.
func (r *ring[T]) demote(s *share[T]) {
	if !s.fresh {
		return
	}
	s.fresh = false
	if s.promoted {
		s.round, s.promoted = s.round+1, false
	}
	if s.joined() {
		r.fresh--
		heap.Fix(r, s.at-1)
	}
}

// charge takes cost from a member's credit. When that is used up its turn is over, and it waits for as many rounds as
// its credit takes to be positive again. A negative cost gives back.
func (r *ring[T]) charge(s *share[T], cost float64) {
	s.credit -= cost
	if s.credit > 0 {
		return
	}
	all := r.weight
	if !s.joined() {
		all += s.weight
	}
	quantum := max(r.config.total/all, r.config.least) * s.weight
	rounds := math.Floor(-s.credit/quantum) + 1
	s.credit += rounds * quantum
	if s.credit <= 0 { // by rounding
		s.credit += quantum
		rounds++
	}
	s.round += uint64(rounds)
	r.demote(s)
	if s.joined() {
		heap.Fix(r, s.at-1)
	}
}

// leave ends a membership. The standing is kept, for when the member comes back.
func (r *ring[T]) leave(s *share[T]) {
	if !s.joined() {
		return
	}
	if s.promoted {
		r.demote(s)
	}
	if s.fresh {
		r.fresh--
	}
	heap.Remove(r, s.at-1)
	r.weight -= s.weight
	if len(r.members) == 0 {
		r.weight = 0 // without rounding errors
	}
}

func (s *share[T]) before(t *share[T]) bool {
	switch {
	case s.round != t.round:
		return s.round < t.round
	case s.fresh != t.fresh:
		return s.fresh
	case s.deadline != t.deadline:
		return s.deadline != 0 && (t.deadline == 0 || s.deadline < t.deadline)
	}
	return s.arrival < t.arrival
}

// Len implements heap.Interface.
func (r *ring[T]) Len() int { return len(r.members) }

// Less implements heap.Interface.
func (r *ring[T]) Less(i, j int) bool { return r.members[i].before(r.members[j]) }

// Swap implements heap.Interface.
func (r *ring[T]) Swap(i, j int) {
	r.members[i], r.members[j] = r.members[j], r.members[i]
	r.members[i].at, r.members[j].at = i+1, j+1
}

// Push implements heap.Interface.
func (r *ring[T]) Push(s any) {
	member := s.(*share[T]) //nolint:errcheck // there is nothing else
	r.members = append(r.members, member)
	member.at = len(r.members)
}

// Pop implements heap.Interface.
func (r *ring[T]) Pop() any {
	last := len(r.members) - 1
	s := r.members[last]
	r.members[last] = nil
	r.members = r.members[:last]
	s.at = 0
	return s
}
