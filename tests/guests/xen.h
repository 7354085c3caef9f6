/* SPDX-License-Identifier: MIT */
/* The hypercalls that a guest may try, as raw results: negative errno or 0. */
#ifndef XEN_H
#define XEN_H

#include <stdint.h>

/* The caller itself, for a domid. */
#define DOMID_SELF 0x7ff0

int64_t hvm_get_param(uint16_t domid, uint32_t index, uint64_t *value);
int64_t hvm_set_param(uint16_t domid, uint32_t index, uint64_t value);

/* Asks for Xen's version, which it answers at once: (4 << 16) + 17. */
int64_t xen_version(void);

/* Leaves the CPU to others that want it. */
int64_t sched_yield(void);

/* Ends the domain, as one that has crashed. */
int64_t shutdown_crash(void);

int64_t evtchn_close(uint32_t port);
int64_t evtchn_send(uint32_t port);
int64_t evtchn_unmask(uint32_t port);
int64_t evtchn_reset(uint16_t domid);

/* Makes a port whose events vCPU 0 sends to itself. */
int64_t evtchn_bind_ipi(uint32_t *port);

/* Has a port's events go to vCPU 0. */
int64_t evtchn_bind_vcpu(uint32_t port);

/* Binds a new port to one of @domid's. */
int64_t evtchn_bind_interdomain(uint16_t domid, uint32_t port);

/* Makes a port in @domid that the caller may bind. */
int64_t evtchn_alloc_unbound(uint16_t domid);

/* Gives the frame back to Xen; 1 if Xen took it. */
int64_t decrease_reservation(uint16_t domid, uint64_t gfn);

/* Takes the frame out of the address space. */
int64_t remove_from_physmap(uint16_t domid, uint64_t gfn);

/* Puts the page that Xen shares with the domain at the frame. */
int64_t map_shared_info(uint64_t gfn);

/* Asks for the frame of a resource. */
int64_t acquire_resource(uint16_t domid, uint16_t type);

#endif
