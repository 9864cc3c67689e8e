package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type member struct {
	share[*member]
	served float64
}

func newMember(weight float64) *member {
	m := &member{}
	m.owner, m.weight = m, weight
	return m
}

// Members that always want more get parts by weight, for pieces of any cost.
func TestRingSharesByWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring[*member]{config: ringConfig{total: 1000, least: 10, first: 250, newcomers: 3000}}
		members := make([]*member, rapid.IntRange(1, 12).Draw(t, "members"))
		weights := 0.
		for i := range members {
			members[i] = newMember(float64(rapid.IntRange(1, 5).Draw(t, "weight")))
			weights += members[i].weight
			r.join(&members[i].share, 1e9)
		}
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
		total := 0.
		for total < 200_000 {
			m := r.next().owner
			cost := 1 + 99*random.Float64()
			m.served += cost
			total += cost
			r.charge(&m.share, cost)
		}
		for _, m := range members {
			// Any two may be apart by a turn or two, and the first credit.
			want, allowed := total*m.weight/weights, 3*m.weight*(1000/weights+250)+200
			if m.served < want-allowed || m.served > want+allowed {
				t.Fatalf("weight %g of %g got %g of %g, want %g within %g", m.weight, weights, m.served, total, want, allowed)
			}
		}
	})
}

// However many newcomers there are, a member with pieces no larger than a quantum gets a turn in every round, and rounds
// are bounded.
func TestRingStarvesNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := ringConfig{total: 1000, least: 100, first: 250, newcomers: 3000}
		r := ring[*member]{config: config}
		old := make([]*member, rapid.IntRange(1, 8).Draw(t, "old"))
		for i := range old {
			old[i] = newMember(1)
			r.join(&old[i].share, 1e9)
		}
		wait := make(map[*member]float64)
		random := rand.New(rand.NewPCG(2, rapid.Uint64().Draw(t, "seed")))
		for range 5000 {
			for range random.IntN(4) { // more newcomers than can be served, each done in its first turn
				r.join(&newMember(1).share, 100)
			}
			m := r.next().owner
			isOld := false
			for _, o := range old {
				if o == m {
					isOld = true
				} else {
					wait[o] += 100
				}
			}
			r.charge(&m.share, 100)
			if isOld {
				wait[m] = 0
			} else {
				r.leave(&m.share)
			}
			for _, o := range old {
				// Between a member's turns of two rounds are at most both rounds: in each the newcomers' limit, with the
				// last piece over it, and a turn of each other member, with its last piece over.
				if bound := 2 * (config.newcomers + 100 + config.total + 100*float64(len(old))); wait[o] > bound {
					t.Fatalf("a member has waited while others took %g, want at most %g", wait[o], bound)
				}
			}
		}
	})
}

// Leaving and coming back gains nothing.
func TestRingKeepsStanding(t *testing.T) {
	r := ring[*member]{config: ringConfig{total: 100, least: 1, first: 25, newcomers: 300}}
	steady, flighty := newMember(1), newMember(1)
	r.join(&steady.share, 1e9)
	r.join(&flighty.share, 1e9)
	for range 10_000 {
		m := r.next().owner
		m.served += 10
		r.charge(&m.share, 10)
		r.leave(&flighty.share)
		r.join(&flighty.share, 1e9)
	}
	if ratio := flighty.served / steady.served; ratio > 1.3 {
		t.Errorf("one that leaves after every turn gets %.2f times as much as one that stays", ratio)
	}
}

func TestRingOrder(t *testing.T) {
	r := ring[*member]{config: ringConfig{total: 100, least: 1, first: 25, newcomers: 300}}
	late, none, soon := newMember(1), newMember(1), newMember(1)
	late.deadline, soon.deadline = 2*time.Second, time.Second
	for _, m := range []*member{none, late, soon} {
		r.join(&m.share, 1e9)
	}
	for i, want := range []*member{soon, late, none} {
		if got := r.next().owner; got != want {
			t.Fatalf("turn %d goes to the wrong member", i)
		}
		r.charge(&want.share, 25) // all of its first credit
	}
	newcomer := newMember(1)
	r.join(&newcomer.share, 1e9)
	if r.next().owner != newcomer {
		t.Error("a newcomer does not go before those that had a turn")
	}
}

// A member that is to be served has credit, or it would be served nothing for ever. In each case the credit left is a whole
// number of quanta but for rounding.
func TestRingChargeLeavesCredit(t *testing.T) {
	for _, c := range []struct{ total, members, weight, credit, cost float64 }{
		{608, 12, 1.5, 228, 380},
		{14, 12, 3, 10.5, 28},
		{1300, 3, 3, 378.0000000000002, 2978},
	} {
		r := ring[*member]{config: ringConfig{total: c.total, least: c.total / 64}, weight: c.members * c.weight}
		m := newMember(c.weight)
		r.members = append(r.members, &m.share)
		m.at, m.credit = 1, c.credit
		if r.charge(&m.share, c.cost); !(m.credit > 0) {
			t.Errorf("total %g, %g members of weight %g: a credit of %g charged %g leaves %g",
				c.total, c.members, c.weight, c.credit, c.cost, m.credit)
		}
	}
}

// A member that has left and is charged all the same has a quantum as the others have.
func TestRingChargesWhoLeft(t *testing.T) {
	r := ring[*member]{config: ringConfig{total: 100, least: 1, first: 25, newcomers: 300}}
	m := newMember(1)
	r.join(&m.share, 1e9)
	r.leave(&m.share)
	if r.charge(&m.share, 1000); !(m.credit > 0 && m.credit <= 100) {
		t.Errorf("a member that left has a credit of %g after a turn, want one of 0 to 100", m.credit)
	}
}

// Newcomers that leave before their turn do not put off later ones by the credit that they would have had.
func TestRingForgetsWhoLeft(t *testing.T) {
	config := ringConfig{total: 1000, least: 10, first: 250, newcomers: 3000}
	r := ring[*member]{config: config}
	old := newMember(1)
	r.join(&old.share, 1e9)
	r.charge(&r.next().owner.share, config.first)
	left := make([]*member, 100)
	for i := range left {
		left[i] = newMember(1)
		r.join(&left[i].share, config.first)
	}
	for _, m := range left {
		r.leave(&m.share)
	}
	newcomer := newMember(1)
	r.join(&newcomer.share, config.first)
	waited := 0.
	for r.next().owner != newcomer {
		r.charge(&old.share, 100)
		waited += 100
	}
	if waited > config.total+100 {
		t.Errorf("a newcomer waits for %g of another's, want a round's %g at most", waited, config.total)
	}
}

// Being promoted gains time, and no more.
func TestRingHurryIsCharged(t *testing.T) {
	r := ring[*member]{config: ringConfig{total: 100, least: 1, first: 25, newcomers: 300}}
	steady, hasty := newMember(1), newMember(1)
	r.join(&steady.share, 1e9)
	r.join(&hasty.share, 1e9)
	for range 10_000 {
		r.promote(&hasty.share)
		m := r.next().owner
		m.served += 10
		r.charge(&m.share, 10)
		r.demote(&hasty.share)
	}
	if ratio := hasty.served / steady.served; ratio > 1.01 || ratio < 0.99 {
		t.Errorf("one that is hurried whenever it can be gets %.3f times as much as one that never is", ratio)
	}
}
