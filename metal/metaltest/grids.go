package metaltest

import (
	"fmt"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// grids are the shapes that testGrids tries: groups and threads.
func grids() [][2]metal.Size {
	var shapes [][2]metal.Size
	for _, groups := range []uint32{1, 2, 17} {
		for _, threads := range []uint32{1, 2, 31, 32, 33, 63, 97, 1024} {
			shapes = append(shapes, [2]metal.Size{{X: groups}, {X: threads}})
		}
	}
	return append(shapes,
		[2]metal.Size{{X: 3, Y: 5}, {X: 7, Y: 3}},
		[2]metal.Size{{X: 1, Y: 17}, {X: 32, Y: 32}},
		[2]metal.Size{{X: 17, Y: 1, Z: 1}, {X: 1, Y: 33}},
		[2]metal.Size{{X: 2, Y: 3, Z: 4}, {X: 5, Y: 3, Z: 2}},
		[2]metal.Size{{X: 1, Y: 1, Z: 2}, {X: 8, Y: 8, Z: 16}},
		[2]metal.Size{{X: 2, Y: 1, Z: 17}, {X: 1, Y: 1, Z: 31}},
	)
}

func extents(s metal.Size) [3]uint32 { return [3]uint32{s.X, max(s.Y, 1), max(s.Z, 1)} }

// testGrids: every thread of every grid runs exactly once, and knows its place.
func testGrids(t *subtest, r *rig) {
	const placeBytes = 18 * 4
	pipeline := r.pipeline(t, "identify")
	for _, shape := range grids() {
		groups, threads := shape[0], shape[1]
		t.Run(fmt.Sprintf("%v*%v", extents(groups), extents(threads)), func(t *testing.T) {
			if most := pipeline.Info().MaxThreads; threads.Count() > uint64(most) {
				t.Skipf("this device runs at most %d threads of this kernel", most)
			}
			n := int(groups.Count() * threads.Count())
			to := r.buffer(t, make([]byte, n*placeBytes))
			r.run(t, &metal.Dispatch{
				Pipeline: pipeline, Buffers: []metal.Binding{1: metal.At(to, 0)}, Groups: groups, Threads: threads,
			})
			for i := range n {
				got := unpack[threadPlace](to.Bytes()[i*placeBytes : (i+1)*placeBytes])
				if want := placeOf(uint32(i), extents(groups), extents(threads)); got != want {
					t.Fatalf("thread %d of the grid:\n got %+v\nwant %+v", i, got, want)
				}
			}
		})
	}
}

// placeOf returns the place that the i-th thread of a grid should see: Metal Shading Language Specification,
// "Attributes for Kernel Function Input Arguments". x runs fastest, and SIMD-groups take 32 threads in that order.
func placeOf(i uint32, groups, threads [3]uint32) threadPlace {
	place := threadPlace{Visits: 1, Groups: groups, GroupThreads: threads, Width: 32}
	for axis := range 3 {
		total := groups[axis] * threads[axis]
		position := i % total
		i /= total
		place.Group[axis], place.InGroup[axis] = position/threads[axis], position%threads[axis]
	}
	place.Index = (place.InGroup[2]*threads[1]+place.InGroup[1])*threads[0] + place.InGroup[0]
	place.Simdgroup, place.Lane = place.Index/32, place.Index%32
	place.Simdgroups = (threads[0]*threads[1]*threads[2] + 31) / 32
	return place
}

// testThreadgroupMemory: memory that a kernel declares, and memory that a dispatch gives it, for groups of all sizes.
func testThreadgroupMemory(t *subtest, r *rig) {
	for _, threads := range []int{1, 2, 31, 32, 33, 101, 1024} {
		for _, kernel := range []string{"reverse_static", "reverse_dynamic"} {
			t.Run(fmt.Sprintf("%s/%d", kernel, threads), func(t *testing.T) {
				const groups = 5
				values := r.buffer(t, words(groups*threads, func(i int) uint32 { return uint32(i) * 2654435761 }))
				dispatch := &metal.Dispatch{
					Pipeline: r.pipeline(t, kernel), Buffers: []metal.Binding{1: metal.At(values, 0)},
					Groups: metal.Size{X: groups}, Threads: metal.Size{X: uint32(threads)},
				}
				if kernel == "reverse_dynamic" {
					size := (4*threads + 15) &^ 15
					dispatch.ThreadgroupMemory = []int{size, size}
				}
				r.run(t, dispatch)
				for i := range groups * threads {
					from := i/threads*threads + threads - 1 - i%threads
					if got, want := word(values.Bytes(), i), uint32(from)*2654435761; got != want {
						t.Fatalf("value %d is %#x, want %#x, which was value %d", i, got, want, from)
					}
				}
			})
		}
	}
}

// testAtomics: threads of many groups add to one counter.
func testAtomics(t *subtest, r *rig) {
	counter := r.buffer(t, make([]byte, 4))
	r.run(t, &metal.Dispatch{
		Pipeline: r.pipeline(t, "count_threads"), Buffers: []metal.Binding{1: metal.At(counter, 0)},
		Groups: metal.Size{X: 37}, Threads: metal.Size{X: 129},
	})
	if got := word(counter.Bytes(), 0); got != 37*129 {
		t.Errorf("%d threads counted themselves, want %d", got, 37*129)
	}
}
