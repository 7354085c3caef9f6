/* SPDX-License-Identifier: MIT */
/*
 * A guest without a UART, which measures Xen's operations. A letter on the PV
 * console is a command; the answer is a line:
 *
 *   f   = ticks of the virtual counter in a second
 *   h   = ticks of COUNT null hypercalls
 *   p   = the same while an interrupt is pending in a list register
 *   e   = ticks of COUNT events to itself, each of which it acknowledges and
 *         ends while another interrupt is pending
 *   i   = ticks of COUNT interrupts to the other vCPU and back
 *
 * in hexadecimal. Each is the least of RUNS times; 0 if there was an interrupt
 * that was not sent.
 */
#include <stdbool.h>
#include <stdint.h>

#include "console.h"
#include "gic.h"
#include "hex.h"
#include "machine.h"
#include "second.h"
#include "xen.h"

#define COUNT       100
#define RUNS        10

/* Interrupts: two between the vCPUs, one left pending, Xen's events. */
#define THERE       1
#define BACK        2
#define PENDING     3
#define EVENT       31

#define FIRST       0x80
#define LAST        0xa0

/* Where the tools leave room for grants, of which this guest has none. */
#define SHARED_INFO 0x38000000UL

/* The beginning of Xen's struct shared_info. */
struct shared_info
{
    uint8_t upcall_pending;
    uint64_t pending_sel;
    uint8_t time[32];
    uint64_t pending;
};

/* An access that aborts is skipped; the record is not read. */
volatile struct abort abort_seen;

static volatile struct shared_info *const shared =
    (volatile struct shared_info *)SHARED_INFO;
static uint32_t port;
static volatile bool second_is_up;
static bool as_sent;

void second_main(void)
{
    gic_start();
    gic_enable(1, THERE, FIRST);
    second_is_up = true;
    for ( ; ; )
    {
        gic_end(gic_wait());
        gic_send(BACK, 0);
    }
}

static void expect(uint32_t irq, uint32_t sent)
{
    as_sent &= irq == sent;
    gic_end(irq);
}

static void hypercalls(void)
{
    for ( unsigned int n = 0; n < COUNT; n++ )
        xen_version();
}

static void forget_events(void)
{
    shared->pending = 0;
    shared->pending_sel = 0;
    shared->upcall_pending = 0;
    clean(shared, sizeof(*shared));
}

static void events(void)
{
    for ( unsigned int n = 0; n < COUNT; n++ )
    {
        evtchn_send(port);
        expect(gic_acknowledge(), EVENT);
        forget_events();
    }
}

static void interrupts(void)
{
    for ( unsigned int n = 0; n < COUNT; n++ )
    {
        gic_send(THERE, 1);
        expect(gic_wait(), BACK);
    }
}

/* The least time of @work, once dom0 is idle. */
static uint64_t least(void (*work)(void))
{
    uint64_t least = UINT64_MAX, start = ticks();

    while ( ticks() - start < frequency() / 100 )
        sched_yield();
    for ( unsigned int run = 0; run < RUNS; run++ )
    {
        uint64_t took;

        start = ticks();
        work();
        took = ticks() - start;
        if ( took < least )
            least = took;
    }
    return least;
}

/* The same while an interrupt is pending. */
static uint64_t least_with_pending(void (*work)(void))
{
    uint64_t found;

    gic_send(PENDING, 0);
    found = least(work);
    expect(gic_acknowledge(), PENDING);
    return found;
}

/* The same for events, whose interrupt is enabled meanwhile. */
static uint64_t least_of_events(void)
{
    uint64_t found;

    gic_enable(0, EVENT, FIRST);
    /* The command's own event, which was not handled. */
    gic_end(gic_acknowledge());
    forget_events();
    found = least_with_pending(events);
    gic_disable(0, EVENT);
    return found;
}

static uint64_t measure(char command)
{
    switch ( command )
    {
    case 'f':
        return frequency();
    case 'h':
        return least(hypercalls);
    case 'p':
        return least_with_pending(hypercalls);
    case 'e':
        return least_of_events();
    case 'i':
        return least(interrupts);
    default:
        return 0;
    }
}

void bare_metal_main(void);

void bare_metal_main(void)
{
    if ( console_open() || map_shared_info(SHARED_INFO >> 12) ||
         evtchn_bind_ipi(&port) || start_second() )
        return;
    gic_start();
    gic_enable(0, BACK, FIRST);
    gic_enable(0, PENDING, LAST);
    while ( !second_is_up )
        sched_yield();
    for ( ; ; )
    {
        char text[HEX_SIZE];
        uint64_t found;

        as_sent = true;
        found = measure(console_get());
        console_print("= ");
        console_print(hex(as_sent ? found : 0, text));
        console_print("\r\n");
    }
}
