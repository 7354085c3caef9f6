/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the rest of Xen calls in arch/arm/vpl011/, beyond asm/vpl011.h: the
 * private interface (a ring page the guest cannot reach, a port it cannot
 * use), the device tree of dom0less guests, and the level of the interrupt
 * line.
 */
#ifndef ARM_VPL011_PRIVATE_H
#define ARM_VPL011_PRIVATE_H

#include <xen/errno.h>
#include <xen/types.h>
#include <public/hvm/params.h>

struct cpu_user_regs;
struct domain;
struct dt_device_node;

#ifdef CONFIG_VPL011_FAST_TRAP
/*
 * The vCPU that runs has trapped on a data abort; its list registers are as it
 * left them. Returns whether that was an access to the device: then it is
 * done, PC and all. If not, nothing has happened.
 */
bool vpl011_takes_trap(struct cpu_user_regs *regs);
#endif

#ifdef CONFIG_VPL011_RUST

static inline bool vpl011_is_private_param(uint32_t index)
{
    return index == HVM_PARAM_VUART_PFN || index == HVM_PARAM_VUART_EVTCHN ||
           index == HVM_PARAM_VUART_BREAK;
}

/*
 * HVMOP_get_param and HVMOP_set_param of the private parameters.
 *
 * -EPERM:  the caller is the domain itself or no device model of it; for a set
 *          of page or port, not the control domain, or the domain's creation
 *          is finished; for a break, it is not
 * -EINVAL: the domain is dying; not a gfn of the domain's own RAM; not an
 *          unbound port of the domain; the port set before the page, or with
 *          no vCPU 0 or no free vSPI; not exactly one break
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

/* Xen's debug key `q`: prints the device's state, if there is one. */
void vpl011_dump(struct domain *d);

/*
 * Makes the device of a guest that Xen starts itself, by the property `vpl011`
 * of @node: empty, an SBSA UART; "pl011", a PL011. -EINVAL for any other.
 */
int vpl011_init_dom0less(struct domain *d, const struct dt_device_node *node);

/* Whether that guest's device, and its device tree's node, is a PL011. */
#define vpl011_is_full(d) ((d)->arch.vpl011.full)

/*
 * Writes the nodes of a PL011 into that guest's device tree, under the root,
 * with #address-cells and #size-cells of 2. Returns libfdt's result.
 */
int vpl011_make_nodes(const struct domain *d, void *fdt, uint32_t phandle_gic);

/*
 * For the vGIC that supports edges only, which calls it with its own lock held
 * and takes no other: whether @irq is the device's, and whether its line is
 * high.
 */
#define vpl011_has_line(d, irq) \
    ((irq) == (d)->arch.vpl011.virq && (d)->arch.vpl011.state)
#define vpl011_line_is_high(d, irq) \
    ((irq) == (d)->arch.vpl011.virq && \
     read_atomic(&(d)->arch.vpl011.shadow_uartmis))

/* The guest's end of the interrupt in list register @i is reported. */
void vpl011_report_end(unsigned int i);

#else /* !CONFIG_VPL011_RUST */

#define vpl011_dump(d) ((void)(d))
#define vpl011_init_dom0less(d, node) domain_vpl011_init(d, NULL)
#define vpl011_is_full(d) false
#define vpl011_make_nodes(d, fdt, phandle_gic) 0
#define vpl011_has_line(d, irq) false
#define vpl011_line_is_high(d, irq) false
#define vpl011_report_end(i) ((void)(i))

static inline bool vpl011_is_private_param(uint32_t index)
{
    return false;
}

static inline int vpl011_private_param(struct domain *d, bool set,
                                       uint32_t index, uint64_t *value)
{
    return -EINVAL;
}

#endif /* CONFIG_VPL011_RUST */

#endif /* ARM_VPL011_PRIVATE_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
