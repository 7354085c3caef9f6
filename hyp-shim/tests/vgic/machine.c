/* SPDX-License-Identifier: GPL-2.0-only */
/* See xen.h. */
#include "xen.h"

struct machine machine;

void emul_reset_vgic(void)
{
}

static void reset_irq(struct pending_irq *p, unsigned int irq)
{
    *p = (struct pending_irq){ .irq = irq, .lr = GIC_INVALID_LR };
    INIT_LIST_HEAD(&p->inflight);
    INIT_LIST_HEAD(&p->lr_queue);
}

static void reset_vcpu(struct cpu *cpu, struct vcpu *v)
{
    unsigned int irq;

    *v = (struct vcpu){ .domain = &emul.domain, .arch.vgic.lock.ready = true };
    INIT_LIST_HEAD(&v->arch.vgic.inflight_irqs);
    INIT_LIST_HEAD(&v->arch.vgic.lr_pending);
    for ( irq = 0; irq < NR_LOCAL_IRQS; irq++ )
        reset_irq(&v->arch.vgic.pending_irqs[irq], irq);
    cpu->vcpu = v;
}

void machine_reset(unsigned int nr_lrs, bool gicv3)
{
    static struct vcpu second;
    unsigned int i;

    emul_reset();
    emul.gic_version = gicv3 ? GIC_V3 : GIC_V2;
    machine = (struct machine){ .nr_lrs = nr_lrs };
    reset_vcpu(&machine.cpu[0], &emul.vcpu);
    reset_vcpu(&machine.cpu[1], &second);
    for ( i = 0; i < NR_SPIS; i++ )
        reset_irq(&machine.spis[i], 32 + i);
}

/* Xen's per-CPU data, and the CPU's registers. */
void on_cpu(struct cpu *cpu)
{
    if ( machine.here )
        machine.here->lr_mask = emul.lr_mask;
    machine.here = cpu;
    if ( cpu )
        emul.lr_mask = cpu->lr_mask;
    current = cpu ? cpu->vcpu : &emul.dom0_vcpu;
}

void from_dom0(void (*does)(void))
{
    struct cpu *was = machine.here;
    register_t ended = emul.ICH_ELSR_EL2;

    on_cpu(NULL);
    /* dom0's CPU has none of the guest's list registers loaded. */
    emul.lr_mask = 0;
    does();
    on_cpu(was);
    emul.ICH_ELSR_EL2 = ended;
}

struct pending_irq *spi_to_pending(struct domain *d, unsigned int irq)
{
    EMUL_CHECK(irq >= 32 && irq < 32 + NR_SPIS);
    return &machine.spis[irq - 32];
}

struct pending_irq *irq_to_pending(struct vcpu *v, unsigned int irq)
{
    return irq < 32 ? &v->arch.vgic.pending_irqs[irq]
                    : spi_to_pending(v->domain, irq);
}

struct vcpu *machine_target(unsigned int irq)
{
    return irq < 32 ? current : machine.cpu[machine.target[irq - 32]].vcpu;
}

/*
 * Each interrupt has its own priority, in no order of the numbers. The order
 * of two with equal priority is not defined.
 */
uint8_t machine_priority(unsigned int irq)
{
    return 4 * (irq * 29 % 64);
}

void vcpu_kick(struct vcpu *v)
{
    unsigned int i;

    for ( i = 0; i < CPUS; i++ )
        if ( machine.cpu[i].vcpu == v && machine.here != &machine.cpu[i] )
            machine.cpu[i].kicked = true;
}

/* The list registers of this CPU, as GICv3 has them. */

static bool is_valid(const struct gic_lr *lr)
{
    return lr->pending || lr->active;
}

static void look(void)
{
    unsigned int i;

    emul.ICH_ELSR_EL2 = 0;
    for ( i = 0; i < machine.nr_lrs; i++ )
        if ( !is_valid(&machine.here->lr[i]) &&
             !machine.here->lr[i].virt.eoi )
            emul.ICH_ELSR_EL2 |= 1UL << i;
}

/* Whether the interface has a maintenance interrupt for Xen. */
static bool wants_maintenance(void)
{
    unsigned int i, valid = 0, ended = 0;

    for ( i = 0; i < machine.nr_lrs; i++ )
    {
        const struct gic_lr *lr = &machine.here->lr[i];

        valid += is_valid(lr);
        ended += !is_valid(lr) && lr->virt.eoi;
    }

    return ended || (machine.here->uie && valid <= 1);
}

static struct gic_lr *lr_of(int i)
{
    EMUL_CHECK(machine.here && i >= 0 && (unsigned int)i < machine.nr_lrs);
    EMUL_CHECK(current->arch.vgic.lock.held);
    return &machine.here->lr[i];
}

static void read_lr(int i, struct gic_lr *lr)
{
    *lr = *lr_of(i);
}

static void write_lr(int i, const struct gic_lr *lr)
{
    *lr_of(i) = *lr;
    look();
}

static void clear_lr(int i)
{
    *lr_of(i) = (struct gic_lr){ };
    look();
}

static void update_lr(int i, unsigned int virq, uint8_t priority,
                      unsigned int hw_irq, unsigned int state)
{
    EMUL_CHECK(hw_irq == INVALID_IRQ && state == GICH_LR_PENDING);
    machine.evictions += is_valid(lr_of(i));
    write_lr(i, &(struct gic_lr){
        .virq = virq, .priority = priority, .pending = true,
    });
}

/* Every sync of the list registers begins with this. */
static void update_hcr_status(uint32_t flag, bool set)
{
    EMUL_CHECK(flag == GICH_HCR_UIE);
    machine.here->uie = set;
    machine.brought_in += !set;
}

