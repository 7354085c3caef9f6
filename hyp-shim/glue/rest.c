/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU that looks for input again and again rests in between: it blocks, as
 * in SCHEDOP_poll and by the same fields and timer, until an event comes for
 * the domain or its device, an interrupt for the vCPU, or a while is over.
 */
#include "glue.h"

#ifdef CONFIG_VPL011_FAST_TRAP

#define VPL011_REST MICROSECS(250)

static bool vpl011_may_rest(const struct vcpu *v)
{
    const struct domain *d = v->domain;

    /* Another CPU may have ended the rest while it was being set up. */
    if ( !v->poll_evtchn || !test_bit(_VPF_blocked, &v->pause_flags) ||
         !test_bit(v->vcpu_id, d->poll_mask) )
        return false;

    return !local_events_need_delivery() &&
           (read_atomic(&d->arch.vpl011.glance) & VPL011_GLANCE_EMPTY);
}

void vpl011_rest(struct vcpu *v)
{
    struct domain *d = v->domain;

    set_bit(_VPF_blocked, &v->pause_flags);
    v->poll_evtchn = -1;
    set_bit(v->vcpu_id, d->poll_mask);
    /* Either vpl011_end_rests() sees these, or its input is seen below. */
    smp_mb();

    if ( !vpl011_may_rest(v) )
    {
        v->poll_evtchn = 0;
        clear_bit(v->vcpu_id, d->poll_mask);
        clear_bit(_VPF_blocked, &v->pause_flags);
        return;
    }

    set_timer(&v->poll_timer, NOW() + VPL011_REST);
    raise_softirq(SCHEDULE_SOFTIRQ);
}

void vpl011_end_rests(struct domain *d)
{
    smp_mb();
    evtchn_check_pollers(d, d->arch.vpl011.evtchn);
}

#endif /* CONFIG_VPL011_FAST_TRAP */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
