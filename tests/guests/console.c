/* SPDX-License-Identifier: MIT */
#include "console.h"

#include "machine.h"
#include "xen.h"

#define HVM_PARAM_CONSOLE_PFN       17
#define HVM_PARAM_CONSOLE_EVTCHN    18

#define PAGE_SHIFT  12

/* Xen's struct xencons_interface. */
struct ring
{
    char in[1024];
    char out[2048];
    uint32_t in_cons, in_prod;
    uint32_t out_cons, out_prod;
};

static volatile struct ring *ring;
static uint32_t port;

int64_t console_open(void)
{
    uint64_t page, channel;
    int64_t rc = hvm_get_param(DOMID_SELF, HVM_PARAM_CONSOLE_PFN, &page);

    if ( !rc )
        rc = hvm_get_param(DOMID_SELF, HVM_PARAM_CONSOLE_EVTCHN, &channel);
    if ( rc )
        return rc;
    ring = (volatile struct ring *)(page << PAGE_SHIFT);
    port = (uint32_t)channel;
    return 0;
}

/* The other end's current index. */
static uint32_t fresh(const volatile uint32_t *index)
{
    clean(index, sizeof(*index));
    return *index;
}

/* Advances an index, visibly for the other end. */
static void advance(volatile uint32_t *index)
{
    ++*index;
    clean(index, sizeof(*index));
}

void console_print(const char *text)
{
    for ( ; *text; text++ )
    {
        volatile char *place = &ring->out[ring->out_prod % sizeof(ring->out)];

        while ( ring->out_prod - fresh(&ring->out_cons) >= sizeof(ring->out) )
        {
            evtchn_send(port);
            sched_yield();
        }
        *place = *text;
        clean(place, 1);
        advance(&ring->out_prod);
    }
    evtchn_send(port);
}

char console_get(void)
{
    volatile char *place = &ring->in[ring->in_cons % sizeof(ring->in)];
    char c;

    while ( fresh(&ring->in_prod) == ring->in_cons )
        sched_yield();
    clean(place, 1);
    c = *place;
    advance(&ring->in_cons);
    evtchn_send(port);
    return c;
}
