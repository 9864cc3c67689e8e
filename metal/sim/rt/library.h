// library.h: preparing kernel objects and setting their function constants.
#pragma once

#include "runtime.h"

namespace sim {

// prepare connects an object with the runtime. It returns an error message, or null. It may be called again.
const char* prepare(Library*, bool checked);

// lock waits until no other dispatch uses the library, and sets its function constants; unlock lets the next dispatch
// use it.
void lock(Library*, const rtConstant* constants, uint64_t count);
void unlock(Library*);

} // namespace sim
