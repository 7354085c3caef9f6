/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The running device: a guest's access, the backend's event and Xen's console
 * go to the core under the device's lock. What the core then asks for is done
 * in this order: the interrupt line, with the lock held; the doorbell, with
 * the lock dropped.
 */
#include "glue.h"

/* What an outcome asks for under the lock. */
static always_inline void vpl011_settle(struct domain *d,
                                        struct vpl011_outcome outcome)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;

    if ( unlikely(outcome.flags & VPL011_ABORT) )
        return;

    /* Read without the lock: what it shows is over by then, or not yet. */
    write_atomic(&vpl011->glance, outcome.glance);

    if ( outcome.pending | vpl011->shadow_uartmis )
        vpl011_drive_line(d, outcome.pending);

    if ( unlikely(outcome.flags & VPL011_OUTPUT) )
        vpl011_console_output(d, outcome.output);
}

/* What an outcome asks for once the lock is dropped. */
static always_inline void vpl011_notify(struct domain *d,
                                        struct vpl011_outcome outcome)
{
    if ( outcome.flags & VPL011_DOORBELL )
        notify_via_xen_event_channel(d, d->arch.vpl011.evtchn);
}

/*
 * An access of the guest, which writes @value if it writes. What the outcome
 * asks for is done when this returns.
 */
static always_inline struct vpl011_outcome
vpl011_access_by(struct domain *d, union hsr hsr, paddr_t gpa,
                 register_t value)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_outcome outcome = { };
    unsigned long flags;

    VPL011_LOCK(d, flags);

    if ( likely(vpl011->state) )
    {
        outcome = vpl011_access(vpl011->state, (uint32_t)hsr.bits,
                                gpa - vpl011->base_addr, value);
        vpl011_settle(d, outcome);
    }

    VPL011_UNLOCK(d, flags);

    vpl011_notify(d, outcome);
    if ( unlikely(outcome.flags & VPL011_STALLED) )
        (void)vcpu_yield();

    return outcome;
}

#ifdef CONFIG_VPL011_FAST_TRAP

/*
 * Brings in the list registers of @v, which runs, but where GICv3 shows in one
 * register that none has ended.
 */
static noinline void vpl011_sync_lrs(struct vcpu *v)
{
    if ( gic_hw_version() != GIC_V3 || v->arch.lrs_behind ||
         (this_cpu(lr_mask) & READ_SYSREG(ICH_ELSR_EL2)) )
        vgic_sync_from_lrs(v);
}

/* The syndrome's number of the register that reads as zero. */
#define VPL011_XZR 31

/*
 * The syndrome numbers the guest's registers as AArch64 does, in AArch32 state
 * too, so that get_user_reg() and set_user_reg() do the same as these two. They
 * also check that @regs belong to the trap, as @regs here do.
 */
static always_inline register_t vpl011_get_reg(struct cpu_user_regs *regs,
                                               unsigned int reg)
{
    return reg == VPL011_XZR ? 0 : (&regs->x0)[reg];
}

static always_inline void vpl011_set_reg(struct cpu_user_regs *regs,
                                         unsigned int reg, register_t value)
{
    if ( reg != VPL011_XZR )
        (&regs->x0)[reg] = value;
}

/* The access is done: what it reads is in the guest's register. */
static always_inline void vpl011_end_trap(struct cpu_user_regs *regs,
                                          uint32_t value)
{
    const union hsr hsr = { .bits = regs->hsr };

    if ( !hsr.dabt.write )
        vpl011_set_reg(regs, hsr.dabt.reg, sign_extend(hsr.dabt, value));

    if ( likely(!regs_mode_is_32bit(regs)) )
        regs->pc += 4;
    else
        advance_pc(regs, hsr);
}

/* What the guest stores, if it does. */
static always_inline register_t vpl011_stored(struct cpu_user_regs *regs)
{
    const union hsr hsr = { .bits = regs->hsr };

    return hsr.dabt.write ? vpl011_get_reg(regs, hsr.dabt.reg) : 0;
}

/* An access that only the device can answer. */
static always_inline bool vpl011_takes_access(struct cpu_user_regs *regs,
                                              struct domain *d, paddr_t gpa)
{
    const union hsr hsr = { .bits = regs->hsr };
    struct vpl011_outcome outcome =
        vpl011_access_by(d, hsr, gpa, vpl011_stored(regs));

    if ( unlikely(outcome.flags & VPL011_ABORT) )
        return false;

    vpl011_end_trap(regs, outcome.value);

    return true;
}

/*
 * These are functions of their own, so that none saves registers for another:
 * of UARTDR, of what is not answered at a glance, and of what may be.
 */
static noinline bool vpl011_takes_data(struct cpu_user_regs *regs,
                                       struct vcpu *v, paddr_t gpa)
{
    if ( unlikely(this_cpu(lr_mask)) )
        vpl011_sync_lrs(v);

    return vpl011_takes_access(regs, v->domain, gpa);
}

static noinline bool vpl011_takes_other(struct cpu_user_regs *regs,
                                        struct domain *d, paddr_t gpa)
{
    return vpl011_takes_access(regs, d, gpa);
}

