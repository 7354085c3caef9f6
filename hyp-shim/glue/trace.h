/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CONFIG_VPL011_TRACE: records in Xen's trace buffers, which xentrace reads.
 * public/trace.h has their form. Off, nothing is compiled of them.
 */
#ifndef VPL011_TRACE_H
#define VPL011_TRACE_H

#ifdef CONFIG_VPL011_TRACE

/* @written or @seen, which is 0 if the guest gets an abort. */
static inline void vpl011_trace_access(const struct domain *d, union hsr hsr,
                                       paddr_t offset, register_t written,
                                       register_t seen)
{
    const uint32_t value = (uint32_t)(hsr.dabt.write ? written : seen);
    const uint32_t where = (uint32_t)offset |
                           ((uint32_t)hsr.dabt.size << 28) |
                           ((uint32_t)hsr.dabt.write << 31);

    vpl011_trace(TRC_HVM_EMUL_PL011_ACCESS, d->domain_id, where, value);
}

/* The line's causes, UARTMIS, were @was and are @pending. */
static inline void vpl011_trace_line(const struct domain *d, uint32_t was,
                                     uint32_t pending)
{
    if ( was != pending )
        vpl011_trace(TRC_HVM_EMUL_PL011_LINE, d->domain_id, was, pending);
}

#else

#define vpl011_trace_access(d, hsr, offset, written, seen) ((void)(d))
#define vpl011_trace_line(d, was, pending) ((void)(d))

#endif

#endif /* VPL011_TRACE_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
