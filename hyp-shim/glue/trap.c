/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Xen need not do when a guest's access to its device has trapped.
 */
#include "glue.h"

bool vpl011_spares_lrs(const struct vcpu *v)
{
    const union hsr hsr = { .bits = guest_cpu_user_regs()->hsr };
    const struct vpl011 *vpl011 = &v->domain->arch.vpl011;
    paddr_t page;
    uint64_t used;

    /* The trap of an interrupt leaves the syndrome of the one before it. */
    if ( IS_ENABLED(CONFIG_NEW_VGIC) || !local_irq_is_enabled() ||
         hsr.ec != HSR_EC_DATA_ABORT_LOWER_EL || !hsr.dabt.valid ||
         (hsr.dabt.dfsc & ~FSC_LL_MASK) != FSC_FLT_TRANS )
        return false;

    page = (paddr_t)(READ_SYSREG(HPFAR_EL2) & HPFAR_MASK) << (12 - 4);
    if ( page - vpl011->base_addr >= vpl011->size )
        return false;

    used = this_cpu(lr_mask);

    return !used || (gic_hw_version() == GIC_V3 && !v->arch.lrs_behind &&
                     !(used & READ_SYSREG(ICH_ELSR_EL2)));
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
