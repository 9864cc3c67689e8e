package sim

// Counters is what a dispatch did, counted exactly: the same on every run, whatever the seed and however many host
// threads. The first block is counted always, the second only in checked mode, where the compiler's optimisation of
// memory accesses is held down (-O1, no vectorisation), so that an access in the source is one here. It still
// removes a load whose value is known already, as Metal's compiler does: the counts are of a good compiler's code.
type Counters struct {
	Threadgroups uint64
	Threads      uint64
	// ThreadgroupBarriers counts threadgroup_barrier once per threadgroup, SimdgroupBarriers simdgroup_barrier once
	// per simdgroup.
	ThreadgroupBarriers uint64
	SimdgroupBarriers   uint64
	// SimdgroupOperations counts what the lanes of a simdgroup do together (simd_sum, simd_shuffle, quad_…), once
	// per simdgroup; neither barriers nor matrices are among them.
	SimdgroupOperations uint64
	// MatrixMultiplies counts 8×8×8 multiplications of simdgroup_matrix, once per simdgroup.
	MatrixMultiplies uint64

	// FLOPs counts additions, subtractions, multiplications and divisions of floating-point numbers, each element of a
	// vector for itself and a fused multiplication and addition as two; not comparisons, min, max and conversions,
	// nor what is counted elsewhere: SIMD-group operations, matrices (MatrixFLOPs) and transcendentals.
	FLOPs uint64
	// Transcendentals counts exp, log, pow, sin, tanh, sqrt, rsqrt and their kin, once for each number.
	Transcendentals uint64
	// Bytes that threads read and wrote in device memory; atomics are among them, an update as a read and a write.
	DeviceReadBytes    uint64
	DeviceWrittenBytes uint64
	// Distinct bytes among them: what a cache that never forgets would move.
	DeviceReadUniqueBytes    uint64
	DeviceWrittenUniqueBytes uint64
	// ConstantReadBytes went through `constant` pointers, the argument bytes among them.
	ConstantReadBytes uint64
	// Bytes that threads read and wrote in threadgroup memory.
	ThreadgroupReadBytes    uint64
	ThreadgroupWrittenBytes uint64
	// Atomics counts what threads did atomically, loads apart.
	Atomics uint64
}

// MatrixFLOPs is the arithmetic of MatrixMultiplies: 8·8·8 multiplications and as many additions each.
func (c Counters) MatrixFLOPs() uint64 { return 2 * 8 * 8 * 8 * c.MatrixMultiplies }

// Plus returns c and, so many times, what another counted.
func (c Counters) Plus(other Counters, times uint64) Counters {
	return Counters{
		Threadgroups:             c.Threadgroups + times*other.Threadgroups,
		Threads:                  c.Threads + times*other.Threads,
		ThreadgroupBarriers:      c.ThreadgroupBarriers + times*other.ThreadgroupBarriers,
		SimdgroupBarriers:        c.SimdgroupBarriers + times*other.SimdgroupBarriers,
		SimdgroupOperations:      c.SimdgroupOperations + times*other.SimdgroupOperations,
		MatrixMultiplies:         c.MatrixMultiplies + times*other.MatrixMultiplies,
		FLOPs:                    c.FLOPs + times*other.FLOPs,
		Transcendentals:          c.Transcendentals + times*other.Transcendentals,
		DeviceReadBytes:          c.DeviceReadBytes + times*other.DeviceReadBytes,
		DeviceWrittenBytes:       c.DeviceWrittenBytes + times*other.DeviceWrittenBytes,
		DeviceReadUniqueBytes:    c.DeviceReadUniqueBytes + times*other.DeviceReadUniqueBytes,
		DeviceWrittenUniqueBytes: c.DeviceWrittenUniqueBytes + times*other.DeviceWrittenUniqueBytes,
		ConstantReadBytes:        c.ConstantReadBytes + times*other.ConstantReadBytes,
		ThreadgroupReadBytes:     c.ThreadgroupReadBytes + times*other.ThreadgroupReadBytes,
		ThreadgroupWrittenBytes:  c.ThreadgroupWrittenBytes + times*other.ThreadgroupWrittenBytes,
		Atomics:                  c.Atomics + times*other.Atomics,
	}
}
