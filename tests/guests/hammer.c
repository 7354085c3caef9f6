/* SPDX-License-Identifier: MIT */
#include "hammer.h"

#include "machine.h"
#include "second.h"
#include "uart.h"

static volatile uint64_t until;
static volatile uint64_t second_count;
static volatile int second_done;

/* One access; if it aborts, it is skipped. */
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

/* Accesses until the time is over; returns their number. */
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
        /* Half of them in the range of the registers. */
        offset %= state & 8 ? 0x50 : UART_SIZE;
        access(UART + offset, state >> 16, state & 7);
    }
    return count;
}

void second_main(void)
{
    second_count = strike(2);
    second_done = 1;
    end_second();
}

void hammer(uint64_t seconds)
{
    uint64_t count;
    int64_t rc;

    until = ticks() + seconds * frequency();
    second_count = 0;
    second_done = 0;
    rc = start_second();
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
