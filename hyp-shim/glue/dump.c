/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Xen's debug key `q` for a domain's device: whether it waits for the guest,
 * for the backend or for neither.
 */
#include "glue.h"

void vpl011_dump(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_counters counters;
    unsigned long flags;
    bool found;

    /* There is no lock before there is a device. */
    if ( !vpl011->state )
        return;

    VPL011_LOCK(d, flags);

    found = vpl011->state;
    if ( found )
        counters = vpl011_counters(vpl011->state);

    VPL011_UNLOCK(d, flags);

    if ( !found )
        return;

    printk("vpl011: at %#"PRIpaddr", SPI %u, UARTMIS %#x, port %u\n",
           vpl011->base_addr, vpl011->virq,
           read_atomic(&vpl011->shadow_uartmis), vpl011->evtchn);
    printk("vpl011: %"PRIu64" bytes out, %"PRIu64" in, %"PRIu64" doorbells\n",
           counters.bytes_out, counters.bytes_in, counters.doorbells);
    printk("vpl011: %"PRIu64" resyncs, %"PRIu64" dropped, %"PRIu64
           " overruns\n",
           counters.resyncs, counters.dropped, counters.overruns);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
