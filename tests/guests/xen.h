/* SPDX-License-Identifier: MIT */
/* Hypercalls of a guest, with raw results: negative errno or 0. */
#ifndef XEN_H
#define XEN_H

#include <stdint.h>

/* The caller's own domid. */
#define DOMID_SELF 0x7ff0

int64_t hvm_get_param(uint16_t domid, uint32_t index, uint64_t *value);
int64_t hvm_set_param(uint16_t domid, uint32_t index, uint64_t value);

/* Reads Xen's version, as a null hypercall: (4 << 16) + 17. */
int64_t xen_version(void);

/* Yields the CPU. */
int64_t sched_yield(void);

/* Ends the domain as crashed. */
int64_t shutdown_crash(void);

int64_t evtchn_close(uint32_t port);
int64_t evtchn_send(uint32_t port);
int64_t evtchn_unmask(uint32_t port);
int64_t evtchn_reset(uint16_t domid);

/* Creates a port whose events vCPU 0 sends to itself. */
int64_t evtchn_bind_ipi(uint32_t *port);

/* Binds a port's events to vCPU 0. */
int64_t evtchn_bind_vcpu(uint32_t port);

/* Binds a new port to one of @domid's. */
int64_t evtchn_bind_interdomain(uint16_t domid, uint32_t port);

/* Creates a port in @domid that the caller may bind. */
int64_t evtchn_alloc_unbound(uint16_t domid);

/* Returns the frame to Xen; 1 if Xen took it. */
int64_t decrease_reservation(uint16_t domid, uint64_t gfn);

/* Removes the frame from the address space. */
int64_t remove_from_physmap(uint16_t domid, uint64_t gfn);

/* Maps the page that Xen shares with the domain at the frame. */
int64_t map_shared_info(uint64_t gfn);

/* Requests the frame of a resource. */
int64_t acquire_resource(uint16_t domid, uint16_t type);

#endif
