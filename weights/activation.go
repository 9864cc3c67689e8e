package weights

import (
	"slices"
	"strings"
)

// Activation is the function between the two linear layers of the feed-forward block, or after the pooler.
type Activation uint8

const (
	// GELU is x * 0.5 * (1 + erf(x / sqrt(2))).
	GELU Activation = iota + 1
	// GELUNew is 0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))).
	GELUNew
	// ReLU is max(x, 0).
	ReLU
	// Tanh is the hyperbolic tangent. It follows the pooler, and is no value of hidden_act here.
	Tanh
	// SiLU is x / (1 + exp(-x)).
	SiLU
)

// activations lists the names of ACT2CLS in transformers' activations.py (5.23.0) that compute one of the four
// formulas: those after the first of each differ from it in the order of operations only, that is by rounding.
// gelu_fast writes sqrt(2/pi) as 0.7978845608, which is the same float32. Not here, being other functions:
// quick_gelu (a sigmoid), gelu_10 (clipped), relu2, relu6.
var activations = []struct {
	is    Activation
	names []string
}{
	{GELU, []string{"gelu", "gelu_python"}},
	{GELUNew, []string{"gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate"}},
	{ReLU, []string{"relu"}},
	{SiLU, []string{"silu", "swish"}},
}

// parseActivation finds the function for a value of hidden_act.
func parseActivation(name string) (Activation, bool) {
	for _, a := range activations {
		if slices.Contains(a.names, name) {
			return a.is, true
		}
	}
	return 0, false
}

// activationNames lists the values that hidden_act may have, for an error text.
func activationNames() string {
	var all []string
	for _, a := range activations {
		all = append(all, a.names...)
	}
	return strings.Join(all, ", ")
}

// String returns the name in a config.
func (a Activation) String() string {
	if a == Tanh {
		return "tanh"
	}
	for _, known := range activations {
		if known.is == a {
			return known.names[0]
		}
	}
	return "invalid activation"
}
