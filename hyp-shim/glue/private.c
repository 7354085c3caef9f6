/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The private interface: a ring page that the guest cannot reach and a port
 * that it cannot use, handed over by the toolstack in two parameters while it
 * builds the domain: first HVM_PARAM_VUART_PFN, then HVM_PARAM_VUART_EVTCHN,
 * each once. The backend reads them back, and maps the page with
 * XENMEM_acquire_resource, as no gfn leads to it any more.
 *
 * A third, HVM_PARAM_VUART_BREAK, is a command: what a console ring cannot
 * carry.
 */
#include "glue.h"

/*
 * Takes a page of the domain's RAM for the ring. Its owner keeps it, and it
 * is freed with the domain; but no gfn names it.
 */
static int vpl011_hide_ring(struct domain *d, uint64_t gfn)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    struct page_info *page;
    void *ring;
    int rc;

    if ( vpl011->backend.dom.ring_buf )
        return -EEXIST;

    rc = prepare_ring_for_helper(d, gfn, &page, &ring);
    if ( rc )
        return rc;

    /* A page of Xen's that it shares, or one of another domain's. */
    if ( is_xen_heap_page(page) || page_get_owner(page) != d )
        rc = -EINVAL;
    else
        rc = guest_physmap_remove_page(d, _gfn(gfn), page_to_mfn(page), 0);

    if ( rc )
    {
        destroy_ring_for_helper(&ring, page);
        return rc;
    }

    clear_page(ring);
    vpl011->backend.dom.ring_page = page;
    vpl011->backend.dom.ring_buf = ring;
    vpl011->backend_in_domain = true;
    vpl011->ring_hidden = true;

    return 0;
}

/* Makes the toolstack's port Xen's own, and with it the device. */
static int vpl011_adopt_port(struct domain *d, uint64_t port)
{
    struct vpl011 *vpl011 = &d->arch.vpl011;
    int rc;

    if ( vpl011->state )
        return -EEXIST;

    /* An event is delivered on vCPU 0. */
    if ( !vpl011->ring_hidden || port > UINT_MAX || !domain_vcpu(d, 0) )
        return -EINVAL;

    rc = vpl011_create(d, vpl011->backend.dom.ring_buf, VPL011_PROFILE_PL011);
    if ( rc )
        return rc;

    /* The consumer may be called as soon as the port is adopted. */
    vpl011->evtchn = port;

    rc = adopt_unbound_xen_event_channel(d, port, 0, vpl011_event);
    if ( rc )
    {
        vpl011->evtchn = 0;
        vpl011_discard(d);
        return rc;
    }

    vpl011_publish(d);

    return 0;
}

/* Nothing is stored, so that a get answers 0 for ever. */
static int vpl011_send_break(struct domain *d, uint64_t breaks)
{
    if ( !d->creation_finished )
        return -EPERM;

    if ( !d->arch.vpl011.state )
        return -ENODEV;

    if ( breaks != 1 )
        return -EINVAL;

    vpl011_rx_break(d);

    return 0;
}

/* Set by the toolstack while it builds the domain, and never again. */
static int vpl011_set_up(struct domain *d, uint32_t index, uint64_t value)
{
    int rc;

    if ( d->creation_finished )
        return -EPERM;

    if ( index == HVM_PARAM_VUART_PFN )
        rc = vpl011_hide_ring(d, value);
    else
        rc = vpl011_adopt_port(d, value);

    if ( !rc )
        d->arch.hvm.params[index] = value;

    return rc;
}

static int vpl011_set_param(struct domain *d, uint32_t index, uint64_t value)
{
    int rc;

    domain_lock(d);

    if ( d->is_dying )
        rc = -EINVAL;
    else if ( index == HVM_PARAM_VUART_BREAK )
        rc = vpl011_send_break(d, value);
    else
        rc = vpl011_set_up(d, index, value);

    domain_unlock(d);

    return rc;
}

int vpl011_private_param(struct domain *d, bool set, uint32_t index,
                         uint64_t *value)
{
    int rc;

    if ( d == current->domain )
        return -EPERM;

    /* Who may know of the ring is who may map it. */
    rc = xsm_domain_resource_map(XSM_DM_PRIV, d);
    if ( rc )
        return rc;

    if ( !set )
    {
        *value = d->arch.hvm.params[index];
        return 0;
    }

    if ( index == HVM_PARAM_VUART_BREAK )
        return vpl011_set_param(d, index, *value);

    if ( !is_control_domain(current->domain) )
        return -EPERM;

    /*
     * The first unpause of a domain takes the domctl lock, which is not held
     * here: without a pause of our own the guest could start, and look for its
     * MMIO handlers, while they are being sorted.
     */
    domain_pause(d);
    rc = vpl011_set_param(d, index, *value);
    domain_unpause(d);

    return rc;
}

unsigned int vpl011_ring_frames(const struct domain *d, unsigned int id)
{
    return d->arch.vpl011.ring_hidden && !id;
}

int vpl011_acquire_ring(struct domain *d, unsigned int id, unsigned int frame,
                        unsigned int nr_frames, xen_pfn_t mfn_list[])
{
    int rc = -EINVAL;

    if ( id || frame || nr_frames != 1 )
        return rc;

    /* While the domain lives, the ring does: see lifecycle.c. */
    domain_lock(d);

    if ( !d->is_dying && d->arch.vpl011.ring_hidden )
    {
        mfn_list[0] = mfn_x(page_to_mfn(d->arch.vpl011.backend.dom.ring_page));
        rc = nr_frames;
    }

    domain_unlock(d);

    return rc;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
