package weights

import (
	"maps"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/weights/quant"
)

// The values that MLX takes where a layer's entry has none (to_quantized in mlx/nn/layers/linear.py, 0.32.1).
const (
	defaultGroupSize = 64
	defaultBits      = 4
)

// quantization reads the object that mlx-lm writes (save_config and load_model in mlx_lm/utils.py, 0.29): the scheme of
// all layers, and one for each layer that has its own:
//
//	"quantization": {"group_size": 64, "bits": 4, "mode": "affine", "bert.pooler.dense": {"group_size": 64, "bits": 8}}
//
// It is repeated as "quantization_config", a key that other tools use for other things.
func (f *fields) quantization() *Quantization {
	key := "quantization"
	if _, ok := f.get(key); !ok {
		key = "quantization_config"
		if _, ok := f.get(key); !ok {
			return nil
		}
	}
	all := f.object(key)
	if method := all.text("quant_method", ""); method != "" {
		f.compressedTensors(all, method)
		return nil
	}
	for _, required := range []string{"group_size", "bits"} {
		if _, ok := all.get(required); !ok && f.err == nil {
			f.err = invalidf("%s: %s.%s: absent", f.file, key, required)
		}
	}
	q := &Quantization{Affine: all.scheme(), Layers: map[string]quant.Affine{}}
	for _, layer := range slices.Sorted(maps.Keys(all.values)) {
		if all.values[layer].Kind() != '{' { // true and false say whether a layer is quantised, as its tensors do
			continue
		}
		own := all.object(layer)
		q.Layers[layer] = own.scheme()
		if all.err == nil {
			all.err = own.err
		}
	}
	if f.err == nil {
		f.err = all.err
	}
	return q
}

// scheme reads group_size, bits and mode.
func (f *fields) scheme() quant.Affine {
	a := quant.Affine{
		GroupSize: f.whole("group_size", defaultGroupSize, 1<<20),
		Bits:      f.whole("bits", defaultBits, 1<<20),
	}
	if mode := f.text("mode", "affine"); mode != "affine" && f.err == nil {
		f.err = unsupportedf("%s: %smode: %s, want \"affine\"", f.file, f.path, quote(mode))
	}
	if err := a.Check(); err != nil && f.err == nil {
		f.err = unsupportedf("%s: %s: %s", f.file, strings.TrimSuffix(f.path, "."), strings.TrimPrefix(err.Error(), "quant: "))
	}
	return a
}

// compressedTensors checks the config of a checkpoint that is quantised in another way than MLX's. Of those, only int8
// weights of the compressed-tensors library are read. The tensors show which layers are in int8.
func (f *fields) compressedTensors(config *fields, method string) {
	format := config.text("format", "")
	if f.err == nil {
		f.err = config.err
	}
	if f.err == nil && (method != "compressed-tensors" || format != "int-quantized") {
		f.err = unsupportedf("%s: %squant_method %s with format %s, want MLX's affine quantisation, or "+
			"compressed-tensors with int-quantized", f.file, config.path, quote(method), quote(format))
	}
}
