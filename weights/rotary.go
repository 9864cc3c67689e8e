package weights

import (
	"fmt"
	"math"
	"strconv"
)

// maxTheta bounds the base of rotary frequencies.
const maxTheta = 1e12

// rotaryFrequencies returns theta^(-2 i / size) for i from 0 to size/2 - 1, as float32 like transformers' inv_freq.
func rotaryFrequencies(theta float64, size int) []float32 {
	f := make([]float32, size/2)
	for i := range f {
		f[i] = float32(1 / math.Pow(theta, float64(2*i)/float64(size)))
	}
	return f
}

// headSize returns the size of a head, which rotary positions need to be even. A head_dim of its own is not implemented, nor
// are heads of which a part is turned.
func (f *fields) headSize(c *Config) int {
	if c.Heads == 0 || c.HiddenSize%c.Heads != 0 { // ParseConfig returns that error
		return 2
	}
	f.is("partial_rotary_factor", 1)
	size := c.HiddenSize / c.Heads
	if own := f.whole("head_dim", size, maxHidden); own != size && f.err == nil {
		f.err = unsupportedf("%s: head_dim: %d, want hidden_size / num_attention_heads, %d", f.file, own, size)
	}
	if size%2 != 0 && f.err == nil {
		f.err = unsupportedf("%s: heads of %d values have no rotary positions, want an even number", f.file, size)
	}
	return size
}

// theta reads rope_theta of an object of rope parameters, and refuses kinds of scaling.
func (f *fields) theta(absent float64) float64 {
	for _, key := range []string{"rope_type", "type"} {
		if kind := f.text(key, "default"); kind != "default" && f.err == nil {
			f.err = unsupportedf("%s: %s%s: %s, want \"default\": rotary positions without scaling", f.file, f.path, key, quote(kind))
		}
	}
	f.is("partial_rotary_factor", 1)
	return f.positive("rope_theta", absent)
}

// positive reads a number above 0, at most maxTheta.
func (f *fields) positive(key string, absent float64) float64 {
	v, ok := f.get(key)
	if !ok {
		return absent
	}
	x, err := strconv.ParseFloat(string(v), 64)
	if v.Kind() != '0' || err != nil || !(x > 0 && x <= maxTheta) {
		f.fail(key, v, fmt.Sprintf("a number above 0, at most %g", maxTheta))
		return absent
	}
	return x
}

// is refuses a number other than want.
func (f *fields) is(key string, want float64) {
	v, ok := f.get(key)
	if !ok {
		return
	}
	if x, err := strconv.ParseFloat(string(v), 64); v.Kind() != '0' || err != nil || x != want {
		f.err = unsupportedf("%s: %s%s: %s, want %g", f.file, f.path, key, shorten(string(v)), want)
	}
}

// absent refuses a value that says something.
func (f *fields) absent(keys ...string) {
	for _, key := range keys {
		if v, ok := f.get(key); ok && !isEmpty(v) {
			f.err = unsupportedf("%s: %s%s: %s is not supported, leave it out", f.file, f.path, key, shorten(string(v)))
		}
	}
}
