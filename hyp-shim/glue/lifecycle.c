/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a domain comes by its vpl011 and loses it.
 *
 * Everything that makes one holds the domain's lock and finds the domain
 * alive. domain_vpl011_deinit() runs later: domain_kill() waits for that lock
 * after it has marked the domain dying. By then the domain's vCPUs are paused
 * and its event channels are closed, but the consumer of an event already
 * sent, or a character from Xen's console, may still be on its way: they look
 * at the device under the device's lock.
 */
#include "glue.h"

/*
 * Address and interrupt of the device: fixed in the guest's layout, or those
 * of Xen's own UART where guest and host addresses are the same.
 */
static int vpl011_place(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    const struct vuart_info *uart;
    int irq;

    if ( !is_domain_direct_mapped(d) )
    {
        vpl011->base_addr = GUEST_PL011_BASE;
        vpl011->virq = GUEST_VPL011_SPI;
        return 0;
    }

    uart = serial_vuart_info(SERHND_DTUART);
    irq = serial_irq(SERHND_DTUART);

    if ( !uart || irq <= 0 )
    {
        printk(XENLOG_ERR "vpl011: Xen's UART is not known to %pd\n", d);
        return -EINVAL;
    }

    /* Other devices may live behind a smaller one, in the same page. */
    if ( uart->size < GUEST_PL011_SIZE )
    {
        printk(XENLOG_ERR "vpl011: Xen's UART has only %#lx bytes of MMIO\n",
               uart->size);
        return -EINVAL;
    }

    vpl011->base_addr = uart->base_addr;
    vpl011->virq = irq;

    return 0;
}

int vpl011_create(struct domain *d, void *ring, uint8_t profile)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    const struct vmmio *vmmio = &d->arch.vmmio;
    int rc;

    BUILD_BUG_ON(sizeof(struct vpl011_state) != VPL011_STATE_SIZE);
    BUILD_BUG_ON(__alignof__(struct vpl011_state) != VPL011_STATE_ALIGN);
    BUILD_BUG_ON(PAGE_SIZE != VPL011_RING_SIZE);

    ASSERT(domain_is_locked(d));

    /* register_mmio_handler() has a BUG_ON() for this. */
    if ( vmmio->num_entries >= vmmio->max_num_entries )
        return -ENOSPC;

    rc = vpl011_place(d);
    if ( rc )
        return rc;

    if ( !vgic_reserve_virq(d, vpl011->virq) )
        return -EINVAL;

    vpl011->state = xzalloc(struct vpl011_state);
    if ( !vpl011->state )
    {
        vgic_free_virq(d, vpl011->virq);
        return -ENOMEM;
    }

    spin_lock_init(&vpl011->lock);
    vpl011->shadow_uartmis = 0;
    vpl011->glance = 0;
    vpl011_init(vpl011->state, ring, profile);

    return 0;
}

void vpl011_discard(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;

    XFREE(vpl011->state);
    vgic_free_virq(d, vpl011->virq);
}

void vpl011_publish(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;

    register_mmio_handler(d, &vpl011_mmio_ops, vpl011->base_addr,
                          GUEST_PL011_SIZE, NULL);

    /* vpl011_takes_trap() takes no lock to see whose an address is. */
    smp_wmb();
    write_atomic(&vpl011->size, GUEST_PL011_SIZE);
}

/* The device in the guest's device tree. */
static uint8_t vpl011_profile(const struct domain *d)
{
    return d->arch.vpl011.full ? VPL011_PROFILE_PL011 : VPL011_PROFILE_SBSA;
}

