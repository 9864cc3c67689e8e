package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights"
)

// member is a key of a JSON object with its value.
type member struct {
	key   string
	value any
}

// ordered is a JSON object that keeps its order.
type ordered []member

// MarshalJSONTo implements json.MarshalerTo.
func (o ordered) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, m := range o {
		if err := enc.WriteToken(jsontext.String(m.key)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, m.value); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// config returns the source's config.json with the new types in place of the old.
func (o Options) config(src *weights.Checkpoint, plan []tensorPlan) ([]byte, error) {
	data, err := src.File("config.json")
	if err != nil {
		return nil, err
	}
	members, err := readMembers(data)
	if err != nil {
		return nil, fmt.Errorf("convert: config.json: %w", err)
	}
	var kept ordered
	typed := false
	for _, m := range members {
		switch m.key {
		case "quantization", "quantization_config":
			continue
		case "torch_dtype", "dtype": // the name until transformers 4.55, and since
			m.value, typed = torchName[o.Float], true
		}
		kept = append(kept, m)
	}
	if words := src.NamedTokens(); words != nil { // the new folder may have another name
		kept = append(kept, member{"classifier_from_token", words})
	}
	if !typed {
		kept = append(kept, member{"torch_dtype", torchName[o.Float]})
	}
	switch {
	case o.Bits == 0:
	case o.Scheme == MLX:
		q := o.mlxQuantization(plan)
		kept = append(kept, member{"quantization", q}, member{"quantization_config", q})
	default:
		kept = append(kept, member{"quantization_config", compressedTensors(plan)})
	}
	return json.Marshal(kept, jsontext.WithIndent("  "))
}

var torchName = map[weights.DType]string{weights.F32: "float32", weights.F16: "float16", weights.BF16: "bfloat16"}

// readMembers splits the top level of a JSON object.
func readMembers(data []byte) (ordered, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	if token, err := dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, errors.Join(errors.New("want a JSON object"), err)
	}
	var all ordered
	for dec.PeekKind() != '}' {
		key, err := dec.ReadToken()
		if err != nil {
			return nil, err
		}
		name := key.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		all = append(all, member{name, value.Clone()})
	}
	if _, err := dec.ReadToken(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return all, nil
}

// mlxQuantization returns the object that mlx-lm writes: the scheme of all layers, and those of layers that have
// another.
func (o Options) mlxQuantization(plan []tensorPlan) ordered {
	q := ordered{{"group_size", o.GroupSize}, {"bits", o.Bits}, {"mode", "affine"}}
	for _, p := range plan {
		if p.form == asAffine && p.scheme.Bits != o.Bits {
			q = append(q, member{p.layer, ordered{{"group_size", p.scheme.GroupSize}, {"bits", p.scheme.Bits}, {"mode", "affine"}}})
		}
	}
	return q
}

// compressedTensors returns the config of the format "int-quantized" (QuantizationConfig in quantization/quant_config.py
// of vllm-project/compressed-tensors, 0.12): int8 weights by output channel, activations by token at run time. A table
// of embeddings has rows for channels, and no activations.
func compressedTensors(plan []tensorPlan) ordered {
	ignored, floatTables, tables := []string{}, []string{}, false
	for _, p := range plan {
		switch {
		case isEmbedding(p.layer) && p.form == asChannel:
			tables = true
		case isEmbedding(p.layer) && p.form == asFloat:
			floatTables = append(floatTables, p.layer)
		case p.form == asFloat && len(p.source.Shape) == 2:
			ignored = append(ignored, p.layer)
		}
	}
	int8By := func(strategy string, dynamic bool) ordered {
		return ordered{
			{"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", strategy}, {"dynamic", dynamic},
		}
	}
	groups := ordered{{"group_0", ordered{
		{"targets", []string{"Linear"}},
		{"weights", int8By("channel", false)},
		{"input_activations", int8By("token", true)},
	}}}
	if tables {
		ignored = append(ignored, floatTables...)
		groups = append(groups, member{"group_1", ordered{
			{"targets", []string{"Embedding"}},
			{"weights", int8By("channel", false)},
		}})
	}
	return ordered{
		{"quant_method", "compressed-tensors"},
		{"format", "int-quantized"},
		{"quantization_status", "compressed"},
		{"config_groups", groups},
		{"ignore", ignored},
	}
}
