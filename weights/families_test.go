package weights

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/quant"
)

// TestPositionOffset: a RoBERTa's positions begin behind the rows that its padding takes, in a float table and in a
// quantised one.
func TestPositionOffset(t *testing.T) {
	a := quant.Affine{GroupSize: 32, Bits: 4}
	roberta := func(all []Tensor) []Tensor {
		return rename("bert.pooler.dense", "classifier.dense", "bert.", "roberta.", "classifier.", "classifier.out_proj.")(all)
	}
	toRoberta := func(config string) string { return strings.Replace(config, `"bert"`, `"roberta"`, 1) }
	for name, files := range map[string]map[string][]byte{
		"F32": {
			configFile:  []byte(toRoberta(configJSON(grouped))),
			weightsFile: writeSafetensors(roberta(bertTensors(grouped, F32))),
		},
		"MLX": {
			configFile:  []byte(toRoberta(quantizedConfig(`{"group_size":32,"bits":4,"classifier.out_proj":{"group_size":32,"bits":8}}`))),
			weightsFile: writeSafetensors(roberta(quantizeAll(a)(bertTensors(grouped, F32)))),
		},
	} {
		c, b, err := useAll(files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all, err := c.Weights()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(all, func(x Tensor) bool { return strings.HasSuffix(x.Name, "position_embeddings.weight") })
		h, table := grouped.HiddenSize, all[i]
		whole, part := make([]float32, table.Len()), make([]float32, b.Embeddings.Positions.Len())
		table.Float32s(whole, 0)
		b.Embeddings.Positions.Float32s(part, 0)
		if want := []int{grouped.MaxPositions - 2, h}; !slices.Equal(b.Embeddings.Positions.Shape, want) || c.Config().MaxPositions != want[0] {
			t.Errorf("%s: shape %d, %d positions, want %d", name, b.Embeddings.Positions.Shape, c.Config().MaxPositions, want)
		}
		if !slices.Equal(part, whole[2*h:]) || b.Embeddings.Positions.SizeBytes()*grouped.MaxPositions != table.SizeBytes()*len(part)/h {
			t.Errorf("%s: other rows than those of the file from 2 on", name)
		}
	}
}

// Errors for missing tensors have the family's names.
func TestFamilyErrors(t *testing.T) {
	for _, f := range families {
		config := strings.Replace(configJSON(tiny), `"bert"`, `"`+f.modelType+`","num_key_value_heads":2`, 1)
		_, _, err := useAll(map[string][]byte{configFile: []byte(config), weightsFile: writeSafetensors(nil)})
		if err == nil || !strings.Contains(err.Error(), `tensor "`+f.tensor(wordEmbeddings)+`": missing, as are `) {
			t.Errorf("%s: %v", f.modelType, err)
		}
		words := Tensor{Name: f.prefix + f.tensor(wordEmbeddings), DType: F32, Shape: []int{11, 8}, data: make([]byte, 11*8*4)}
		_, _, err = useAll(map[string][]byte{configFile: []byte(config), weightsFile: writeSafetensors([]Tensor{words})})
		nearest := likeMiniLM
		switch f.modelType {
		case "xlm-roberta":
			nearest = likeBGE
		case "modernbert":
			nearest = likeModern
		case "gte", "new":
			nearest = likeGTE
		case "qwen3", "qwen2", "llama_bidirec":
			nearest = likeQwen
		}
		wantError(t, err, fmt.Sprintf("weights: no %s.weight: this looks like an embedding model, not a cross-encoder, "+
			"whose head scores a pair (...ForSequenceClassification); nearest is %s", f.classifier, nearest), ErrNotCrossEncoder)
	}
}

// Layers of an ALBERT take the weights of their group: layer i of n has group ⌊i groups / n⌋, and all inner layers of it.
func TestALBERTGroups(t *testing.T) {
	const config = `{"model_type":"albert","hidden_size":8,"embedding_size":8,"num_attention_heads":2,"num_hidden_layers":5,"intermediate_size":6,` +
		`"vocab_size":11,"num_labels":1,"num_hidden_groups":2,"inner_group_num":2}`
	c, err := ParseConfig([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	r := &resolver{c: &Checkpoint{config: c}, family: familyOf("albert", "")}
	p := r.plan()
	if len(p.Layers) != 10 || p.Embeddings.Projection == nil {
		t.Errorf("%d layers, want 10, and a projection of embeddings that are as wide as the model", len(p.Layers))
	}
	var groups []string
	for _, name := range r.missing {
		if at, ok := strings.CutSuffix(name, ".ffn.weight"); ok {
			groups = append(groups, strings.TrimPrefix(at, "encoder.albert_layer_groups."))
		}
	}
	want := []string{}
	for _, group := range []int{0, 0, 0, 1, 1} {
		want = append(want, fmt.Sprintf("%d.albert_layers.0", group), fmt.Sprintf("%d.albert_layers.1", group))
	}
	if !slices.Equal(groups, want) {
		t.Errorf("groups %v, want %v", groups, want)
	}
}
