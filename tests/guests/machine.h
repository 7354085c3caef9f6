/* SPDX-License-Identifier: MIT */
/*
 * Single accesses to addresses, the last abort, memory shared with Xen, and the
 * time.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

/* Filled by the vector in start.S; esr is 0 until an abort. */
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

/* The MMU is off: memory that Xen reads must not be only in a cache. */
static inline void clean(const volatile void *object, uint64_t size)
{
    uint64_t at = (uint64_t)object & ~15UL;

    for ( ; at < (uint64_t)object + size; at += 16 )
        asm volatile ( "dc civac, %0" :: "r" (at) : "memory" );
    asm volatile ( "dsb sy" ::: "memory" );
}

/* The virtual counter, after all earlier instructions. */
static inline uint64_t ticks(void)
{
    uint64_t value;

    asm volatile ( "isb\n\tmrs %0, cntvct_el0" : "=r" (value) :: "memory" );
    return value;
}

/* Its ticks a second. */
static inline uint64_t frequency(void)
{
    uint64_t value;

    asm volatile ( "mrs %0, cntfrq_el0" : "=r" (value) );
    return value;
}

#endif
