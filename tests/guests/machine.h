/* SPDX-License-Identifier: MIT */
/* Single accesses to addresses, and the abort that one of them met. */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

/* Filled by the vector in start.S; esr stays 0 while nothing aborts. */
struct abort
{
    uint64_t esr;
    uint64_t far;
};

extern volatile struct abort abort_seen;

static inline uint32_t load32(uint64_t address)
{
    uint32_t value;

    /* The register keeps 0 if the load aborts and is skipped. */
    asm volatile ( "mov %w0, wzr\n\tldr %w0, [%1]"
                   : "=&r" (value) : "r" (address) : "memory" );
    return value;
}

static inline void store32(uint64_t address, uint32_t value)
{
    asm volatile ( "str %w0, [%1]" :: "r" (value), "r" (address) : "memory" );
}

#endif
