/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Xen 4.22 spells in its own way, for glue.h: the other files of
 * arch/arm/vpl011/ are the same for every version.
 */
#ifndef VPL011_XEN_H
#define VPL011_XEN_H

#include <xen/console.h>
#include <xen/sched.h>
#include <xen/spinlock.h>

/* A record of three words. */
#define vpl011_trace TRACE_TIME

#define domain_is_locked(d) rspin_is_locked(&(d)->domain_lock)

/* What vpl011_rx_char_xen() returns. */
#define vpl011_rx_t int

/* Input of Xen's console goes to domains for which this is set. */
#define vpl011_allow_input(d) ((d)->console->input_allowed = true)

#endif /* VPL011_XEN_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
