/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the rest of Xen calls in arch/arm/vpl011/, beyond asm/vpl011.h: the
 * private interface (a ring page the guest cannot reach, a port it cannot
 * use), the device tree of dom0less guests, and the level of the interrupt
 * line.
 */
#ifndef __ASM_ARM_VPL011_PRIVATE_H__
#define __ASM_ARM_VPL011_PRIVATE_H__

#include <xen/errno.h>
#include <xen/types.h>
#include <public/hvm/params.h>

struct domain;
struct vcpu;

static inline bool vpl011_is_private_param(uint32_t index)
{
    return index == HVM_PARAM_VUART_PFN || index == HVM_PARAM_VUART_EVTCHN ||
           index == HVM_PARAM_VUART_BREAK;
}

#ifdef CONFIG_SBSA_VUART_CONSOLE

/*
 * @v, which runs, has trapped; its list registers are as it left them. Whether
 * that was an access to the device: then it is done, PC and all, and the list
 * registers are as Xen's way out expects. If not, nothing has happened.
 */
bool vpl011_takes_trap(struct vcpu *v);

/*
 * HVMOP_get_param and HVMOP_set_param of the private parameters.
 *
 * -EPERM:  the caller is the domain itself or no device model of it; the
 *          domain's creation is finished (set of page or port), or not yet
 *          (break)
 * -EINVAL: the domain is dying; not a gfn of the domain's own RAM; not an
 *          unbound port of the domain; the port set before the page, or with
 *          no vCPU 0 or no vSPI to be had; not exactly one break
 * -ENODEV: the domain has no vpl011 (break)
 * -EEXIST: set before, or the domain has a vpl011 of another kind
 * -ENOMEM, -ENOSPC: no memory, no room for another MMIO handler
 *
 * After an error nothing is set.
 */
int vpl011_private_param(struct domain *d, bool set, uint32_t index,
                         uint64_t *value);

/* XENMEM_acquire_resource of XENMEM_resource_vuart. */
unsigned int vpl011_ring_frames(const struct domain *d, unsigned int id);
int vpl011_acquire_ring(struct domain *d, unsigned int id, unsigned int frame,
                        unsigned int nr_frames, xen_pfn_t mfn_list[]);

/*
 * Writes the device's nodes into the device tree of a guest that Xen starts
 * itself, under the root, with #address-cells and #size-cells of 2. Returns
 * what libfdt says.
 */
int vpl011_make_nodes(const struct domain *d, void *fdt, uint32_t phandle_gic);

/*
 * Whether @virq is the device's and its line is high. Takes no lock, as the
 * vGIC asks with its own held.
 */
bool vpl011_line_is_high(const struct domain *d, unsigned int virq);

#else /* !CONFIG_SBSA_VUART_CONSOLE */

#define vpl011_takes_trap(v) false

static inline int vpl011_private_param(struct domain *d, bool set,
                                       uint32_t index, uint64_t *value)
{
    return -EINVAL;
}

static inline bool vpl011_line_is_high(const struct domain *d,
                                       unsigned int virq)
{
    return false;
}

#endif /* CONFIG_SBSA_VUART_CONSOLE */

#endif /* __ASM_ARM_VPL011_PRIVATE_H__ */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