/* The toolstack's ring, by gfn, and a port of ours (XEN_DOMCTL_vuart_op). */
static int vpl011_init_ring(struct domain *d, struct vpl011_init_info *info)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    int rc;

    /* An event is delivered on it. */
    if ( !domain_vcpu(d, 0) )
        return -EINVAL;

    rc = prepare_ring_for_helper(d, gfn_x(info->gfn),
                                 &vpl011->backend.dom.ring_page,
                                 &vpl011->backend.dom.ring_buf);
    if ( rc )
        return rc;

    rc = vpl011_create(d, vpl011->backend.dom.ring_buf, vpl011_profile(d));
    if ( rc )
        goto destroy_ring;

    rc = alloc_unbound_xen_event_channel(d, 0, info->console_domid,
                                         vpl011_event);
    if ( rc < 0 )
        goto discard;

    vpl011->evtchn = info->evtchn = rc;
    vpl011->backend_in_domain = true;
    vpl011_publish(d);

    return 0;

 discard:
    vpl011_discard(d);
 destroy_ring:
    destroy_ring_for_helper(&vpl011->backend.dom.ring_buf,
                            vpl011->backend.dom.ring_page);

    return rc;
}

static int vpl011_init_xen(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_xen_backend *console = xzalloc(struct vpl011_xen_backend);
    int rc;

    if ( !console )
        return -ENOMEM;

    rc = vpl011_create(d, NULL, vpl011_profile(d));
    if ( rc )
    {
        xfree(console);
        return rc;
    }

    vpl011->backend_in_domain = false;
    vpl011->backend.xen = console;
    vpl011_publish(d);
    vpl011_allow_input(d);

    return 0;
}

/*
 * @info is NULL for the backend in Xen. A domain has one vpl011: -EINVAL for
 * the second, whichever kind the first was of.
 */
static int vpl011_init_any(struct domain *d, struct vpl011_init_info *info,
                           bool full)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    int rc = -EINVAL;

    domain_lock(d);

    /* The backends share their first word, so this asks for all of them. */
    if ( !d->is_dying && !vpl011->backend.dom.ring_buf )
    {
        vpl011->full = full;
        rc = info ? vpl011_init_ring(d, info) : vpl011_init_xen(d);
    }

    domain_unlock(d);

    return rc;
}

#ifdef VPL011_INIT_SAYS_WHICH
int domain_vpl011_init(struct domain *d, struct vpl011_init_info *info,
                       bool sbsa)
{
    return vpl011_init_any(d, info, !sbsa);
}
#else
/* The toolstack has described an SBSA UART to the guest. */
int domain_vpl011_init(struct domain *d, struct vpl011_init_info *info)
{
    return vpl011_init_any(d, info, false);
}
#endif

int __init vpl011_init_dom0less(struct domain *d,
                                const struct dt_device_node *node)
{
    uint32_t length;
    const char *model = dt_get_property(node, "vpl011", &length);
    /* A string of the device tree ends with a NUL that is counted. */
    bool full = length == sizeof("pl011") && !strncmp(model, "pl011", length);

    if ( length && !full )
    {
        printk(XENLOG_ERR "%pd: vpl011 is empty or \"pl011\"\n", d);
        return -EINVAL;
    }

    return vpl011_init_any(d, NULL, full);
}

void domain_vpl011_deinit(struct domain *d)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_state *state = vpl011->state;

    if ( state )
    {
        unsigned long flags;

        /* The guest no longer runs: no vCPU is in vpl011_takes_trap(). */
        vpl011->size = 0;

        VPL011_LOCK(d, flags);
        vpl011->state = NULL;
        write_atomic(&vpl011->shadow_uartmis, 0);
        write_atomic(&vpl011->glance, 0);
        VPL011_UNLOCK(d, flags);

        xfree(state);

        if ( vpl011->backend_in_domain )
            free_xen_event_channel(d, vpl011->evtchn);
    }

    /* A hidden ring may be here without a device: its port was never set. */
    if ( vpl011->backend_in_domain )
        destroy_ring_for_helper(&vpl011->backend.dom.ring_buf,
                                vpl011->backend.dom.ring_page);
    else
        XFREE(vpl011->backend.xen);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
