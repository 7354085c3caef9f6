/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interrupt line, which is a level, and its injection into the guest's
 * interrupt controller. All of it happens with the device's lock held.
 */
#include "glue.h"

#ifdef CONFIG_NEW_VGIC

void vpl011_drive_line(struct domain *d, uint32_t pending)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    bool was_high = vpl011->shadow_uartmis;

    ASSERT(spin_is_locked(&vpl011->lock));

    write_atomic(&vpl011->shadow_uartmis, pending);

    if ( was_high != !!pending )
        vgic_inject_irq(d, NULL, vpl011->virq, pending);
}

#else

/*
 * This vGIC does not support levels. It treats an injection as an edge, and at
 * the end of the interrupt a hook checks whether the line is still high. That
 * must not wait for the guest's next trap: the end traps while the line is
 * high.
 */
void vpl011_report_end(unsigned int i)
{
    struct gic_lr lr;

    gic_hw_ops->read_lr(i, &lr);
    lr.virt.eoi = true;
    gic_hw_ops->write_lr(i, &lr);
}

/*
 * The line is low: an interrupt that the guest has not taken is withdrawn, and
 * the end of one that it has taken need not trap. That is possible only for an
 * interrupt in a list register of the running vCPU; it is then entirely that
 * vCPU's, and its lock is the right one.
 */
static void vpl011_retract(struct domain *d)
{
    const unsigned int virq = d->arch.vpl011.virq;
    struct pending_irq *p = spi_to_pending(d, virq);
    struct vcpu *v = current;
    struct gic_lr lr;
    unsigned int i;

    if ( v->domain != d )
        return;

    spin_lock(&v->arch.vgic.lock);

    i = p->lr;
    if ( i == GIC_INVALID_LR || !test_bit(i, &this_cpu(lr_mask)) )
        goto out;

    gic_hw_ops->read_lr(i, &lr);
    if ( lr.virq != virq )
        goto out;

    if ( lr.active )
    {
        clear_bit(GIC_IRQ_GUEST_QUEUED, &p->status);
        lr.pending = false;
        lr.virt.eoi = false;
        gic_hw_ops->write_lr(i, &lr);
    }
    else if ( lr.pending )
    {
        gic_hw_ops->clear_lr(i);
        clear_bit(i, &this_cpu(lr_mask));
        clear_bit(GIC_IRQ_GUEST_QUEUED, &p->status);
        clear_bit(GIC_IRQ_GUEST_VISIBLE, &p->status);
        p->lr = GIC_INVALID_LR;
        list_del_init(&p->inflight);
    }

 out:
    spin_unlock(&v->arch.vgic.lock);
}

/*
 * An injection at a vCPU that is offline is dropped: it is repeated as soon as
 * the device is touched.
 */
void vpl011_drive_line(struct domain *d, uint32_t pending)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    bool was_high = vpl011->shadow_uartmis;

    ASSERT(spin_is_locked(&vpl011->lock));

    write_atomic(&vpl011->shadow_uartmis, pending);

    if ( !pending )
        vpl011_retract(d);
    else if ( !was_high ||
              list_empty(&spi_to_pending(d, vpl011->virq)->inflight) )
        vgic_inject_irq(d, NULL, vpl011->virq, true);
}

#endif

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
