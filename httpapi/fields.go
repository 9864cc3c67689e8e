package httpapi

import "math"

// Readers of fields that several dialects have, and makers of readers. Several fields may set the same option: one of
// them is enough, so their order doesn't matter.

// flag makes a field that is true or false. It sets the bool that of returns if the value equals when. null is neither.
func flag(name string, when bool, of func(*call) *bool) field {
	return field{name, func(d *decoder, name string) bool {
		value, is, ok := d.truth(name)
		if is && value == when {
			*of(&d.call) = true
		}
		return ok
	}}
}

// truth reads true, false or null, which is neither.
func (d *decoder) truth(name string) (value, is, ok bool) {
	switch {
	case d.literal("true"):
		return true, true, true
	case d.literal("false"):
		return false, true, true
	case d.literal("null"):
		return false, false, true
	}
	return false, false, d.wrong(name, wantTruth)
}

const wantTruth = "true or false"

// laxFlag is flag for a field of servers that read it by pydantic.
func laxFlag(name string, when bool, of func(*call) *bool) field {
	return field{name, func(d *decoder, name string) bool {
		if d.literal("null") {
			return true
		}
		value, ok := lax(d, laxBool)
		if !ok {
			return d.wrong(name, wantTruth)
		}
		if value == when {
			*of(&d.call) = true
		}
		return true
	}}
}

// count makes a field that is a limit: a whole number; 0 and null mean none. Of two fields the smaller counts.
func count(name string, of func(*call) *int) field {
	return field{name, func(d *decoder, name string) bool {
		if d.literal("null") {
			return true
		}
		value, ok := d.integer(0)
		if !ok {
			return d.wrong(name, "a whole number from 0 to 2147483647")
		}
		if to := of(&d.call); value != 0 && (*to == 0 || int(value) < *to) {
			*to = int(value)
		}
		return true
	}}
}

// side makes a field that is one of words: true for those that mean the beginning. null counts as absent.
func side(name string, words map[string]bool, want string) field {
	return field{name, func(d *decoder, name string) bool {
		if d.literal("null") {
			return true
		}
		at := d.at
		if d.next() == '"' {
			value, _, ok := d.string()
			if !ok {
				return false
			}
			if left, known := words[value]; known {
				d.left = d.left || left
				return true
			}
			d.at = at
		}
		return d.wrong(name, want)
	}}
}

var (
	queryField = field{"query", readQuery}
	modelField = field{"model", readModel}
)

func readQuery(d *decoder, name string) (ok bool) {
	if d.next() != '"' {
		return d.wrong(name, "a string")
	}
	d.hasQuery = true
	before := d.characters
	d.query, ok = d.readText(name, -1, d.limits.queryCharacters)
	d.queryCharacters = d.characters - before
	return ok
}

func readModel(d *decoder, name string) (ok bool) {
	if d.literal("null") {
		return true
	}
	if d.next() != '"' {
		return d.wrong(name, "a string")
	}
	d.model, _, ok = d.string()
	return ok
}

// priorityField is Cohere's and vLLM's: smaller goes first.
var priorityField = field{"priority", func(d *decoder, name string) bool {
	if d.literal("null") {
		return true
	}
	value, ok := d.integer(math.MinInt32)
	if !ok {
		return d.wrong(name, "a whole number from -2147483648 to 2147483647")
	}
	d.options.Weight = weight(value)
	return true
}}

// maxPriorityWeight is the weight of the most urgent request, and its inverse that of the least urgent; priority 0 has
// weight 1. The engine shares by weight and starves no request, so a priority is a share and not a place in a queue.
const maxPriorityWeight = 16

// weight halves for each step of priority, from 1 at 0; the engine takes no more than maxPriorityWeight either way.
func weight(priority int64) float64 {
	steps := max(-math.Log2(maxPriorityWeight), min(math.Log2(maxPriorityWeight), float64(priority)))
	return math.Exp2(-steps)
}
