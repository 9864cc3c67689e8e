package sim

// Counters counts the work of a dispatch exactly: the same on every run, for any seed and any number of host threads.
// The first block is counted always, the second only in checked mode. There, the compiler's optimisation of memory
// accesses is limited (-O1, no vectorisation), so that an access in the source is one here. The compiler still removes
// a load of a value that is known already, as Metal's compiler does: the counts are of a good compiler's code.
type Counters struct {
	Threadgroups uint64
	Threads      uint64
	// ThreadgroupBarriers counts threadgroup_barrier once per threadgroup, SimdgroupBarriers simdgroup_barrier once
	// per simdgroup.
	ThreadgroupBarriers uint64
	SimdgroupBarriers   uint64
	// SimdgroupOperations counts collective operations of a simdgroup's lanes (simd_sum, simd_shuffle, quad_…), once
	// per simdgroup; neither barriers nor matrices are among them.
	SimdgroupOperations uint64
	// MatrixMultiplies counts 8×8×8 multiplications of simdgroup_matrix, once per simdgroup.
	MatrixMultiplies uint64

	// FLOPs counts additions, subtractions, multiplications and divisions of floating-point numbers. Each element of a
	// vector counts, and a fused multiplication and addition counts as two. It does not count comparisons, min, max and
	// conversions, nor SIMD-group operations, matrices (MatrixFLOPs) and transcendentals, which have their own counters.
	FLOPs uint64
	// Transcendentals counts exp, log, pow, sin, tanh, sqrt, rsqrt and their kin, once for each number.
	Transcendentals uint64
	// Bytes that threads read and wrote in device memory; atomics are among them, an update as a read and a write.
	DeviceReadBytes    uint64
	DeviceWrittenBytes uint64
	// Distinct bytes among them: the traffic of a cache that never evicts.
	DeviceReadUniqueBytes    uint64
	DeviceWrittenUniqueBytes uint64
	// ConstantReadBytes went through `constant` pointers, the argument bytes among them.
	ConstantReadBytes uint64
	// Bytes that threads read and wrote in threadgroup memory.
	ThreadgroupReadBytes    uint64
	ThreadgroupWrittenBytes uint64
	// Atomics counts atomic operations, except loads.
	Atomics uint64
}

// MatrixFLOPs is the arithmetic of MatrixMultiplies: 8·8·8 multiplications and as many additions each.
func (c Counters) MatrixFLOPs() uint64 { return 2 * 8 * 8 * 8 * c.MatrixMultiplies }

// Plus returns c + times·other.
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
