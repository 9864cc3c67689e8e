package cpu

import "sync"

// gate decides between a call in blocks and urgent ones. An urgent call begins once the workers have ended the blocks that
// they are at. Before the next urgent call may begin, the call in blocks runs blocks that cost a third of the last urgent one.
// So it goes on however many urgent calls come. Costs are those of plans.
type gate struct {
	mu      sync.Mutex
	changed sync.Cond
	long    bool // a call in blocks is under way; all are guarded by mu
	urgent  int  // calls that run
	waiting int  // urgent ones that wait
	owed    int  // what the call in blocks may run before the next urgent one
}

// urgentParts is how many times its own part of the cost the call in blocks leaves to urgent ones: it has a quarter.
const urgentParts = 3

func newGate() *gate {
	g := &gate{}
	g.changed.L = &g.mu
	return g
}

// beginLong and endLong enclose a call in blocks. There is one at a time.
func (g *gate) beginLong() { g.setLong(true) }
func (g *gate) endLong()   { g.setLong(false) }

func (g *gate) setLong(long bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.long, g.owed = long, 0
	g.changed.Broadcast()
}

// beginUrgent returns when an urgent call may hand out its work; endUrgent is told its cost.
func (g *gate) beginUrgent() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
	for g.owed > 0 {
		g.changed.Wait()
	}
	g.waiting--
	g.urgent++
}

func (g *gate) endUrgent(cost int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.urgent--
	if g.long {
		g.owed += cost / urgentParts
	}
	g.changed.Broadcast()
}

// pass returns when the call in blocks may go on.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.urgent+g.waiting > 0 && g.owed <= 0 {
		g.changed.Wait()
	}
}

// ran counts a block, and says whether the worker should end with it.
func (g *gate) ran(cost int) (end bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.owed > 0 {
		if g.owed -= cost; g.owed <= 0 {
			g.owed = 0
			g.changed.Broadcast()
		}
	}
	return g.urgent+g.waiting > 0 && g.owed == 0
}
