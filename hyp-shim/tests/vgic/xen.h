/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of Xen that its functions here use: those of arch/arm/traps.c,
 * vgic.c and gic-vgic.c that hyp-shim/tests/vgic.rs extracts from a tree with
 * the hooks. A trap that ends in Xen's own handling ends in stock() here.
 */
#ifndef VGIC_XEN_H
#define VGIC_XEN_H

#include "emul.h"
#include <asm/vpl011-private.h>

#define asmlinkage
#define CONFIG_ARM_64 1

/* IS_ENABLED() is 1 for an option that is defined to 1, and 0 for any other. */
#define OPTION_1 0,
#define SECOND(first, second, ...) second
#define IS_ENABLED_(mark) SECOND(mark 1, 0, 0)
#define IS_ENABLED_OF(value) IS_ENABLED_(OPTION_##value)
#define IS_ENABLED(option) IS_ENABLED_OF(option)

/* Bits. */
static inline unsigned int find_next_bit(const unsigned long *word,
                                         unsigned int size, unsigned int from)
{
    while ( from < size && !(*word >> from & 1) )
        from++;
    return from;
}

static inline unsigned int find_next_zero_bit(const unsigned long *word,
                                              unsigned int size,
                                              unsigned int from)
{
    unsigned long inverse = ~*word;

    return find_next_bit(&inverse, size, from);
}

/*
 * Over a word of so many bits; or, since Xen 4.20, over a value, with a
 * variable of its own.
 */
#define FOR_EACH_IN(i, word, size, ...) \
    for ( (i) = find_next_bit(word, size, 0); (i) < (size); \
          (i) = find_next_bit(word, size, (i) + 1) )
#define FOR_EACH_OF(i, value, ...) \
    for ( unsigned long left_ = (value), i = 0; \
          left_ && ({ (i) = __builtin_ctzl(left_); true; }); \
          left_ &= left_ - 1 )
#define THIRD(first, second, third, ...) third
#define for_each_set_bit(i, ...) \
    THIRD(__VA_ARGS__, FOR_EACH_IN, FOR_EACH_OF, 0)(i, __VA_ARGS__, 0)

/* Lists. */
#define list_entry_(position, member, type) \
    ((type *)((char *)(position) - offsetof(type, member)))
#define list_for_each_(iter, from, head, member, direction) \
    for ( (iter) = list_entry_((from)->direction, member, typeof(*(iter))); \
          &(iter)->member != (head); \
          (iter) = list_entry_((iter)->member.direction, member, \
                               typeof(*(iter))) )
#define list_for_each_entry(iter, head, member) \
    list_for_each_(iter, head, head, member, next)
#define list_for_each_entry_reverse(iter, head, member) \
    list_for_each_(iter, head, head, member, prev)
#define list_for_each_entry_safe(iter, after, head, member) \
    for ( (iter) = list_entry_((head)->next, member, typeof(*(iter))), \
          (after) = list_entry_((iter)->member.next, member, typeof(*(iter))); \
          &(iter)->member != (head); \
          (iter) = (after), \
          (after) = list_entry_((iter)->member.next, member, typeof(*(iter))) )

/* Locks, and the interrupts of the CPU that runs Xen. */
#define spin_lock_irqsave(lock, flags) ((flags) = 0, emul_lock(lock))
#define spin_unlock_irqrestore(lock, flags) ((void)(flags), emul_unlock(lock))
#define local_irq_is_enabled() false

/* Messages and counters. */
#define XENLOG_WARNING
#define XENLOG_DEBUG
#define PRIregister PRIx64
#define perfc_incr(counter) ((void)0)
#define gprintk(...) ((void)0)
#define gdprintk(...) ((void)0)

/* The vGIC's surroundings. No LPIs, and no interrupts of the host. */
#define NR_LOCAL_IRQS 32
#define GIC_IRQ_GUEST_MIGRATING 4
#define GIC_IRQ_GUEST_PRISTINE_LPI 5
#define _IRQ_INPROGRESS 0
#define _VPF_down 0
#define INVALID_IRQ 1023
#define GICH_LR_PENDING 1
#define GICH_HCR_UIE 2

struct irq_desc {
    unsigned long status;
    unsigned int irq;
    spinlock_t lock;
    const struct {
        void (*enable)(struct irq_desc *desc);
        void (*disable)(struct irq_desc *desc);
    } *handler;
};

#define is_lpi(irq) ((irq) >= 8192)
#define is_espi(irq) false
#define is_idle_vcpu(v) false
#define gic_get_nr_lrs() machine.nr_lrs
#define vgic_num_irqs(d) (32U + NR_SPIS)
#define vgic_is_spi(d, irq) ((irq) >= 32 && (irq) < vgic_num_irqs(d))
/* For an SPI it is the same for every vCPU. */
#define vgic_get_target_vcpu(v, irq) machine_target(irq)
#define vgic_get_virq_priority(v, irq) machine_priority(irq)
#define irq_set_affinity(desc, cpus) ((void)(desc), (void)(cpus))
#define cpumask_of(cpu) v_target
#define irq_type_set_by_domain(d) ((void)(d), false)
#define gic_set_irq_type(desc, type) ((void)(desc))
#define ASSERT_UNREACHABLE() EMUL_CHECK(!"reached")

