package engine

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights"
)

func TestChooseActivation(t *testing.T) {
	one, three := []string{"LABEL_0"}, []string{"no", "maybe", "yes"}
	for _, c := range []struct {
		name   string
		config weights.Config
		want   string
	}{
		{"one label", weights.Config{Labels: one}, "sigmoid"},
		{"several labels", weights.Config{Labels: three}, "softmax"},
		{"several labels, several true", weights.Config{Labels: three, ProblemType: "multi_label_classification"}, "sigmoid"},
		{"named identity", weights.Config{Labels: one, ScoreActivation: "torch.nn.modules.linear.Identity"}, "identity"},
		{"named sigmoid", weights.Config{Labels: three, ScoreActivation: "torch.nn.modules.activation.Sigmoid"}, "sigmoid"},
		{"named briefly", weights.Config{Labels: one, ScoreActivation: "torch.nn.Tanh"}, "tanh"},
	} {
		got, err := chooseActivation(c.config)
		if err != nil || got.name != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got.name, err, c.want)
		}
	}
	for _, path := range []string{"my.module.Squash", "my.module.Sigmoid", "torch.nn.ReLU"} {
		_, err := chooseActivation(weights.Config{Labels: one, ScoreActivation: path})
		if err == nil || !strings.Contains(err.Error(), `"`+path+`" is not supported`) {
			t.Errorf("error %v, want one that names the activation", err)
		}
	}
}

func TestActivations(t *testing.T) {
	if got := sigmoid(0.25); math.Abs(got-0.5621765008857981) > 1e-15 { // 1/(1+exp(-1/4))
		t.Errorf("sigmoid(0.25) = %v", got)
	}
	if sigmoid(30) >= sigmoid(31) {
		t.Error("sigmoid makes logits of 30 and 31 equal")
	}
	if low, high := sigmoid(-1e308), sigmoid(1e308); low != 0 || high != 1 {
		t.Errorf("sigmoid at the ends is %v and %v, want 0 and 1", low, high)
	}
	row := []float64{1000, 1000 + math.Log(3)} // large enough to overflow a plain exp
	softmax(row)
	if math.Abs(row[0]-0.25) > 1e-12 || math.Abs(row[1]-0.75) > 1e-12 {
		t.Errorf("softmax = %v, want [0.25 0.75]", row)
	}
}

// TestScale checks each scale of each kind of checkpoint, by formulas of its own.
func TestScale(t *testing.T) {
	one, three := []float64{0.5}, []float64{0.5, -1, 2}
	sum := math.Exp(0.5) + math.Exp(-1) + math.Exp(2)
	soft := []float64{math.Exp(0.5) / sum, math.Exp(-1) / sum, math.Exp(2) / sum}
	logistic := func(x float64) float64 { return math.Exp(x) / (1 + math.Exp(x)) }
	each := []float64{logistic(0.5), logistic(-1), logistic(2)}
	for _, c := range []struct {
		name   string
		config weights.Config
		logits []float64
		scale  Scale
		raw    bool
		want   []float64
	}{
		{"Identity", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Identity"}, one, ScaleModel, false, one},
		{"Identity as a probability", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Identity"}, one, ScaleProbability, false, []float64{logistic(0.5)}},
		{"Identity, raw", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Identity"}, one, ScaleProbability, true, one},
		{"Sigmoid", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Sigmoid"}, one, ScaleProbability, false, []float64{logistic(0.5)}},
		{"Sigmoid, raw", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Sigmoid"}, one, ScaleModel, true, one},
		{"Tanh", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Tanh"}, one, ScaleModel, false, []float64{math.Tanh(0.5)}},
		{"Tanh as a probability", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Tanh"}, one, ScaleProbability, false, []float64{logistic(0.5)}},
		{"softmax of one label", weights.Config{Labels: []string{"a"}, ScoreActivation: "torch.nn.Softmax"}, one, ScaleProbability, false, []float64{logistic(0.5)}},
		{"three labels", weights.Config{Labels: []string{"a", "b", "c"}}, three, ScaleModel, false, soft},
		{"three labels as probabilities", weights.Config{Labels: []string{"a", "b", "c"}}, three, ScaleProbability, false, soft},
		{"several at once", weights.Config{Labels: []string{"a", "b", "c"}, ProblemType: "multi_label_classification"}, three, ScaleModel, false, each},
		{"several at once as probabilities", weights.Config{Labels: []string{"a", "b", "c"}, ProblemType: "multi_label_classification"}, three, ScaleProbability, false, soft},
		{"Identity of three labels as probabilities", weights.Config{Labels: []string{"a", "b", "c"}, ScoreActivation: "torch.nn.Identity"}, three, ScaleProbability, false, soft},
	} {
		activation, err := chooseActivation(c.config)
		if err != nil {
			t.Fatal(err)
		}
		row := slices.Clone(c.logits)
		e := &Engine{activation: activation}
		e.scaled(row, &Options{Scale: c.scale, RawScores: c.raw})
		for i := range row {
			if math.Abs(row[i]-c.want[i]) > 1e-15 {
				t.Errorf("%s: %v, want %v", c.name, row, c.want)
			}
		}
	}
}
