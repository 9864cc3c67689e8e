// dispatch.h: the request of dispatch.c to the system.
#ifndef METALRANK_CPU_DISPATCH_H
#define METALRANK_CPU_DISPATCH_H

// request_tiles asks for Intel's tile registers, for the whole process; it returns whether they may be used.
int request_tiles(void);

#endif
