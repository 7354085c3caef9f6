/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of arch/arm/vpl011/ share. Built on the host, outside Xen,
 * the same files see the Xen of hyp-shim/tests/glue/emul.h.
 */
#ifndef VPL011_GLUE_H
#define VPL011_GLUE_H

#ifdef __XEN__
#include <xen/console.h>
#include <xen/device_tree.h>
#include <xen/errno.h>
#include <xen/event.h>
#include <xen/init.h>
#include <xen/lib.h>
#include <xen/mm.h>
#include <xen/sched.h>
#include <xen/serial.h>
#include <xen/softirq.h>
#include <xen/spinlock.h>
#include <xen/time.h>
#include <xen/timer.h>
#include <xen/trace.h>
#include <xsm/xsm.h>
#include <asm/current.h>
#include <asm/gic.h>
#include <asm/mmio.h>
#include <asm/regs.h>
#include <asm/traps.h>
#include <asm/vgic.h>
#include <asm/vpl011.h>
#include "xen.h"
#else
#include "emul.h"
#endif

#include "vpl011.h"
#include "trace.h"

/* device.c: the backend's event, for the port of a ring. */
void vpl011_event(struct vcpu *v, unsigned int port);
extern const struct mmio_handler_ops vpl011_mmio_ops;
/* device.c: a break on the line towards the guest; there is a device. */
void vpl011_rx_break(struct domain *d);

/*
 * lifecycle.c: the device of a domain, in three steps, so that the one step
 * that differs between backends - the port - is between the last that
 * can be undone and the first that cannot. The domain's lock is held.
 */

/*
 * Makes the device, on @ring or without one, by VPL011_PROFILE_*, and
 * takes its interrupt.
 */
int vpl011_create(struct domain *d, void *ring, uint8_t profile);
/* Undoes vpl011_create(). */
void vpl011_discard(struct domain *d);
/* Puts the device on the guest's bus; cannot fail after vpl011_create(). */
void vpl011_publish(struct domain *d);

/* line.c: the line is high while @pending is not 0. */
void vpl011_drive_line(struct domain *d, uint32_t pending);

/*
 * rest.c: the current vCPU @v has polled an empty receiver, and blocks for a
 * while; input may have come for @d, and its vCPUs that rest are woken. Both
 * are called without a lock, and while the device exists.
 */
#ifdef CONFIG_VPL011_FAST_TRAP
void vpl011_rest(struct vcpu *v);
void vpl011_end_rests(struct domain *d);
#else
#define vpl011_end_rests(d) ((void)(d))
#endif

/* console.c: a byte from the guest for Xen's own console. */
void vpl011_console_output(struct domain *d, char c);

#endif /* VPL011_GLUE_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
