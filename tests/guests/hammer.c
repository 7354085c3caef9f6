/* SPDX-License-Identifier: MIT */
#include "hammer.h"

#include "machine.h"
#include "uart.h"

/* PSCI 1.0, by the function's number in the SMC calling convention. */
#define PSCI_CPU_OFF    0x84000002UL
#define PSCI_CPU_ON     0xc4000003UL

#define SECOND          1
#define STACK_SIZE      4096

static volatile uint64_t until;
static volatile uint64_t second_count;
static volatile int second_done;
static uint8_t second_stack[STACK_SIZE] __attribute__((aligned(16)));

/* Hidden: its address comes from no table, which nobody would relocate. */
__attribute__((visibility("hidden"))) void secondary(void);
void second_main(void);

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

/* One access; one that aborts is skipped. */
static void access(uint64_t address, uint64_t value, unsigned int kind)
{
    switch ( kind )
    {
    case 0:
        asm volatile ( "strb %w0, [%1]" :: "r" (value), "r" (address) );
        break;
    case 1:
        asm volatile ( "strh %w0, [%1]" :: "r" (value), "r" (address & ~1UL) );
        break;
    case 2:
        asm volatile ( "str %w0, [%1]" :: "r" (value), "r" (address & ~3UL) );
        break;
    case 3:
        asm volatile ( "str %0, [%1]" :: "r" (value), "r" (address & ~7UL) );
        break;
    case 4:
        asm volatile ( "ldrsb %0, [%1]" : "=r" (value) : "r" (address) );
        break;
    case 5:
        asm volatile ( "ldrh %w0, [%1]" : "=r" (value) : "r" (address & ~1UL) );
        break;
    case 6:
        asm volatile ( "ldr %w0, [%1]" : "=r" (value) : "r" (address & ~3UL) );
        break;
    default:
        asm volatile ( "ldr %0, [%1]" : "=r" (value) : "r" (address & ~7UL) );
    }
}

/* Until the time is over; how many accesses it made. */
static uint64_t strike(uint64_t seed)
{
    uint64_t state = seed, count;

    for ( count = 0; ticks() < until; count++ )
    {
        uint64_t offset;

        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        offset = state >> 32;
        /* Half of them where the registers are. */
        offset %= state & 8 ? 0x50 : UART_SIZE;
        access(UART + offset, state >> 16, state & 7);
    }
    return count;
}

void second_main(void)
{
    second_count = strike(2);
    second_done = 1;
    psci(PSCI_CPU_OFF, 0, 0, 0);
    for ( ; ; )
        ;
}

void hammer(uint64_t seconds)
{
    uint64_t count;
    int64_t rc;

    until = ticks() + seconds * frequency();
    second_count = 0;
    second_done = 0;
    rc = psci(PSCI_CPU_ON, SECOND, (uint64_t)secondary,
              (uint64_t)(second_stack + STACK_SIZE));
    count = strike(1);
    while ( !rc && !second_done )
        ;
    start_uart();
    print("\r\nhammered ");
    print_hex(count);
    print(" ");
    print_hex(second_count);
    print("\r\n");
}
