// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package worktest

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// Decoder is a function that reads bytes which nobody has signed.
type Decoder struct {
	// Decode reads an input. Whether it accepts it does not matter.
	Decode func([]byte)
	// Steps also reads it, and returns how many elements it visited. Nil counts none.
	Steps func([]byte) int
	// Seeds are inputs that Decode accepts.
	Seeds [][]byte
	// PerByte and Fixed bound what Decode allocates for an input, in bytes: so much
	// for each of its bytes, and so much more.
	PerByte, Fixed uint64
}

// rounds is how many inputs are made from each seed in each size.
const rounds = 40

// Run holds d to its bounds. It counts what the whole process allocates, so the test
// that calls it must not be parallel.
func Run(t *testing.T, d Decoder) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // inputs of a test, the same in each run
	for i, seed := range d.Seeds {
		d.check(t, seed)
		for _, size := range []int{1 << 8, 1 << 12, 1 << 16} {
			for range rounds {
				d.check(t, Hostile(random, seed, size))
			}
			if t.Failed() {
				t.Fatalf("seed %d, inputs that grow by %d bytes", i, size)
			}
		}
	}
}

func (d Decoder) check(t *testing.T, input []byte) {
	t.Helper()
	if d.Steps != nil {
		if steps := d.Steps(input); steps > len(input)+1 {
			t.Errorf("%d steps for %d bytes: %.100q", steps, len(input), input)
		}
	}
	most := d.PerByte*uint64(len(input)) + d.Fixed
	// The first run may fill pools and tables; other goroutines may add to any.
	least := ^uint64(0)
	for range 3 {
		if least = min(least, Allocated(func() { d.Decode(input) })); least <= most {
			return
		}
	}
	t.Errorf("%d bytes allocated for %d bytes, want %d at most: %.100q", least, len(input), most, input)
}

// Allocated returns how many bytes the process allocated while f ran.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