const struct gic_hw_operations *gic_hw_ops = &(struct gic_hw_operations){
    .read_lr = read_lr, .write_lr = write_lr, .clear_lr = clear_lr,
    .update_lr = update_lr, .update_hcr_status = update_hcr_status,
};

int highest_pending(unsigned int below)
{
    const struct gic_lr *best = NULL;
    unsigned int i;

    for ( i = 0; i < machine.nr_lrs; i++ )
    {
        const struct gic_lr *lr = &machine.here->lr[i];

        if ( lr->pending && !lr->active && lr->priority < below &&
             (!best || lr->priority < best->priority) )
            best = lr;
    }

    return best ? (int)best->virq : -1;
}

static struct gic_lr *lr_with(int irq)
{
    struct gic_lr *found = NULL;
    unsigned int i;

    for ( i = 0; i < machine.nr_lrs; i++ )
    {
        struct gic_lr *lr = &machine.here->lr[i];

        if ( is_valid(lr) && lr->virq == (unsigned int)irq )
        {
            /* An interrupt in two list registers is a defect. */
            EMUL_CHECK(!found);
            found = lr;
        }
    }

    EMUL_CHECK(found);
    return found;
}

void acknowledge(int irq)
{
    struct gic_lr *lr = lr_with(irq);

    EMUL_CHECK(lr->pending && !lr->active);
    lr->pending = false;
    lr->active = true;
    look();
}

void end_interrupt(int irq)
{
    struct gic_lr *lr = lr_with(irq);

    EMUL_CHECK(lr->active);
    lr->active = false;
    look();
}

/* Traps, in the order of arch/arm/arm64/entry.S. */

static void moment(enum moment now)
{
    void (*does)(void) = machine.happens[now];

    machine.happens[now] = NULL;
    if ( does )
        does();
}

/*
 * A pending interrupt of the host is taken in Xen, and its effect is seen at
 * the next trap. With sparing that is sooner if interrupts wait for a list
 * register, as these are then loaded on the way out; and later if the
 * exception is discarded, for which nothing is loaded. To compare both builds
 * at the same time, it comes a moment later in these cases, out of the guest.
 */
static void leave(bool discarded)
{
    bool waits = !list_empty(&current->arch.vgic.lr_pending);

    if ( discarded )
        machine.here->kicked = true;
    else
    {
        moment(AFTER);
        if ( !waits )
            machine.here->kicked = false;
    }
    vgic_sync_to_lrs();
}

void trap_sync(union hsr hsr, paddr_t gpa, bool serror_on_entry)
{
    emul.regs.hsr = hsr.bits;
    emul.HPFAR_EL2 = gpa >> 12 << 4;
    emul.FAR_EL2 = 0xffff800012340000 | (gpa & 0xfff);
    look();

    moment(BEFORE);
    enter_hypervisor_from_guest();
    if ( !serror_on_entry )
        do_trap_guest_sync(&emul.regs);
    leave(serror_on_entry);
}

void trap_serror(void)
{
    look();
    enter_hypervisor_from_guest();
    do_trap_guest_serror(&emul.regs);
    leave(false);
}

/* The syndrome stays that of the trap before. */
void trap_irq(bool is_fiq)
{
    look();
    enter_hypervisor_from_guest();
    machine.from_guest = true;
    if ( is_fiq )
        do_trap_fiq(&emul.regs);
    else
        do_trap_irq(&emul.regs);
    machine.from_guest = false;
    leave(false);
}

void trap_interrupts(void)
{
    unsigned int traps = 0;

    while ( machine.here->kicked || wants_maintenance() )
    {
        machine.here->kicked = false;
        trap_irq(false);
        EMUL_CHECK(++traps < 8);
    }
}

/* An interrupt that arrives while Xen runs, and the interrupt it injects. */
static void injects_timer(void)
{
    vgic_inject_irq(&emul.domain, current, 27, true);
}

void machine_interrupt(bool is_fiq)
{
    if ( machine.interrupt_injects )
        injects_timer();
    machine.interrupt_injects = false;
}

void machine_serror(struct cpu_user_regs *regs)
{
    machine.serrors++;
}

/* As in Xen: number 31 of a syndrome reads as zero. */
static register_t get_user_reg(struct cpu_user_regs *regs, int reg)
{
    return reg == 31 ? 0 : regs->x[reg];
}

static void set_user_reg(struct cpu_user_regs *regs, int reg, register_t value)
{
    if ( reg != 31 )
        regs->x[reg] = value;
}

/*
 * The start of Xen's own handling. A data abort goes on to the handler that
 * the device has registered, as by try_handle_mmio().
 */
void machine_stock(struct cpu_user_regs *regs, union hsr hsr)
{
    paddr_t gpa = (emul.HPFAR_EL2 >> 4 << 12) | (emul.FAR_EL2 & 0xfff);
    mmio_info_t info = { .dabt = hsr.dabt, .gpa = gpa };
    register_t value;

    machine.stock++;
    machine.last_stock = hsr;

    if ( machine.handles )
        machine.handles();

    if ( hsr.ec != HSR_EC_DATA_ABORT_LOWER_EL ||
         gpa - emul.mmio_base >= GUEST_PL011_SIZE )
        return;

    value = get_user_reg(regs, hsr.dabt.reg);
    if ( hsr.dabt.write )
        emul.ops->write(current, &info, value, NULL);
    else if ( emul.ops->read(current, &info, &value, NULL) )
        set_user_reg(regs, hsr.dabt.reg, sign_extend(hsr.dabt, value));
    advance_pc(regs, hsr);
}
