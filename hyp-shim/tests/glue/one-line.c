/* SPDX-License-Identifier: GPL-2.0-only */
/* The vGIC of emul.h: one interrupt, one list register. */
#include "emul.h"

void emul_reset_vgic(void)
{
    emul.irq.lr = GIC_INVALID_LR;
    INIT_LIST_HEAD(&emul.irq.inflight);
    INIT_LIST_HEAD(&emul.vcpu.arch.vgic.inflight_irqs);
}

struct pending_irq *spi_to_pending(struct domain *d, unsigned int irq)
{
    EMUL_CHECK(irq == d->arch.vpl011.virq);
    return &emul.irq;
}

static void read_lr(int i, struct gic_lr *lr)
{
    EMUL_CHECK(!i && current->arch.vgic.lock.held);
    *lr = emul.lr;
}

static void write_lr(int i, const struct gic_lr *lr)
{
    EMUL_CHECK(!i && current->arch.vgic.lock.held);
    emul.lr = *lr;
}

static void clear_lr(int i)
{
    EMUL_CHECK(!i && current->arch.vgic.lock.held);
    emul.lr = (struct gic_lr){ };
}

const struct gic_hw_operations *gic_hw_ops = &(struct gic_hw_operations){
    .read_lr = read_lr, .write_lr = write_lr, .clear_lr = clear_lr,
};

void advance_pc(struct cpu_user_regs *regs, const union hsr hsr)
{
    regs->pc += 4;
}

void vgic_sync_from_lrs(struct vcpu *v)
{
    EMUL_CHECK(v == &emul.vcpu);
    emul.brought_in++;
}

void vgic_inject_irq(struct domain *d, struct vcpu *v, unsigned int virq,
                     bool level)
{
    EMUL_CHECK(d->arch.vpl011.lock.held);
    EMUL_CHECK(virq == d->arch.vpl011.virq);
    EMUL_CHECK(level);
    emul.injections++;
    /* vcpu_kick() */
    vcpu_unblock(d->vcpu);
    if ( !emul.offline && list_empty(&emul.irq.inflight) )
        list_add_tail(&emul.irq.inflight, &emul.vcpu.arch.vgic.inflight_irqs);
}
