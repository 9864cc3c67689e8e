package weights

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// build makes a folder of the tiny model after its tensors went through edit.
func build(config string, edit func([]Tensor) []Tensor) map[string][]byte {
	return map[string][]byte{
		configFile:  []byte(config),
		weightsFile: writeSafetensors(edit(bertTensors(tiny, F16))),
	}
}

// rename returns an edit that replaces text in all names.
func rename(pairs ...string) func([]Tensor) []Tensor {
	return func(all []Tensor) []Tensor {
		for i := range all {
			all[i].Name = strings.NewReplacer(pairs...).Replace(all[i].Name)
		}
		return all
	}
}

// drop returns an edit that removes the tensors with a text in their name.
func drop(part string) func([]Tensor) []Tensor {
	return func(all []Tensor) []Tensor {
		return slices.DeleteFunc(all, func(x Tensor) bool { return strings.Contains(x.Name, part) })
	}
}

func extra(x ...Tensor) func([]Tensor) []Tensor {
	return func(all []Tensor) []Tensor { return append(all, x...) }
}

func keep(all []Tensor) []Tensor { return all }

// TestBERTNames: tensors are found under each of their names.
func TestBERTNames(t *testing.T) {
	for name, edit := range map[string]func([]Tensor) []Tensor{
		"prefix":    keep,
		"no prefix": rename("bert.", ""),
		"old norms": rename("LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta"),
		"both old":  rename("bert.", "", "LayerNorm.weight", "LayerNorm.gamma", "LayerNorm.bias", "LayerNorm.beta"),
		"mixed":     rename("bert.encoder.layer.1", "encoder.layer.1"),
		"extras": extra(Tensor{Name: "cls.predictions.bias", DType: F64, Shape: []int{1}, data: make([]byte, 8)},
			Tensor{Name: "bert.embeddings.position_ids", DType: I64, Shape: []int{0}},
			Tensor{Name: "embeddings.position_ids", DType: I64, Shape: []int{0}}),
	} {
		c, b, err := useAll(build(configJSON(tiny), edit))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := bertTensors(tiny, F16)
		e := &b.Embeddings
		got := []Tensor{e.Words, *e.Positions, *e.Types, e.Norm.Gamma, e.Norm.Beta}
		for _, l := range b.Layers {
			for _, x := range []Linear{l.Query, l.Key, l.Value, l.Output} {
				got = append(got, x.Weight, x.Bias)
			}
			got = append(got, l.AttentionNorm.Gamma, l.AttentionNorm.Beta, l.Inner.Weight, l.Inner.Bias,
				l.Outer.Weight, l.Outer.Bias, l.OuterNorm.Gamma, l.OuterNorm.Beta)
		}
		for _, s := range b.Head {
			got = append(got, s.Linear.Weight, s.Linear.Bias)
		}
		for i, w := range want {
			if g := got[i]; !bytes.Equal(g.Bytes(), w.data) || !slices.Equal(g.Shape, w.Shape) {
				t.Errorf("%s: %q found for %q", name, g.Name, w.Name)
			}
			if x, ok := c.Tensor(got[i].Name); !ok || x.Name != got[i].Name {
				t.Errorf("%s: Tensor(%q) = %q, %v", name, got[i].Name, x.Name, ok)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d tensors, want %d", name, len(got), len(want))
		}
	}
}

func TestBERTErrors(t *testing.T) {
	const dense = "bert.encoder.layer.0.output.dense.weight"
	reshape := func(name string, d DType, shape ...int) func([]Tensor) []Tensor {
		return func(all []Tensor) []Tensor {
			i := slices.IndexFunc(all, func(x Tensor) bool { return x.Name == name })
			all[i].DType, all[i].Shape = d, shape
			all[i].data = make([]byte, all[i].Len()*d.Size())
			return all
		}
	}
	scalar := func(name string) Tensor { return Tensor{Name: name, DType: F32, data: make([]byte, 4)} }
	threeLabels := tiny
	threeLabels.Labels = []string{"a", "b", "c"}
	for _, c := range []struct {
		config string
		edit   func([]Tensor) []Tensor
		want   string
		kind   error
	}{
		{configJSON(tiny), keep, "", nil},
		{configJSON(tiny), reshape(dense, F32, 12, 8), `weights: tensor "` + dense + `": shape [12 8], want [8 12]`, ErrInvalid},
		{configJSON(tiny), reshape(dense, F32, 96), `weights: tensor "` + dense + `": shape [96], want [8 12]`, ErrInvalid},
		{configJSON(tiny), reshape(dense, I8, 8, 12), `weights: tensor "` + dense + `": dtype I8, want F32, F16 or BF16`, ErrUnsupported},
		{configJSON(tiny), reshape("classifier.bias", F32), `weights: tensor "classifier.bias": shape [], want [1]`, ErrInvalid},
		{configJSON(threeLabels), keep, `weights: tensor "classifier.weight": shape [1 8], want [3 8]`, ErrInvalid},
		{edited("vocab_size", "12"), keep, `weights: tensor "bert.embeddings.word_embeddings.weight": shape [11 8], want [12 8]`, ErrInvalid},
		{edited("num_hidden_layers", "3"), keep, `weights: tensor "bert.encoder.layer.2.attention.self.query.weight": missing, as are 15 more of 57`, ErrInvalid},
		{edited("num_hidden_layers", "1"), keep, "", nil}, // transformers leaves the rest out too
		{configJSON(tiny), drop("output.dense.bias"), `weights: tensor "bert.encoder.layer.0.attention.output.dense.bias": missing, as are 3 more of 41`, ErrInvalid},
		{configJSON(tiny), func(a []Tensor) []Tensor { return rename("bert.", "")(drop("key.bias")(a)) },
			`weights: tensor "encoder.layer.0.attention.self.key.bias": missing, as are 1 more of 41`, ErrInvalid},
		{configJSON(tiny), rename("bert.", "model."), `weights: tensor "embeddings.word_embeddings.weight": missing, as are 38 more of 41`, ErrInvalid},
		{configJSON(tiny), drop("classifier.bias"), `weights: tensor "classifier.bias": missing, as are 0 more of 41`, ErrInvalid},
		{configJSON(tiny), drop("pooler"), `weights: no bert.pooler.dense.weight: the score of a BERT cross-encoder is computed from the pooled [CLS] row`, ErrInvalid},
		{configJSON(tiny), drop("classifier"), `weights: no classifier.weight: this looks like an embedding model, not a cross-encoder, whose head scores a pair (...ForSequenceClassification); nearest is cross-encoder/ms-marco-MiniLM-L6-v2 (bert)`, ErrNotCrossEncoder},
		{configJSON(tiny), func(a []Tensor) []Tensor { return rename("bert.", "")(drop("pooler")(drop("classifier")(a))) },
			`weights: no classifier.weight: this looks like an embedding model, not a cross-encoder, whose head scores a pair (...ForSequenceClassification); nearest is cross-encoder/ms-marco-MiniLM-L6-v2 (bert)`, ErrNotCrossEncoder},
		{configJSON(tiny), rename("classifier", "bert.classifier"), `weights: no classifier.weight: this looks like an embedding model, not a cross-encoder, whose head scores a pair (...ForSequenceClassification); nearest is cross-encoder/ms-marco-MiniLM-L6-v2 (bert)`, ErrNotCrossEncoder},
		{configJSON(tiny), extra(scalar("pooler.dense.bias")), `weights: tensor "bert.pooler.dense.bias": also there as "pooler.dense.bias", want one of them`, ErrInvalid},
		{configJSON(tiny), extra(scalar("bert.embeddings.LayerNorm.gamma")), `weights: tensor "bert.embeddings.LayerNorm.weight": also there as "bert.embeddings.LayerNorm.gamma", want one of them`, ErrInvalid},
		{configJSON(tiny), func([]Tensor) []Tensor { return nil }, `weights: tensor "embeddings.word_embeddings.weight": missing, as are 40 more of 41`, ErrInvalid},
	} {
		_, _, err := useAll(build(c.config, c.edit))
		wantError(t, err, c.want, c.kind)
	}
}

// TestMixedDTypes: each tensor may have its own type.
func TestMixedDTypes(t *testing.T) {
	types := []DType{F32, F16, BF16}
	_, b, err := useAll(build(configJSON(tiny), func(all []Tensor) []Tensor {
		for i := range all {
			values := make([]float32, all[i].Len())
			for j := range values {
				values[j] = float32(i + 1)
			}
			all[i].DType = types[i%3]
			all[i].data = encode(all[i].DType, values)
		}
		return all
	}))
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, 1)
	b.Head[1].Linear.Bias.Float32s(x, 0)
	if got := fmt.Sprint(b.Embeddings.Words.DType, b.Embeddings.Positions.DType, b.Embeddings.Types.DType, x[0]); got != "F32 F16 BF16 41" {
		t.Error(got)
	}
}
