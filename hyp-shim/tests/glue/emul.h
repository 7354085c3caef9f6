/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of Xen that hyp-shim/glue/ uses, on the host: one page of RAM, one
 * bus, one event port, one console. It checks its arguments (locks held or
 * not, references balanced) and aborts on a violation; it counts resources
 * taken and released; and it fails any call that can fail, on demand.
 */
#ifndef EMUL_H
#define EMUL_H

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 4096
#define PAGE_MASK (~(PAGE_SIZE - 1UL))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON(condition) _Static_assert(!(condition), #condition)
#define ASSERT(condition) EMUL_CHECK(condition)
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define smp_mb() emul_between()
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define write_atomic(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#define read_atomic(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define XENLOG_ERR ""
#define PRIpaddr PRIx64
#define __init
#define CONFIG_VPL011_RUST 1
#ifndef EMUL_WITHOUT_FAST_TRAP
#define CONFIG_VPL011_FAST_TRAP 1
#endif

#define EMUL_CHECK(condition) ((condition) ? (void)0 : \
    emul_fail(__FILE__, __LINE__, #condition))
void emul_fail(const char *file, int line, const char *what)
    __attribute__((noreturn));

typedef uint64_t paddr_t, xen_pfn_t;
/* The C library has its own, which is signed. */
#define register_t uint64_t
typedef uint16_t domid_t;
typedef uint32_t evtchn_port_t, XENCONS_RING_IDX;
typedef struct { uint64_t gfn; } gfn_t;
typedef struct { uint64_t mfn; } mfn_t;
#define _gfn(n) ((gfn_t){ n })
#define gfn_x(g) ((g).gfn)
#define mfn_x(m) ((m).mfn)

/* Locks: one thread, so taking a held one is a deadlock. */
typedef struct { bool ready, held; } spinlock_t;
void spin_lock_init(spinlock_t *lock);
void emul_lock(spinlock_t *lock);
void emul_unlock(spinlock_t *lock);
#define spin_is_locked(lock) ((lock)->held)
#define domain_is_locked(d) spin_is_locked(&(d)->domain_lock)
#define domain_lock(d) emul_lock(&(d)->domain_lock)
#define domain_unlock(d) emul_unlock(&(d)->domain_lock)
#define VPL011_LOCK(d, flags) \
    ((flags) = 0, emul_lock(&(d)->arch.vpl011.lock))
#define VPL011_UNLOCK(d, flags) \
    ((void)(flags), emul_unlock(&(d)->arch.vpl011.lock))

/* The part of the domain that the glue reads. */
struct vpl011_xen_backend {
    char in[32];
    char out[128];
    XENCONS_RING_IDX in_cons, in_prod;
    XENCONS_RING_IDX out_prod;
};

struct vpl011 {
    bool backend_in_domain;
    union {
        struct {
            void *ring_buf;
            struct page_info *ring_page;
        } dom;
        struct vpl011_xen_backend *xen;
    } backend;
    uint32_t shadow_uartmis;
    paddr_t base_addr;
    unsigned int virq;
    spinlock_t lock;
    evtchn_port_t evtchn;
    struct vpl011_state *state;
    uint64_t glance;
    paddr_t size;
    bool ring_hidden, full;
};

struct vpl011_init_info {
    domid_t console_domid;
    gfn_t gfn;
    evtchn_port_t evtchn;
};

struct vmmio {
    int num_entries, max_num_entries;
};

struct domain {
    domid_t domain_id;
    bool is_dying, creation_finished, direct_mapped, is_privileged;
    unsigned int pause_count;
    spinlock_t domain_lock;
    struct vcpu *vcpu;
    unsigned long poll_mask[1];
    struct {
        struct vpl011 vpl011;
        struct vmmio vmmio;
        struct { uint64_t params[42]; } hvm;
    } arch;
};

/* Lists: every member is in one or in none. */
struct list_head { struct list_head *next, *prev; };

static inline void INIT_LIST_HEAD(struct list_head *head)
{
    *head = (struct list_head){ head, head };
}

static inline bool list_empty(const struct list_head *head)
{
    return head->next == head;
}

static inline void list_add_tail(struct list_head *member,
                                 struct list_head *head)
{
    EMUL_CHECK(list_empty(member));
    *member = (struct list_head){ head, head->prev };
    head->prev = head->prev->next = member;
}

static inline void list_del_init(struct list_head *member)
{
    member->prev->next = member->next;
    member->next->prev = member->prev;
    INIT_LIST_HEAD(member);
}

/* The vGIC's state of an interrupt. */
struct pending_irq {
    unsigned long status;
    struct irq_desc *desc;
    unsigned int irq;
    uint8_t lr, priority;
    struct list_head inflight, lr_queue;
};
/* Another CPU acts here, if a case requests it. */
void emul_between(void);
#define GIC_IRQ_GUEST_QUEUED 0
#define GIC_IRQ_GUEST_ACTIVE 1
#define GIC_IRQ_GUEST_VISIBLE 2
#define GIC_IRQ_GUEST_ENABLED 3
#define GIC_INVALID_LR ((uint8_t)~0)
#define test_bit(n, word) ((*(word) >> (n)) & 1)
#define set_bit(n, word) (emul_between(), (void)(*(word) |= 1UL << (n)))
#define clear_bit(n, word) ((void)(*(word) &= ~(1UL << (n))))
#define test_and_clear_bit(n, word) \
    (test_bit(n, word) ? (clear_bit(n, word), 1) : 0)
#define spin_lock(lock) emul_lock(lock)
#define spin_unlock(lock) emul_unlock(lock)

struct gic_lr {
    unsigned int virq;
    bool pending, active;
    struct { bool eoi; } virt;
    uint8_t priority;
};

struct gic_hw_operations {
    void (*read_lr)(int i, struct gic_lr *lr);
    void (*write_lr)(int i, const struct gic_lr *lr);
    void (*clear_lr)(int i);
    void (*update_lr)(int i, unsigned int virq, uint8_t priority,
                      unsigned int hw_irq, unsigned int state);
    void (*update_hcr_status)(uint32_t flag, bool set);
};
extern const struct gic_hw_operations *gic_hw_ops;

typedef int64_t s_time_t;
#define MICROSECS(us) ((s_time_t)(us) * 1000)
#define NOW() (emul.now)
struct timer { s_time_t expires; };

struct vcpu {
    struct domain *domain;
    unsigned int vcpu_id;
    unsigned long pause_flags;
    int poll_evtchn;
    struct timer poll_timer;
    struct {
        register_t hcr_el2;
        bool lrs_in, lrs_behind;
        struct {
            spinlock_t lock;
            struct list_head inflight_irqs, lr_pending;
            struct pending_irq pending_irqs[32];
        } vgic;
    } arch;
};

#define is_control_domain(d) ((d)->is_privileged)
void domain_pause(struct domain *d);
void domain_unpause(struct domain *d);

struct vcpu *domain_vcpu(const struct domain *d, unsigned int id);
extern struct vcpu *current;

#define HVM_PARAM_VUART_PFN 39
#define HVM_PARAM_VUART_EVTCHN 40
#define HVM_PARAM_VUART_BREAK 41

/* The bus. */
struct hsr_dabt {
    unsigned long dfsc:6, write:1, s1ptw:1, cache:1, eat:1, fnv:1, sbzp0:3,
                  ar:1, sf:1, reg:5, sign:1, size:2, valid:1, len:1, ec:6;
};

union hsr {
    register_t bits;
    struct {
        unsigned long iss:25, len:1, ec:6;
    };
    struct hsr_dabt dabt;
    struct { unsigned long ti:1; } wfi_wfe;
};
#define HSR_EC_DATA_ABORT_LOWER_EL 0x24
#define FSC_LL_MASK 0x03
#define FSC_FLT_TRANS 0x04

typedef struct {
    struct hsr_dabt dabt;
    paddr_t gpa;
} mmio_info_t;

/* A guest's registers; number 31 of a syndrome is not among them. */
struct cpu_user_regs {
    union {
        register_t x[31];
        register_t x0;
    };
    register_t pc, cpsr, hsr;
    /* Of a 32-bit guest. */
    register_t r12;
};
#define guest_cpu_user_regs() (&emul.regs)
#define PSR_MODE_BIT 0x10UL
#define regs_mode_is_32bit(regs) (!!((regs)->cpsr & PSR_MODE_BIT))
void advance_pc(struct cpu_user_regs *regs, const union hsr hsr);

/* System registers, and Xen's per-CPU data. */
#define READ_SYSREG(name) (emul.name)
#define this_cpu(name) (emul.name)
#define HPFAR_MASK (((1UL << 40) - 1) & ~0xfUL)

register_t sign_extend(const struct hsr_dabt dabt, register_t r);

struct mmio_handler_ops {
    int (*read)(struct vcpu *v, mmio_info_t *info, register_t *r, void *priv);
    int (*write)(struct vcpu *v, mmio_info_t *info, register_t r, void *priv);
};

void register_mmio_handler(struct domain *d,
                           const struct mmio_handler_ops *ops,
                           paddr_t addr, paddr_t size, void *priv);

#define GUEST_PL011_BASE 0x22000000UL
#define GUEST_PL011_SIZE 0x1000UL
#define GUEST_VPL011_SPI 32

/* Xen's own UART. */
struct vuart_info {
    paddr_t base_addr;
    unsigned long size;
};
#define SERHND_DTUART 0
const struct vuart_info *serial_vuart_info(int handle);
int serial_irq(int handle);
#define is_domain_direct_mapped(d) ((d)->direct_mapped)

/* The device tree node of a guest that Xen starts itself. */
struct dt_device_node { const char *vpl011; uint32_t length; };
const void *dt_get_property(const struct dt_device_node *node, const char *name,
                            uint32_t *length);

/* Interrupts, as in the vGIC, which has no levels. */
struct pending_irq *spi_to_pending(struct domain *d, unsigned int irq);
bool vgic_reserve_virq(struct domain *d, unsigned int virq);
void vgic_free_virq(struct domain *d, unsigned int virq);
void vgic_inject_irq(struct domain *d, struct vcpu *v, unsigned int virq,
                     bool level);
enum gic_version { GIC_INVALID, GIC_V2, GIC_V3 };
#define gic_hw_version() (emul.gic_version)
void vgic_sync_from_lrs(struct vcpu *v);

/* Memory. */
void *emul_zalloc(size_t size);
void xfree(void *p);
#define xzalloc(type) ((type *)emul_zalloc(sizeof(type)))
#define XFREE(p) (xfree(p), (p) = NULL)
struct page_info;
int prepare_ring_for_helper(struct domain *d, unsigned long gmfn,
                            struct page_info **page, void **va);
void destroy_ring_for_helper(void **va, struct page_info *page);
struct domain *page_get_owner(const struct page_info *page);
bool is_xen_heap_page(const struct page_info *page);
mfn_t page_to_mfn(const struct page_info *page);
int guest_physmap_remove_page(struct domain *d, gfn_t gfn, mfn_t mfn,
                              unsigned int order);
void clear_page(void *page);

/* Events. */
typedef void (*xen_event_channel_notification_t)(struct vcpu *v,
                                                 unsigned int port);
int alloc_unbound_xen_event_channel(struct domain *ld, unsigned int lvcpu,
                                    domid_t remote,
                                    xen_event_channel_notification_t fn);
int adopt_unbound_xen_event_channel(struct domain *ld, evtchn_port_t port,
                                    unsigned int lvcpu,
                                    xen_event_channel_notification_t fn);
void free_xen_event_channel(struct domain *d, int port);
void notify_via_xen_event_channel(struct domain *ld, int lport);
long vcpu_yield(void);

/* A vCPU that does not run, or is about to stop; its interrupts and timer. */
#define _VPF_blocked 0
#define SCHEDULE_SOFTIRQ 1
#define PSR_IRQ_MASK 0x80UL
bool local_events_need_delivery(void);
void vcpu_unblock(struct vcpu *v);
void evtchn_check_pollers(struct domain *d, unsigned int port);
void set_timer(struct timer *timer, s_time_t expires);
void raise_softirq(unsigned int nr);

/* Permission and console. */
#define XSM_DM_PRIV 2
int xsm_domain_resource_map(int action, struct domain *d);
struct domain *console_get_domain(void);
void console_put_domain(struct domain *d);
#define vpl011_rx_t int
#define vpl011_allow_input(d) (emul.input_allowed = true)
int printk(const char *format, ...) __attribute__((format(printf, 1, 2)));
void panic(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* The glue's interface to the rest of Xen. */
int domain_vpl011_init(struct domain *d, struct vpl011_init_info *info);
void domain_vpl011_deinit(struct domain *d);
int vpl011_rx_char_xen(struct domain *d, char c);
int vpl011_private_param(struct domain *d, bool set, uint32_t index,
                         uint64_t *value);
unsigned int vpl011_ring_frames(const struct domain *d, unsigned int id);
int vpl011_acquire_ring(struct domain *d, unsigned int id, unsigned int frame,
                        unsigned int nr_frames, xen_pfn_t mfn_list[]);
void vpl011_dump(struct domain *d);
bool vpl011_takes_trap(struct cpu_user_regs *regs);
int vpl011_init_dom0less(struct domain *d, const struct dt_device_node *node);

/* What the cases set up and check. */
#define EMUL_GFN 0x39003UL  /* the one gfn that is RAM */
#define EMUL_MFN 0x80123UL
#define EMUL_PORT 7         /* the one port that is unbound */

struct emul {
    struct domain domain, dom0, other;
    struct vcpu vcpu, dom0_vcpu, other_vcpu;
    /* Fails the n-th call from now that can fail; 0: none. */
    unsigned int fail_at;
    bool failed;

    /* Resources held by the glue. */
    unsigned int allocations, page_references, virqs, ports, handlers;

    /* The page at EMUL_GFN. */
    uint8_t *page;
    struct domain *page_owner;
    bool page_of_xen, page_in_p2m;

    /* Actions of the glue. */
    unsigned int injections, doorbells, yields, rests;
    bool offline;
    xen_event_channel_notification_t consumer;
    const struct mmio_handler_ops *ops;
    paddr_t mmio_base;

    s_time_t now;
    /* An interrupt is pending for the vCPU. */
    bool interrupted;
    /* Another CPU's action, at the n-th possible place from now. */
    void (*meanwhile)(void);
    unsigned int places;

    /* The trap. */
    struct cpu_user_regs regs;
    register_t HPFAR_EL2, FAR_EL2, HCR_EL2;

    /* The list registers: which are in use, which have ended. */
    uint64_t lr_mask;
    register_t ICH_ELSR_EL2;
    /* The contents of the first of them, and the vGIC's state of it. */
    struct gic_lr lr;
    struct pending_irq irq;
    enum gic_version gic_version;
    unsigned int brought_in;

    /* Other state. */
    bool denied_by_xsm, input_allowed;
    /* Another CPU unpauses the domain for the first time, during a call. */
    bool unpaused_meanwhile;
    struct domain *focus;
    const struct vuart_info *host_uart;
    int host_irq;
    char printed[4096];
};
extern struct emul emul;

void emul_reset(void);
/* Advances time. */
void emul_pass(s_time_t time);
/* Resets the state of the vGIC. */
void emul_reset_vgic(void);

/*
 * Performs the actions that the bytes encode on the glue, in any order, and
 * checks each answer against the rules of the parameters (monkey.c).
 */
void monkey(const uint8_t *data, size_t size);

#endif /* EMUL_H */
