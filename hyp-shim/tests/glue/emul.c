/* SPDX-License-Identifier: GPL-2.0-only */
/* See emul.h. */
#include "emul.h"

#include <stdarg.h>

struct emul emul;
struct vcpu *current;

struct page_info { char unused; };
static struct page_info the_page;

void emul_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    exit(1);
}

void emul_reset(void)
{
    static uint8_t page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

    memset(page, 0xa5, PAGE_SIZE);
    emul = (struct emul){
        .domain = {
            .domain_id = 1,
            .vcpu = &emul.vcpu,
            .domain_lock.ready = true,
            .arch.vmmio.max_num_entries = 2,
        },
        .dom0 = { .domain_id = 0, .is_privileged = true },
        .other.domain_id = 2,
        .vcpu = { .domain = &emul.domain, .arch.vgic.lock.ready = true },
        .dom0_vcpu = { .domain = &emul.dom0, .arch.vgic.lock.ready = true },
        .other_vcpu = { .domain = &emul.other, .arch.vgic.lock.ready = true },
        .page = page,
        .page_owner = &emul.domain,
        .page_in_p2m = true,
    };
    current = &emul.dom0_vcpu;
    emul_reset_vgic();
}

static bool fails(void)
{
    if ( !emul.fail_at || --emul.fail_at )
        return false;
    emul.failed = true;
    return true;
}

void spin_lock_init(spinlock_t *lock)
{
    *lock = (spinlock_t){ .ready = true };
}

void emul_lock(spinlock_t *lock)
{
    EMUL_CHECK(lock->ready);
    EMUL_CHECK(!lock->held);
    lock->held = true;
}

void emul_unlock(spinlock_t *lock)
{
    EMUL_CHECK(lock->held);
    lock->held = false;
}

struct vcpu *domain_vcpu(const struct domain *d, unsigned int id)
{
    return id ? NULL : d->vcpu;
}

void domain_pause(struct domain *d)
{
    EMUL_CHECK(d != current->domain && !d->domain_lock.held);
    d->pause_count++;
}

void domain_unpause(struct domain *d)
{
    EMUL_CHECK(d->pause_count && !d->domain_lock.held);
    d->pause_count--;
}

const void *dt_get_property(const struct dt_device_node *node, const char *name,
                            uint32_t *length)
{
    EMUL_CHECK(!strcmp(name, "vpl011"));
    *length = node->length;
    return node->vpl011;
}

void register_mmio_handler(struct domain *d,
                           const struct mmio_handler_ops *ops,
                           paddr_t addr, paddr_t size, void *priv)
{
    EMUL_CHECK(d->arch.vmmio.num_entries < d->arch.vmmio.max_num_entries);
    EMUL_CHECK(size == 0x1000);
    /* Xen sorts handlers, which a running guest searches. */
    EMUL_CHECK(!d->creation_finished || d->pause_count);
    d->arch.vmmio.num_entries++;
    emul.handlers++;
    emul.ops = ops;
    emul.mmio_base = addr;
}

register_t sign_extend(const struct hsr_dabt dabt, register_t r)
{
    unsigned int unused = 64 - (8U << dabt.size);

    /* A handler's value has no bits above the access's width. */
    EMUL_CHECK(r << unused >> unused == r);
    return dabt.sign ? (register_t)((int64_t)(r << unused) >> unused) : r;
}

const struct vuart_info *serial_vuart_info(int handle)
{
    return emul.host_uart;
}

int serial_irq(int handle)
{
    return emul.host_irq;
}

bool vgic_reserve_virq(struct domain *d, unsigned int virq)
{
    if ( emul.unpaused_meanwhile )
        d->creation_finished = true;
    if ( fails() || emul.virqs )
        return false;
    emul.virqs++;
    return true;
}

void vgic_free_virq(struct domain *d, unsigned int virq)
{
    EMUL_CHECK(emul.virqs);
    emul.virqs--;
}

void *emul_zalloc(size_t size)
{
    if ( fails() )
        return NULL;
    emul.allocations++;
    return calloc(1, size);
}

void xfree(void *p)
{
    if ( !p )
        return;
    EMUL_CHECK(emul.allocations);
    emul.allocations--;
    free(p);
}

int prepare_ring_for_helper(struct domain *d, unsigned long gmfn,
                            struct page_info **page, void **va)
{
    if ( gmfn != EMUL_GFN || !emul.page_in_p2m )
        return -EINVAL;
    if ( fails() )
        return -ENOMEM;
    emul.page_references++;
    *page = &the_page;
    *va = emul.page;
    return 0;
}

void destroy_ring_for_helper(void **va, struct page_info *page)
{
    if ( !*va )
        return;
    EMUL_CHECK(*va == emul.page && page == &the_page);
    EMUL_CHECK(emul.page_references);
    emul.page_references--;
    *va = NULL;
}

