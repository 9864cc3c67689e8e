// conformance.h: structs that conformance.metal shares with the suite; the Go twins are in layout.go.
#pragma once

struct CountArgs {
    uint count;
};

struct StepArgs {
    uint count;
    uint factor;
    uint addend;
};

struct ConstantsResult {
    uint flag;
    int signedValue;
    uint unsignedValue;
    float realValue;
};

// Packed: 18 words.
struct ThreadPlace {
    uint visits; // times that a thread wrote here
    uint inGroup[3];
    uint groupThreads[3];
    uint group[3];
    uint groups[3];
    uint index;
    uint lane;
    uint simdgroup;
    uint simdgroups;
    uint width;
};
