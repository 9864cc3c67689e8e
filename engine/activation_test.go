package engine

import (
	"math"
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
	_, err := chooseActivation(weights.Config{Labels: one, ScoreActivation: "my.module.Squash"})
	if err == nil || !strings.Contains(err.Error(), `"my.module.Squash" is not supported`) {
		t.Errorf("error %v, want one that names the activation", err)
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
