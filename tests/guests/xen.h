/* SPDX-License-Identifier: MIT */
/* The hypercalls that a guest may try, as raw results: negative errno or 0. */
#ifndef XEN_H
#define XEN_H

#include <stdint.h>

int64_t hvm_get_param(uint32_t index, uint64_t *value);
int64_t hvm_set_param(uint32_t index, uint64_t value);
int64_t evtchn_close(uint32_t port);
int64_t evtchn_send(uint32_t port);

/* Gives the frame back to Xen; 1 if Xen took it. */
int64_t decrease_reservation(uint64_t gfn);

/* Asks for the frame of a resource of the caller's own. */
int64_t acquire_resource(uint16_t type);

#endif