struct pending_irq *irq_to_pending(struct vcpu *v, unsigned int irq);
void vcpu_kick(struct vcpu *v);

/* Traps. */
#define HSR_EC_UNKNOWN               0x00
#define HSR_EC_WFI_WFE               0x01
#define HSR_EC_CP15_32               0x03
#define HSR_EC_CP15_64               0x04
#define HSR_EC_CP14_32               0x05
#define HSR_EC_CP14_DBG              0x06
#define HSR_EC_CP                    0x07
#define HSR_EC_CP10                  0x08
#define HSR_EC_CP14_64               0x0c
#define HSR_EC_SVC32                 0x11
#define HSR_EC_HVC32                 0x12
#define HSR_EC_SMC32                 0x13
#define HSR_EC_HVC64                 0x16
#define HSR_EC_SMC64                 0x17
#define HSR_EC_SYSREG                0x18
#define HSR_EC_SVE                   0x19
#define HSR_EC_INSTR_ABORT_LOWER_EL  0x20
#define HCR_VA                       (1UL << 8)
#define PSR_THUMB                    (1U << 5)
#define PSR_IT_MASK                  0x0600fc00U
#define GUEST_BUG_ON(condition) EMUL_CHECK(!(condition))
/* For a 32-bit guest only. */
#define check_conditional_instr(regs, hsr) true

#define stock(regs, hsr) machine_stock(regs, hsr)
#define do_cp15_32(regs, hsr) stock(regs, hsr)
#define do_cp15_64(regs, hsr) stock(regs, hsr)
#define do_cp14_32(regs, hsr) stock(regs, hsr)
#define do_cp14_64(regs, hsr) stock(regs, hsr)
#define do_cp14_dbg(regs, hsr) stock(regs, hsr)
#define do_cp10(regs, hsr) stock(regs, hsr)
#define do_cp(regs, hsr) stock(regs, hsr)
#define do_trap_smc(regs, hsr) stock(regs, hsr)
#define do_trap_hypercall(regs, number, hsr) stock(regs, hsr)
#define do_trap_hvc_smccc(regs) stock(regs, hsr)
#define do_debug_trap(regs, code) stock(regs, hsr)
#define do_sysreg(regs, hsr) stock(regs, hsr)
#define do_trap_stage2_abort_guest(regs, hsr) stock(regs, hsr)
#define inject_undef_exception(regs, ...) stock(regs, hsr)
#define vcpu_block_unless_event_pending(v) ((void)(v))
#define guest_mode(regs) machine.from_guest
#define gic_interrupt(regs, is_fiq) machine_interrupt(is_fiq)
#define __do_trap_serror(regs, from_guest) machine_serror(regs)

/*
 * The machine (machine.c): two CPUs, on each of which a vCPU of the guest runs
 * or has trapped, and a third, which is dom0's.
 */
enum { CPUS = 2, MAX_LRS = 4, NR_SPIS = 16 };

/* The functions extracted from Xen. */
#include "taken.h"

/* Events outside the guest: to be run at a moment of its next trap. */
enum moment { BEFORE, AFTER, MOMENTS };

struct machine {
    unsigned int nr_lrs;
    struct cpu {
        struct vcpu *vcpu;
        struct gic_lr lr[MAX_LRS];
        uint64_t lr_mask;
        bool uie;          /* ICH_HCR_EL2.UIE */
        bool kicked;       /* an interrupt of the host waits */
    } cpu[CPUS], *here;
    struct pending_irq spis[NR_SPIS];
    unsigned int target[NR_SPIS];

    /* The trap. */
    bool from_guest;
    void (*happens[MOMENTS])(void);
    void (*handles)(void); /* Xen's own handling */
    bool interrupt_injects;

    /* The result. */
    unsigned int brought_in, stock, serrors, evictions;
    union hsr last_stock;
};
extern struct machine machine;

void machine_reset(unsigned int nr_lrs, bool gicv3);
struct vcpu *machine_target(unsigned int irq);
uint8_t machine_priority(unsigned int irq);
void machine_stock(struct cpu_user_regs *regs, union hsr hsr);
void machine_interrupt(bool is_fiq);
void machine_serror(struct cpu_user_regs *regs);

/* Switches to this CPU. */
void on_cpu(struct cpu *cpu);
/* Runs a function on dom0's CPU, in any state of this one. */
void from_dom0(void (*does)(void));

/*
 * The trap of a guest, from the vector to the return; with an SError on entry,
 * for which the exception is discarded.
 */
void trap_sync(union hsr hsr, paddr_t gpa, bool serror_on_entry);
void trap_serror(void);
/* Takes the host's waiting interrupts, one trap each. */
void trap_interrupts(void);
void trap_irq(bool is_fiq);

/* The guest's CPU interface: -1 if no interrupt. */
int highest_pending(unsigned int below);
void acknowledge(int irq);
void end_interrupt(int irq);

#endif /* VGIC_XEN_H */
