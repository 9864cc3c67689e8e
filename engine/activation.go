package engine

import (
	"fmt"
	"math"
	"strings"

	"github.com/metalrank/metalrank/weights"
)

// scoreActivation turns one row of logits into scores, in place; the row is [C].
type scoreActivation struct {
	name  string
	apply func(row []float64)
}

// chooseActivation follows sentence-transformers' CrossEncoder for one label: the activation that config.json names, else
// the sigmoid. For several labels, where CrossEncoder leaves the logits, it follows transformers' text-classification
// pipeline: softmax, or a sigmoid for each label where problem_type says that labels don't exclude one another.
func chooseActivation(config weights.Config) (scoreActivation, error) {
	// A Python class, as torch.nn.modules.activation.Sigmoid or torch.nn.Sigmoid; those of other packages are refused.
	if path := config.ScoreActivation; path != "" {
		name, ok := strings.CutPrefix(path, "torch.")
		if !ok {
			name = ""
		}
		switch name[strings.LastIndexByte(name, '.')+1:] {
		case "Identity":
			return scoreActivation{"identity", func([]float64) {}}, nil
		case "Sigmoid":
			return sigmoidActivation, nil
		case "Tanh":
			return scoreActivation{"tanh", eachLabel(math.Tanh)}, nil
		case "Softmax":
			return softmaxActivation, nil
		}
		return scoreActivation{}, fmt.Errorf(
			"engine: config.json: activation_fn %q is not supported (Identity, Sigmoid, Tanh and Softmax are)", path)
	}
	if len(config.Labels) == 1 || config.ProblemType == "multi_label_classification" {
		return sigmoidActivation, nil
	}
	return softmaxActivation, nil
}

// Scale selects the activation from logits to scores.
type Scale int

const (
	// ScaleModel applies the checkpoint's activation: for Identity, scores are logits.
	ScaleModel Scale = iota
	// ScaleProbability applies the sigmoid where a model has one label and softmax where it has several, as
	// text-embeddings-inference does, and not the checkpoint's activation.
	ScaleProbability
)

var (
	sigmoidActivation = scoreActivation{"sigmoid", eachLabel(sigmoid)}
	softmaxActivation = scoreActivation{"softmax", softmax}
)

// scaled applies to a row of logits the activation that options ask for, in place.
func (e *Engine) scaled(row []float64, options *Options) {
	switch {
	case options.RawScores:
	case options.Scale == ScaleModel:
		e.activation.apply(row)
	case len(row) == 1:
		sigmoidActivation.apply(row)
	default:
		softmaxActivation.apply(row)
	}
}

func eachLabel(f func(float64) float64) func([]float64) {
	return func(row []float64) {
		for i, v := range row {
			row[i] = f(v)
		}
	}
}

// sigmoid in float64 keeps scores apart that would all be 1 in float32, from a logit of about 17 on.
func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func softmax(row []float64) {
	top := math.Inf(-1)
	for _, v := range row {
		top = max(top, v)
	}
	var sum float64
	for i, v := range row {
		row[i] = math.Exp(v - top)
		sum += row[i]
	}
	for i := range row {
		row[i] /= sum
	}
}
