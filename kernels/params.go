package kernels

import "math"

// The twins of the structs in params.h. Arguments are passed as words, in the order of the fields; the structs are here
// for the test that compares their offsets and sizes with the shader compiler's.

type embedArgs struct {
	Tokens    uint32
	Hidden    uint32
	Epsilon   float32
	GroupSize uint32
}

func (a embedArgs) record(r *Recorder) {
	r.words(a.Tokens, a.Hidden, math.Float32bits(a.Epsilon), a.GroupSize)
}

type normArgs struct {
	Rows    uint32
	Hidden  uint32
	Epsilon float32
}

func (a normArgs) record(r *Recorder) { r.words(a.Rows, a.Hidden, math.Float32bits(a.Epsilon)) }

type gemmArgs struct {
	M       uint32
	N       uint32
	K       uint32
	Epsilon float32
}

func (a gemmArgs) record(r *Recorder) { r.words(a.M, a.N, a.K, math.Float32bits(a.Epsilon)) }

type headArgs struct {
	Sequences   uint32
	Hidden      uint32
	Labels      uint32
	Columns     uint32
	Width       uint32
	Epsilon     float32
	HeadEpsilon float32
}

func (a headArgs) record(r *Recorder) {
	r.words(a.Sequences, a.Hidden, a.Labels, a.Columns, a.Width, math.Float32bits(a.Epsilon), math.Float32bits(a.HeadEpsilon))
}

type poolArgs struct {
	Hidden  uint32
	Epsilon float32
}

func (a poolArgs) record(r *Recorder) { r.words(a.Hidden, math.Float32bits(a.Epsilon)) }

type attentionArgs struct {
	QueryStride uint32
	KeyStride   uint32
	OutStride   uint32
	Scale       float32
	Placed      uint32
	TableStride uint32
	Reach       uint32
}

func (a attentionArgs) record(r *Recorder) {
	r.words(a.QueryStride, a.KeyStride, a.OutStride, math.Float32bits(a.Scale), a.Placed, a.TableStride, a.Reach)
}

type headNormArgs struct {
	Queries    uint32
	Keys       uint32
	Stride     uint32
	Epsilon    float32
	KeyEpsilon float32
}

func (a headNormArgs) record(r *Recorder) {
	r.words(a.Queries, a.Keys, a.Stride, math.Float32bits(a.Epsilon), math.Float32bits(a.KeyEpsilon))
}

// AttentionItem is up to ItemQueries query rows of one sequence against the keys that they see, as params.h has it.
type AttentionItem struct {
	Key     uint32 // row of the first key; of the first behind those of a prefix
	Keys    uint32 // how many, at least 1; those of a prefix, too
	Query   uint32 // row of the first query, in q and in out
	Queries uint32 // how many, 1 to ItemQueries
}

// AttentionPrefix is where the first keys of an item are, if they are those of another sequence.
type AttentionPrefix struct {
	Key  uint32 // row of the first
	Keys uint32 // how many; 0: none
}
