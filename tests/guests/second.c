/* SPDX-License-Identifier: MIT */
#include "second.h"

/* PSCI 1.0, with SMC calling convention function numbers. */
#define PSCI_CPU_OFF    0x84000002UL
#define PSCI_CPU_ON     0xc4000003UL

#define SECOND          1
#define STACK_SIZE      4096

static uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));

/* Hidden: its address is not in a table, which would need relocation. */
__attribute__((visibility("hidden"))) void secondary(void);

static int64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 asm("x0") = function;
    register uint64_t x1 asm("x1") = a;
    register uint64_t x2 asm("x2") = b;
    register uint64_t x3 asm("x3") = c;

    asm volatile ( "hvc #0" : "+r" (x0), "+r" (x1), "+r" (x2), "+r" (x3)
                   :: "memory" );
    return (int64_t)x0;
}

int64_t start_second(void)
{
    return psci(PSCI_CPU_ON, SECOND, (uint64_t)secondary,
                (uint64_t)(stack + STACK_SIZE));
}

void end_second(void)
{
    psci(PSCI_CPU_OFF, 0, 0, 0);
    for ( ; ; )
        ;
}