struct domain *page_get_owner(const struct page_info *page)
{
    return emul.page_owner;
}

bool is_xen_heap_page(const struct page_info *page)
{
    return emul.page_of_xen;
}

mfn_t page_to_mfn(const struct page_info *page)
{
    EMUL_CHECK(page == &the_page);
    return (mfn_t){ EMUL_MFN };
}

int guest_physmap_remove_page(struct domain *d, gfn_t gfn, mfn_t mfn,
                              unsigned int order)
{
    EMUL_CHECK(gfn_x(gfn) == EMUL_GFN && mfn_x(mfn) == EMUL_MFN && !order);
    if ( fails() )
        return -ENOMEM;
    emul.page_in_p2m = false;
    return 0;
}

void clear_page(void *page)
{
    memset(page, 0, PAGE_SIZE);
}

static void take_port(xen_event_channel_notification_t fn)
{
    emul.ports++;
    emul.consumer = fn;
}

int alloc_unbound_xen_event_channel(struct domain *ld, unsigned int lvcpu,
                                    domid_t remote,
                                    xen_event_channel_notification_t fn)
{
    EMUL_CHECK(domain_vcpu(ld, lvcpu));
    if ( fails() )
        return -ENOMEM;
    take_port(fn);
    return EMUL_PORT;
}

int adopt_unbound_xen_event_channel(struct domain *ld, evtchn_port_t port,
                                    unsigned int lvcpu,
                                    xen_event_channel_notification_t fn)
{
    EMUL_CHECK(domain_vcpu(ld, lvcpu));
    if ( port != EMUL_PORT || emul.ports || fails() )
        return -EINVAL;
    take_port(fn);
    /* The backend may be waiting to send. */
    fn(ld->vcpu, port);
    return 0;
}

void free_xen_event_channel(struct domain *d, int port)
{
    EMUL_CHECK(port == EMUL_PORT && emul.ports);
    emul.ports--;
}

void notify_via_xen_event_channel(struct domain *ld, int lport)
{
    EMUL_CHECK(!ld->arch.vpl011.lock.held);
    EMUL_CHECK(lport == EMUL_PORT);
    emul.doorbells++;
}

long vcpu_yield(void)
{
    EMUL_CHECK(!emul.domain.arch.vpl011.lock.held);
    emul.yields++;
    return 0;
}

void emul_between(void)
{
    void (*meanwhile)(void) = emul.meanwhile;

    if ( !meanwhile || emul.places-- )
        return;

    emul.meanwhile = NULL;
    meanwhile();
}

bool local_events_need_delivery(void)
{
    return emul.interrupted && !(emul.regs.cpsr & PSR_IRQ_MASK);
}

void vcpu_unblock(struct vcpu *v)
{
    if ( !test_and_clear_bit(_VPF_blocked, &v->pause_flags) )
        return;

    v->poll_evtchn = 0;
    clear_bit(v->vcpu_id, v->domain->poll_mask);
}

void evtchn_check_pollers(struct domain *d, unsigned int port)
{
    struct vcpu *v = d->vcpu;

    EMUL_CHECK(!d->arch.vpl011.lock.held);
    if ( (v->poll_evtchn <= 0 || (unsigned int)v->poll_evtchn == port) &&
         test_and_clear_bit(v->vcpu_id, d->poll_mask) )
        vcpu_unblock(v);
}

void set_timer(struct timer *timer, s_time_t expires)
{
    EMUL_CHECK(expires > emul.now);
    timer->expires = expires;
}

/* Raised by the vCPU that has blocked. */
void raise_softirq(unsigned int nr)
{
    EMUL_CHECK(nr == SCHEDULE_SOFTIRQ && !emul.domain.arch.vpl011.lock.held);
    EMUL_CHECK(test_bit(_VPF_blocked, &current->pause_flags));
    emul.rests++;
}

void emul_pass(s_time_t time)
{
    struct vcpu *v = &emul.vcpu;

    emul.now += time;
    if ( !v->poll_timer.expires || v->poll_timer.expires > emul.now )
        return;
    v->poll_timer.expires = 0;
    if ( test_and_clear_bit(v->vcpu_id, v->domain->poll_mask) )
        vcpu_unblock(v);
}

int xsm_domain_resource_map(int action, struct domain *d)
{
    EMUL_CHECK(action == XSM_DM_PRIV);
    return emul.denied_by_xsm ? -EPERM : 0;
}

struct domain *console_get_domain(void)
{
    return emul.focus;
}

void console_put_domain(struct domain *d)
{
}

int printk(const char *format, ...)
{
    size_t used = strlen(emul.printed);
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(emul.printed + used, sizeof(emul.printed) - used,
                       format, args);
    va_end(args);

    return length;
}

void panic(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    exit(1);
}
