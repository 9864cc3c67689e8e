// peak.h: the highest rates of the cores.
#ifndef METALRANK_CPU_PEAK_H
#define METALRANK_CPU_PEAK_H

// A chain does nothing but multiply-adds between registers, and returns how many operations it has done: a multiplication
// and an addition are two.
typedef double chain(void);

// peaks are the chains of a variant's multiply-adds; NULL: none.
struct peaks {
    const char* variant;
    chain *f32, *i8, *bf16;
    chain* f16;    // no variant computes in halves; it is measured to compare with a GPU
    chain* vector; // of int8 without tiles, where i8 uses them
};

// find_peaks returns a variant's peaks, or NULL where there are no chains for it.
const struct peaks* find_peaks(const char* variant);

// chain_rate runs a chain for some seconds on this thread, and returns operations a second.
double chain_rate(chain* run, double seconds);

// copy_rate copies bytes within a block for some seconds on this thread, as STREAM does, and returns bytes read and
// written a second; 0 where there is no memory for it.
double copy_rate(unsigned long bytes, double seconds);

#endif
