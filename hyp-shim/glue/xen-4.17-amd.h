/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What AMD's Xen 4.17 spells in its own way, for glue.h: the other files of
 * arch/arm/vpl011/ are the same for every version.
 */
#ifndef VPL011_XEN_H
#define VPL011_XEN_H

#include <xen/console.h>
#include <xen/sched.h>
#include <xen/spinlock.h>

/* A record of three words. */
#define vpl011_trace TRACE_3D

#define domain_is_locked(d) spin_is_locked(&(d)->domain_lock)

/* What vpl011_rx_char_xen() returns. */
#define vpl011_rx_t void

#define console_get_domain() console_input_domain()

static inline void console_put_domain(struct domain *d)
{
    if ( d )
        rcu_unlock_domain(d);
}

/* Input of Xen's console goes to every domain with a device. */
#define vpl011_allow_input(d) ((void)(d))

/* domain_vpl011_init() has the device's type as a parameter. */
#define VPL011_INIT_SAYS_WHICH

#endif /* VPL011_XEN_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
