/* SPDX-License-Identifier: MIT */
/* Structures and numbers as in Xen's public headers. */
#include "xen.h"

#define HYPERCALL_MEMORY    12
#define HYPERCALL_EVTCHN    32
#define HYPERCALL_HVM       34

#define HVMOP_SET_PARAM     0
#define HVMOP_GET_PARAM     1

#define EVTCHNOP_CLOSE      3
#define EVTCHNOP_SEND       4

#define XENMEM_DECREASE_RESERVATION 1
#define XENMEM_ACQUIRE_RESOURCE     28

#define DOMID_SELF          0x7ff0

struct hvm_param
{
    uint16_t domid;
    uint16_t pad;
    uint32_t index;
    uint64_t value;
};

struct reservation
{
    uint64_t extents;
    uint64_t count;
    uint32_t order;
    uint32_t flags;
    uint16_t domid;
};

struct resource
{
    uint16_t domid;
    uint16_t type;
    uint32_t id;
    uint32_t count;
    uint32_t flags;
    uint64_t frame;
    uint64_t frames;
};

/* The MMU is off: what Xen reads must be in memory, not in a cache. */
static void clean(const volatile void *object, uint64_t size)
{
    uint64_t at = (uint64_t)object & ~15UL;

    for ( ; at < (uint64_t)object + size; at += 16 )
        asm volatile ( "dc civac, %0" :: "r" (at) : "memory" );
    asm volatile ( "dsb sy" ::: "memory" );
}

static int64_t hypercall(uint64_t number, uint64_t command, void *argument,
                         uint64_t size)
{
    register uint64_t x0 asm("x0") = command;
    register uint64_t x1 asm("x1") = (uint64_t)argument;
    register uint64_t x16 asm("x16") = number;

    clean(argument, size);
    asm volatile ( "hvc #0xea1" : "+r" (x0), "+r" (x1), "+r" (x16)
                   :: "x2", "x3", "x4", "x5", "memory" );
    clean(argument, size);
    return (int64_t)x0;
}

int64_t hvm_get_param(uint32_t index, uint64_t *value)
{
    struct hvm_param op = { .domid = DOMID_SELF, .index = index };
    int64_t rc = hypercall(HYPERCALL_HVM, HVMOP_GET_PARAM, &op, sizeof(op));

    *value = op.value;
    return rc;
}

int64_t hvm_set_param(uint32_t index, uint64_t value)
{
    struct hvm_param op = {
        .domid = DOMID_SELF, .index = index, .value = value
    };

    return hypercall(HYPERCALL_HVM, HVMOP_SET_PARAM, &op, sizeof(op));
}

int64_t evtchn_close(uint32_t port)
{
    return hypercall(HYPERCALL_EVTCHN, EVTCHNOP_CLOSE, &port, sizeof(port));
}

int64_t evtchn_send(uint32_t port)
{
    return hypercall(HYPERCALL_EVTCHN, EVTCHNOP_SEND, &port, sizeof(port));
}

int64_t decrease_reservation(uint64_t gfn)
{
    struct reservation op = {
        .extents = (uint64_t)&gfn, .count = 1, .domid = DOMID_SELF
    };

    clean(&gfn, sizeof(gfn));
    return hypercall(HYPERCALL_MEMORY, XENMEM_DECREASE_RESERVATION, &op,
                     sizeof(op));
}

int64_t acquire_resource(uint16_t type)
{
    uint64_t frame = 0;
    struct resource op = {
        .domid = DOMID_SELF, .type = type, .count = 1,
        .frames = (uint64_t)&frame
    };

    clean(&frame, sizeof(frame));
    return hypercall(HYPERCALL_MEMORY, XENMEM_ACQUIRE_RESOURCE, &op,
                     sizeof(op));
}
