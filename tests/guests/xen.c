/* SPDX-License-Identifier: MIT */
/* Structures and numbers as in Xen's public headers. */
#include "xen.h"

#include "machine.h"

#define HYPERCALL_MEMORY    12
#define HYPERCALL_VERSION   17
#define HYPERCALL_SCHED     29
#define HYPERCALL_EVTCHN    32
#define HYPERCALL_HVM       34

#define HVMOP_SET_PARAM     0
#define HVMOP_GET_PARAM     1

#define XENVER_VERSION      0

#define SCHEDOP_YIELD       0
#define SCHEDOP_SHUTDOWN    2
#define SHUTDOWN_CRASH      3

#define EVTCHNOP_BIND_INTERDOMAIN   0
#define EVTCHNOP_CLOSE              3
#define EVTCHNOP_SEND               4
#define EVTCHNOP_ALLOC_UNBOUND      6
#define EVTCHNOP_BIND_IPI           7
#define EVTCHNOP_BIND_VCPU          8
#define EVTCHNOP_UNMASK             9
#define EVTCHNOP_RESET              10

#define XENMEM_DECREASE_RESERVATION 1
#define XENMEM_ADD_TO_PHYSMAP       7
#define XENMAPSPACE_SHARED_INFO     0
#define XENMEM_REMOVE_FROM_PHYSMAP  15
#define XENMEM_ACQUIRE_RESOURCE     28

struct hvm_param
{
    uint16_t domid;
    uint16_t pad;
    uint32_t index;
    uint64_t value;
};

struct bind_interdomain
{
    uint16_t remote_domid;
    uint32_t remote_port;
    uint32_t port;
};

struct alloc_unbound
{
    uint16_t domid;
    uint16_t remote_domid;
    uint32_t port;
};

struct bind_vcpu
{
    uint32_t port;
    uint32_t vcpu;
};

struct bind_ipi
{
    uint32_t vcpu;
    uint32_t port;
};

struct add_to_physmap
{
    uint16_t domid;
    uint16_t size;
    uint32_t space;
    uint64_t index;
    uint64_t gfn;
};

struct physmap
{
    uint16_t domid;
    uint64_t gfn;
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

/* A hypercall whose argument, if any, is visible to Xen. */
static int64_t call(uint64_t number, uint64_t command, void *argument)
{
    register uint64_t x0 asm("x0") = command;
    register uint64_t x1 asm("x1") = (uint64_t)argument;
    register uint64_t x16 asm("x16") = number;

    asm volatile ( "hvc #0xea1" : "+r" (x0), "+r" (x1), "+r" (x16)
                   :: "x2", "x3", "x4", "x5", "memory" );
    return (int64_t)x0;
}

static int64_t hypercall(uint64_t number, uint64_t command, void *argument,
                         uint64_t size)
{
    int64_t rc;

    clean(argument, size);
    rc = call(number, command, argument);
    clean(argument, size);
    return rc;
}

int64_t xen_version(void)
{
    return call(HYPERCALL_VERSION, XENVER_VERSION, 0);
}

int64_t sched_yield(void)
{
    return call(HYPERCALL_SCHED, SCHEDOP_YIELD, 0);
}

int64_t hvm_get_param(uint16_t domid, uint32_t index, uint64_t *value)
{
    struct hvm_param op = { .domid = domid, .index = index };
    int64_t rc = hypercall(HYPERCALL_HVM, HVMOP_GET_PARAM, &op, sizeof(op));

    *value = op.value;
    return rc;
}

int64_t hvm_set_param(uint16_t domid, uint32_t index, uint64_t value)
{
    struct hvm_param op = { .domid = domid, .index = index, .value = value };

    return hypercall(HYPERCALL_HVM, HVMOP_SET_PARAM, &op, sizeof(op));
}

int64_t shutdown_crash(void)
{
    uint32_t reason = SHUTDOWN_CRASH;

    return hypercall(HYPERCALL_SCHED, SCHEDOP_SHUTDOWN, &reason,
                     sizeof(reason));
}

static int64_t event_channel_op(uint64_t command, void *op, uint64_t size)
{
    return hypercall(HYPERCALL_EVTCHN, command, op, size);
}

int64_t evtchn_close(uint32_t port)
{
    return event_channel_op(EVTCHNOP_CLOSE, &port, sizeof(port));
}

int64_t evtchn_send(uint32_t port)
{
    return event_channel_op(EVTCHNOP_SEND, &port, sizeof(port));
}

int64_t evtchn_unmask(uint32_t port)
{
    return event_channel_op(EVTCHNOP_UNMASK, &port, sizeof(port));
}

int64_t evtchn_reset(uint16_t domid)
{
    return event_channel_op(EVTCHNOP_RESET, &domid, sizeof(domid));
}

int64_t evtchn_bind_ipi(uint32_t *port)
{
    struct bind_ipi op = { .port = 0 };
    int64_t rc = event_channel_op(EVTCHNOP_BIND_IPI, &op, sizeof(op));

    *port = op.port;
    return rc;
}

int64_t evtchn_bind_vcpu(uint32_t port)
{
    struct bind_vcpu op = { .port = port };

    return event_channel_op(EVTCHNOP_BIND_VCPU, &op, sizeof(op));
}

int64_t evtchn_bind_interdomain(uint16_t domid, uint32_t port)
{
    struct bind_interdomain op = {
        .remote_domid = domid, .remote_port = port
    };

    return event_channel_op(EVTCHNOP_BIND_INTERDOMAIN, &op, sizeof(op));
}

int64_t evtchn_alloc_unbound(uint16_t domid)
{
    struct alloc_unbound op = { .domid = domid, .remote_domid = DOMID_SELF };

    return event_channel_op(EVTCHNOP_ALLOC_UNBOUND, &op, sizeof(op));
}

int64_t decrease_reservation(uint16_t domid, uint64_t gfn)
{
    struct reservation op = {
        .extents = (uint64_t)&gfn, .count = 1, .domid = domid
    };

    clean(&gfn, sizeof(gfn));
    return hypercall(HYPERCALL_MEMORY, XENMEM_DECREASE_RESERVATION, &op,
                     sizeof(op));
}

int64_t remove_from_physmap(uint16_t domid, uint64_t gfn)
{
    struct physmap op = { .domid = domid, .gfn = gfn };

    return hypercall(HYPERCALL_MEMORY, XENMEM_REMOVE_FROM_PHYSMAP, &op,
                     sizeof(op));
}

int64_t map_shared_info(uint64_t gfn)
{
    struct add_to_physmap op = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_SHARED_INFO, .gfn = gfn
    };

    return hypercall(HYPERCALL_MEMORY, XENMEM_ADD_TO_PHYSMAP, &op,
                     sizeof(op));
}

int64_t acquire_resource(uint16_t domid, uint16_t type)
{
    uint64_t frame = 0;
    struct resource op = {
        .domid = domid, .type = type, .count = 1, .frames = (uint64_t)&frame
    };

    clean(&frame, sizeof(frame));
    return hypercall(HYPERCALL_MEMORY, XENMEM_ACQUIRE_RESOURCE, &op,
                     sizeof(op));
}
