/* SPDX-License-Identifier: MIT */
/*
 * A guest that runs commands from its UART, and prints their results. One
 * command a line, numbers in hexadecimal, one line of answer:
 *
 *   = VALUE            success, or the result of a hypercall
 *   abort ESR FAR      the access caused an exception
 *   ? TEXT             no such command
 */
#include <stdbool.h>
#include <stdint.h>

#include "hammer.h"
#include "machine.h"
#include "uart.h"
#include "xen.h"

volatile struct abort abort_seen;

static bool same(const char *a, const char *b)
{
    while ( *a && *a == *b )
        a++, b++;
    return *a == *b;
}

/* Ends the word at `*at` with a NUL and moves `*at` behind it. */
static char *word(char **at)
{
    char *start = *at;

    while ( **at && **at != ' ' )
        ++*at;
    if ( **at )
        *(*at)++ = '\0';
    return start;
}

static uint64_t number(char **at)
{
    const char *digits = word(at);
    uint64_t value = 0;

    for ( ; *digits; digits++ )
        value = value << 4 | (uint64_t)(*digits <= '9' ? *digits - '0'
                                                       : *digits - 'a' + 10);
    return value;
}

static void answer(int64_t value)
{
    print("= ");
    if ( value < 0 )
    {
        print("-");
        value = -value;
    }
    print_hex((uint64_t)value);
    print("\r\n");
}

/* Prints the result of an access to memory. */
static void answer_access(uint32_t value)
{
    if ( !abort_seen.esr )
    {
        answer(value);
        return;
    }
    print("abort ");
    print_hex(abort_seen.esr);
    print(" ");
    print_hex(abort_seen.far);
    print("\r\n");
}

/* Prints numbered lines for ever. */
static void __attribute__((noreturn)) flood(void)
{
    for ( uint64_t n = 0; ; n++ )
    {
        print("flood ");
        print_hex(n);
        print("\r\n");
    }
}

/* Stops reading. */
static void __attribute__((noreturn)) deaf(void)
{
    print("deaf\r\n");
    for ( ; ; )
        asm volatile ( "wfi" );
}

/*
 * The cost of @count accesses together, in ticks of the virtual counter. The
 * line that is printed first ends the characters that the accesses sent. Not
 * inlined, so that `cargo xtask bench breakdown` finds them.
 */
static int64_t __attribute__((noinline)) time_reads(uint64_t address, uint64_t count)
{
    uint64_t start = ticks();

    while ( count-- )
        load32(address);
    return (int64_t)(ticks() - start);
}

static int64_t __attribute__((noinline)) time_writes(uint64_t address, uint32_t value, uint64_t count)
{
    uint64_t start = ticks(), end;

    while ( count-- )
        store32(address, value);
    end = ticks();
    print("\r\n");
    return (int64_t)(end - start);
}

/* @value and 0 alternately: each write changes the register. */
static int64_t time_toggles(uint64_t address, uint32_t value, uint64_t count)
{
    uint64_t start = ticks();

    while ( count-- )
    {
        store32(address, value);
        store32(address, 0);
    }
    return (int64_t)(ticks() - start);
}

static int64_t time_prints(uint64_t count)
{
    uint64_t start = ticks(), end;

    while ( count-- )
        print("y");
    end = ticks();
    print("\r\n");
    return (int64_t)(end - start);
}

/* Two instructions per turn, without a trap. */
static int64_t time_turns(uint64_t count)
{
    uint64_t start = ticks();

    asm volatile ( "1:\tsubs %0, %0, #1\n\tb.ne 1b" : "+r" (count) :: "cc" );
    return (int64_t)(ticks() - start);
}

/* A command's last argument, a domid; without it, the guest itself. */
static uint16_t whom(uint64_t domid)
{
    return domid ? (uint16_t)domid : DOMID_SELF;
}

static void handle(char *line)
{
    const char *command = word(&line);
    uint64_t a = number(&line), b = number(&line), c = number(&line);

    abort_seen.esr = 0;
    if ( same(command, "read") )
        answer_access(load32(a));
    else if ( same(command, "write") )
    {
        store32(a, (uint32_t)b);
        answer_access(0);
    }
    else if ( same(command, "get") )
    {
        uint64_t value;
        int64_t rc = hvm_get_param(whom(b), (uint32_t)a, &value);

        answer(rc ? rc : (int64_t)value);
    }
    else if ( same(command, "set") )
        answer(hvm_set_param(whom(c), (uint32_t)a, b));
    else if ( same(command, "close") )
        answer(evtchn_close((uint32_t)a));
    else if ( same(command, "send") )
        answer(evtchn_send((uint32_t)a));
    else if ( same(command, "unmask") )
        answer(evtchn_unmask((uint32_t)a));
    else if ( same(command, "reset") )
        answer(evtchn_reset(whom(a)));
    else if ( same(command, "affinity") )
        answer(evtchn_bind_vcpu((uint32_t)a));
    else if ( same(command, "bind") )
        answer(evtchn_bind_interdomain(whom(b), (uint32_t)a));
    else if ( same(command, "alloc") )
        answer(evtchn_alloc_unbound(whom(a)));
    else if ( same(command, "release") )
        answer(decrease_reservation(whom(b), a));
    else if ( same(command, "remove") )
        answer(remove_from_physmap(whom(b), a));
    else if ( same(command, "resource") )
        answer(acquire_resource(whom(b), (uint16_t)a));
    else if ( same(command, "crash") )
        answer(shutdown_crash());
    else if ( same(command, "hammer") )
        hammer(a);
    else if ( same(command, "flood") )
        flood();
    else if ( same(command, "deaf") )
        deaf();
    else if ( same(command, "frequency") )
        answer((int64_t)frequency());
    else if ( same(command, "reads") )
        answer(time_reads(a, b));
    else if ( same(command, "writes") )
        answer(time_writes(a, (uint32_t)b, c));
    else if ( same(command, "toggles") )
        answer(time_toggles(a, (uint32_t)b, c));
    else if ( same(command, "prints") )
        answer(time_prints(a));
    else if ( same(command, "turns") )
        answer(time_turns(a));
    else
    {
        print("? ");
        print(command);
        print("\r\n");
    }
}

void bare_metal_main(void);

void bare_metal_main(void)
{
    char line[64];

    print("monitor\r\n");
    for ( ; ; )
    {
        read_line(line, sizeof(line));
        handle(line);
    }
}