/*
 * A driver that polls gets its answer without the lock: from the registers as
 * the newest outcome left them.
 */
static noinline bool vpl011_takes_register(struct cpu_user_regs *regs,
                                           struct vcpu *v, paddr_t gpa)
{
    struct domain *d = v->domain;
    struct vpl011 *vpl011 = &d->arch.vpl011;
    uint64_t seen;

    if ( unlikely(this_cpu(lr_mask)) )
        vpl011_sync_lrs(v);

    seen = vpl011_peek(&vpl011->glance, (uint32_t)regs->hsr,
                       gpa - vpl011->base_addr, vpl011_stored(regs));
    if ( seen == VPL011_UNSEEN )
        return vpl011_takes_other(regs, d, gpa);

    vpl011_end_trap(regs, seen);
    if ( unlikely(seen & VPL011_POLLED) )
        vpl011_rest(v);

    return true;
}

bool vpl011_takes_trap(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    const struct vpl011 *vpl011 = &v->domain->arch.vpl011;
    const union hsr hsr = { .bits = regs->hsr };
    const struct hsr_dabt dabt = hsr.dabt;
    paddr_t gpa, offset;

    ASSERT(dabt.ec == HSR_EC_DATA_ABORT_LOWER_EL);

    if ( !dabt.valid || dabt.eat || dabt.cache || dabt.s1ptw ||
         (dabt.dfsc & ~FSC_LL_MASK) != FSC_FLT_TRANS )
        return false;

    gpa = ((paddr_t)(READ_SYSREG(HPFAR_EL2) & HPFAR_MASK) << (12 - 4)) |
          (READ_SYSREG(FAR_EL2) & ~PAGE_MASK);
    offset = gpa - vpl011->base_addr;
    /*
     * Some processors report a translation fault of stage 2 where a load
     * across two pages is one of stage 1 (Cortex-A57, 834220); an aligned load
     * is no such load.
     */
    if ( offset >= vpl011->size || (offset & ((1U << dabt.size) - 1)) )
        return false;

    /* UARTDR, at 0, is never answered at a glance. */
    return offset ? vpl011_takes_register(regs, v, gpa)
                  : vpl011_takes_data(regs, v, gpa);
}

#endif /* CONFIG_VPL011_FAST_TRAP */

/*
 * By way of Xen's search come the accesses whose instruction it decodes, those
 * that the guest shall get an abort for, and without VPL011_FAST_TRAP all.
 */
static bool vpl011_mmio(struct domain *d, const mmio_info_t *info,
                        register_t *r)
{
    const union hsr hsr = { .dabt = info->dabt };
    struct vpl011_outcome outcome = vpl011_access_by(d, hsr, info->gpa, *r);

    *r = outcome.value;

    return !(outcome.flags & VPL011_ABORT);
}

static int vpl011_mmio_read(struct vcpu *v, mmio_info_t *info, register_t *r,
                            void *priv)
{
    return vpl011_mmio(v->domain, info, r);
}

static int vpl011_mmio_write(struct vcpu *v, mmio_info_t *info, register_t r,
                             void *priv)
{
    return vpl011_mmio(v->domain, info, &r);
}

const struct mmio_handler_ops vpl011_mmio_ops = {
    .read = vpl011_mmio_read,
    .write = vpl011_mmio_write,
};

/*
 * Something that happens beside the guest. evtchn_send() has dropped its locks
 * by now: the device may be gone, and with it the ring.
 */
static void vpl011_entry(struct domain *d,
                         struct vpl011_outcome (*entry)(
                             struct vpl011_state *state))
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_outcome outcome = { };
    unsigned long flags;
    bool found;

    VPL011_LOCK(d, flags);

    found = vpl011->state;
    if ( found )
    {
        outcome = entry(vpl011->state);
        vpl011_settle(d, outcome);
    }

    VPL011_UNLOCK(d, flags);

    vpl011_notify(d, outcome);
    if ( found )
        vpl011_end_rests(d);
}

void vpl011_event(struct vcpu *v, unsigned int port)
{
    vpl011_entry(v->domain, vpl011_ring_event);
}

/* A break from the backend's domain, whichever backend it is. */
void vpl011_rx_break(struct domain *d)
{
    vpl011_entry(d, vpl011_break);
}

/* A character typed at Xen's console, for a domain without a ring. */
vpl011_rx_t vpl011_rx_char_xen(struct domain *d, char c)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    int rc = -ENODEV;
    unsigned long flags;

    VPL011_LOCK(d, flags);

    if ( vpl011->state && !vpl011->backend_in_domain )
    {
        vpl011_settle(d, vpl011_receive(vpl011->state, c));
        rc = 0;
    }

    VPL011_UNLOCK(d, flags);

    if ( !rc )
        vpl011_end_rests(d);

    return (vpl011_rx_t)rc;
}

/* The core's only call out. It is a defect in the core to get here. */
void vpl011_panic(const char *file, size_t length, uint32_t line)
{
    panic("vpl011: panic at %.*s:%u\n", (int)length, file, line);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
