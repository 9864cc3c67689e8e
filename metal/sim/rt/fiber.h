// fiber.h: switching from one stack to another.
#pragma once

#include "abi.h"

namespace sim {

// switchStack saves the callee-saved registers on the running stack and its pointer in *from, then continues where
// the stack `to` was left.
extern "C" void switchStack(void** from, void* to) __asm__("sim_switch_stack");

// enterStack continues where `to` was left, and forgets the running stack.
extern "C" [[noreturn]] void enterStack(void* to) __asm__("sim_enter_stack");

// newStack prepares a stack below top, so that switching to it calls main, which must not return.
void* newStack(void* top, void (*main)());

} // namespace sim
