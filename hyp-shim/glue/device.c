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

    vpl011_trace_line(d, vpl011->shadow_uartmis, outcome.pending);
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
 * An access of the guest, of @value if it is a write; to UARTDR if @data.
 * The outcome has been acted on when this returns.
 */
static always_inline struct vpl011_outcome
vpl011_access_by(struct domain *d, union hsr hsr, paddr_t offset,
                 register_t value, bool data)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct vpl011_outcome outcome = { };
    unsigned long flags;

    VPL011_LOCK(d, flags);

    if ( likely(vpl011->state) )
    {
        if ( data )
            outcome = vpl011_send(vpl011->state, value);
        else
            outcome = vpl011_access(vpl011->state, (uint32_t)hsr.bits, offset,
                                    value);
        vpl011_trace_access(d, hsr, offset, value, outcome.value);
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
static always_inline void vpl011_sync_lrs(struct vcpu *v)
{
    if ( gic_hw_version() != GIC_V3 || v->arch.lrs_behind ||
         (this_cpu(lr_mask) & READ_SYSREG(ICH_ELSR_EL2)) )
        vgic_sync_from_lrs(v);
}

/* The syndrome's number of the register that reads as zero. */
#define VPL011_XZR 31

/*
 * The syndrome numbers the guest's registers as AArch64 does, in AArch32 state
 * too, so get_user_reg() and set_user_reg() do the same as these two. They
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

/* The access is done. */
static always_inline void vpl011_end_trap(struct cpu_user_regs *regs)
{
    if ( likely(!regs_mode_is_32bit(regs)) )
        regs->pc += 4;
    else
        advance_pc(regs, (union hsr){ .bits = regs->hsr });
}

/* The same; what it reads, if it does, is in the guest's register. */
static always_inline void vpl011_end_access(struct cpu_user_regs *regs,
                                            uint32_t value)
{
    const union hsr hsr = { .bits = regs->hsr };

    if ( !hsr.dabt.write )
        vpl011_set_reg(regs, hsr.dabt.reg, value);

    vpl011_end_trap(regs);
}

/* What the guest stores, if it does. */
static always_inline register_t vpl011_stored(struct cpu_user_regs *regs)
{
    const union hsr hsr = { .bits = regs->hsr };

    return hsr.dabt.write ? vpl011_get_reg(regs, hsr.dabt.reg) : 0;
}

/*
 * These are functions of their own, so that none saves registers for another:
 * of a character written, of what is not answered at a glance, and of what may
 * be.
 */
static noinline bool vpl011_takes_character(struct cpu_user_regs *regs,
                                            struct domain *d)
{
    const union hsr hsr = { .bits = regs->hsr };

    (void)vpl011_access_by(d, hsr, 0, vpl011_get_reg(regs, hsr.dabt.reg),
                           true);
    vpl011_end_trap(regs);

    return true;
}

static noinline bool vpl011_takes_other(struct cpu_user_regs *regs,
                                        struct domain *d, paddr_t offset)
{
    const union hsr hsr = { .bits = regs->hsr };
    struct vpl011_outcome outcome =
        vpl011_access_by(d, hsr, offset, vpl011_stored(regs), false);

    if ( unlikely(outcome.flags & VPL011_ABORT) )
        return false;

    vpl011_end_access(regs, outcome.value);

    return true;
}

/*
 * A driver that polls gets its answer without the lock: from the registers as
 * the newest outcome left them.
 */
static noinline bool vpl011_takes_register(struct cpu_user_regs *regs,
                                           struct domain *d, paddr_t offset)
{
    uint64_t seen = vpl011_peek(&d->arch.vpl011.glance, (uint32_t)regs->hsr,
                                offset, vpl011_stored(regs));

    if ( seen == VPL011_UNSEEN )
        return vpl011_takes_other(regs, current->domain, offset);

    vpl011_trace_access(d, (union hsr){ .bits = regs->hsr }, offset,
                        vpl011_stored(regs), seen);
    vpl011_end_access(regs, seen);
    if ( unlikely(seen & VPL011_POLLED) )
        vpl011_rest(current);

    return true;
}

/* UARTDR, at 0, is never answered at a glance. */
static always_inline bool vpl011_takes(struct cpu_user_regs *regs,
                                       struct domain *d, paddr_t offset)
{
    const union hsr hsr = { .bits = regs->hsr };

    if ( offset )
        return vpl011_takes_register(regs, d, offset);
    if ( hsr.dabt.write )
        return vpl011_takes_character(regs, d);
    return vpl011_takes_other(regs, d, offset);
}

/* The same while list registers are in use. */
static noinline bool vpl011_takes_synced(struct cpu_user_regs *regs,
                                          struct domain *d, paddr_t offset)
{
    vpl011_sync_lrs(current);

    return vpl011_takes(regs, d, offset);
}

/*
 * Whether the syndrome is of a translation fault of stage 2 by an access whose
 * registers it names, and that does not extend a sign.
 */
static always_inline bool vpl011_is_plain(union hsr hsr)
{
    const union hsr looked_at = { .dabt = {
        .dfsc = 0x3f & ~FSC_LL_MASK, .s1ptw = 1, .cache = 1, .eat = 1,
        .sign = 1, .valid = 1,
    } };
    const union hsr plain = { .dabt = { .dfsc = FSC_FLT_TRANS, .valid = 1 } };

    return (hsr.bits & looked_at.bits) == plain.bits;
}

bool vpl011_takes_trap(struct cpu_user_regs *regs)
{
    struct domain *d = current->domain;
    const struct vpl011 *vpl011 = &d->arch.vpl011;
    const union hsr hsr = { .bits = regs->hsr };
    paddr_t gpa, offset;

    ASSERT(hsr.dabt.ec == HSR_EC_DATA_ABORT_LOWER_EL);

    if ( !vpl011_is_plain(hsr) )
        return false;

    gpa = ((paddr_t)(READ_SYSREG(HPFAR_EL2) & HPFAR_MASK) << (12 - 4)) |
          (READ_SYSREG(FAR_EL2) & ~PAGE_MASK);
    offset = gpa - vpl011->base_addr;
    if ( offset >= vpl011->size )
        return false;
    /*
     * Some processors report a translation fault of stage 2 where a load
     * across two pages is one of stage 1 (Cortex-A57, 834220); an aligned load
     * is no such load. Every register is at a multiple of 4.
     */
    if ( unlikely(offset & 3) && (offset & ((1U << hsr.dabt.size) - 1)) )
        return false;
    if ( unlikely(hsr.dabt.size == 3) )
        return false;

    return likely(!this_cpu(lr_mask)) ? vpl011_takes(regs, d, offset)
                                      : vpl011_takes_synced(regs, d, offset);
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
    paddr_t offset = info->gpa - d->arch.vpl011.base_addr;
    struct vpl011_outcome outcome =
        vpl011_access_by(d, hsr, offset, *r, false);

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
