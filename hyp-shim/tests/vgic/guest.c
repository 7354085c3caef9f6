/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that acts as a seed determines, on two vCPUs, and the machine around
 * it: accesses to its UART, hypercalls, interrupts taken, ended, masked and
 * disabled, bytes from the backend, interrupts raised on other CPUs and in the
 * middle of a trap. It prints what it sees, step by step. None of its actions
 * depends on how Xen is built: hyp-shim/tests/vgic.rs compares two builds.
 *
 * `guest FIRST COUNT` runs so many seeds; `guest CASE` one case.
 */
#include "xen.h"

enum { STEPS = 600, NO_INTERRUPT = 32, UART_SPI = 32, TIMER = 27, EVTCHN = 31 };

/* Registers of the UART, and the ring of Xen's public/io/console.h. */
enum { DR = 0x00, FR = 0x18, LCR_H = 0x2c, IMSC = 0x38, RIS = 0x3c, ICR = 0x44 };
enum {
    RING_OUT = 1024, RING_IN_PROD = 3076, RING_OUT_CONS = 3080,
    RING_OUT_PROD = 3084,
};

static uint32_t random_state;

/* xorshift (Marsaglia, 2003). */
static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % below;
}

static struct guest_cpu {
    bool masked;
    unsigned int depth;
    int active[NO_INTERRUPT];
} guest[CPUS], *me;

static unsigned int accesses, spared, evictions;

static union hsr syndrome(bool write, unsigned int size)
{
    return (union hsr){ .dabt = {
        .dfsc = 0x07, .write = write, .size = size, .reg = 3, .valid = 1,
        .len = 1, .ec = HSR_EC_DATA_ABORT_LOWER_EL,
    } };
}

static union hsr trap_of(unsigned int ec)
{
    return (union hsr){ .iss = 0x30, .len = 1, .ec = ec };
}

/* A trap that Xen handles itself, by calling this function. */
static void trap_for(unsigned int ec, void (*handles)(void))
{
    machine.handles = handles;
    trap_sync(trap_of(ec), 0, false);
    machine.handles = NULL;
}

static register_t uart(union hsr hsr, unsigned int offset, register_t value)
{
    unsigned int before = machine.brought_in;
    register_t pc = emul.regs.pc;

    emul.regs.x[3] = value;
    trap_sync(hsr, GUEST_PL011_BASE + offset, false);
    EMUL_CHECK(emul.regs.pc == pc + 4);
    accesses++;
    spared += machine.brought_in == before;
    return emul.regs.x[3];
}

/* Events outside this vCPU. */

static unsigned int chosen;

static void other_cpu_raises(void)
{
    vgic_inject_irq(&emul.domain, NULL, 33 + chosen % (NR_SPIS - 1), true);
}

static void other_cpu_sends_event(void)
{
    vgic_inject_irq(&emul.domain, machine.cpu[chosen % CPUS].vcpu, EVTCHN, true);
}

static void set_ring_word(unsigned int offset, uint32_t word)
{
    memcpy(emul.page + offset, &word, sizeof(word));
}

static uint32_t ring_word(unsigned int offset)
{
    uint32_t word;

    memcpy(&word, emul.page + offset, sizeof(word));
    return word;
}

static void backend_acts(void)
{
    if ( chosen & 1 )
        set_ring_word(RING_IN_PROD, ring_word(RING_IN_PROD) + 1);
    else
        set_ring_word(RING_OUT_CONS, ring_word(RING_OUT_PROD));
    emul.consumer(&emul.vcpu, EMUL_PORT);
}

/* Events have a chance of one in this number. */
static unsigned int calm;

/* On dom0's CPU. */
static void (*due)(void);

static void beside(void)
{
    from_dom0(due);
}

/* On this CPU, while it is in Xen. */
static void host_interrupt(void)
{
    vgic_inject_irq(&emul.domain, current, TIMER, true);
}

static void draw_what_happens(void)
{
    static void (*const things[])(void) = {
        other_cpu_raises, other_cpu_sends_event, backend_acts, backend_acts,
    };

    chosen = draw(64);
    due = things[draw(ARRAY_SIZE(things))];
    if ( !draw(calm) )
        machine.happens[draw(MOMENTS)] = beside;
    if ( !draw(2 * calm) )
        machine.happens[draw(MOMENTS)] = host_interrupt;
}

static void sends_ipi(void)
{
    struct vcpu *to = machine.cpu[chosen % CPUS].vcpu;

    vgic_inject_irq(&emul.domain, to, chosen % 16, true);
}

static void enables(void)
{
    vgic_enable_irqs(current, 1U << chosen % 32, chosen / 32);
}

static void disables(void)
{
    vgic_disable_irqs(current, 1U << chosen % 32, chosen / 32);
}

/* The interrupts that the guest uses. */
static unsigned int any_irq(void)
{
    static const uint8_t of[] = { 0, 1, TIMER, EVTCHN, UART_SPI, 33, 34, 35 };

    return of[draw(ARRAY_SIZE(of))];
}

/* An access that Xen decodes, or of a kind that the device does not accept. */
static union hsr odd_access(void)
{
    union hsr hsr = syndrome(draw(2), 2);

    switch ( draw(3) )
    {
    case 0: hsr.dabt.valid = 0; break;
    case 1: hsr.dabt.s1ptw = 1; break;
    case 2: hsr.dabt.cache = 1; break;
    }

    return hsr;
}

static unsigned int running_priority(void)
{
    return me->depth ? machine_priority(me->active[me->depth - 1]) : 256;
}

static void op(void)
{
    static const uint16_t masks[] = { 0, 0x10, 0x20, 0x50, 0x70, 0x7f0 };
    static const uint8_t read[] = { DR, DR, FR, RIS };
    unsigned int offset, i;

    switch ( draw(32) )
    {
    case 0 ... 3:
        offset = read[draw(ARRAY_SIZE(read))];
        printf(" read %#x = %#"PRIx64, offset,
               uart(syndrome(false, 2), offset, 0));
        break;
    case 4 ... 6:
        for ( i = draw(8) + 1; i; i-- )
            uart(syndrome(true, 2), DR, 'x');
        break;
    case 7: case 8:
        uart(syndrome(true, 2), IMSC, masks[draw(ARRAY_SIZE(masks))]);
        break;
    case 9:
        uart(syndrome(true, 2), ICR, 0x7ff);
        break;
    case 10: case 11:
        trap_for(HSR_EC_HVC64, NULL);
        break;
    case 12:
        chosen = draw(32);
        trap_for(HSR_EC_SYSREG, sends_ipi);
        break;
    case 13: case 20:
        /* An interrupt in a list register is the harder case. */
        chosen = me->depth && draw(2) ? me->active[me->depth - 1] : any_irq();
        trap_for(HSR_EC_DATA_ABORT_LOWER_EL, draw(3) ? enables : disables);
        break;
    case 14:
        trap_for(HSR_EC_WFI_WFE, NULL);
        break;
    case 15:
        me->masked = !me->masked;
        break;
    case 16:
        printf(" odd %#"PRIx64, uart(odd_access(), FR, 0));
        break;
    case 17:
        emul.regs.x[3] = 'x';
        trap_sync(syndrome(true, 2), GUEST_PL011_BASE + DR, true);
        break;
    case 18:
        machine.interrupt_injects = draw(2);
        trap_irq(draw(2));
        break;
    case 19:
        trap_serror();
        break;
    default:
        if ( me->depth )
            end_interrupt(me->active[--me->depth]);
        break;
    }
}

/*
 * The contents of the list registers, by number; which register is up to Xen.
 */
static void print_list_registers(void)
{
    unsigned int irq, i;

    for ( irq = 0; irq < 32 + NR_SPIS; irq++ )
        for ( i = 0; i < machine.nr_lrs; i++ )
        {
            const struct gic_lr *lr = &machine.here->lr[i];

            if ( lr->virq == irq && (lr->pending || lr->active) )
                printf(" %u%s%s", irq, lr->pending ? "p" : "",
                       lr->active ? "a" : "");
        }
}

static void step(unsigned int number)
{
    unsigned int cpu = draw(CPUS);
    int irq;

    me = &guest[cpu];
    on_cpu(&machine.cpu[cpu]);
    printf("%u: vCPU %u", number, cpu);

    /* The host's interrupts come at once, or with the next trap. */
    if ( draw(4) )
        trap_interrupts();

    irq = me->masked ? -1 : highest_pending(running_priority());
    if ( irq >= 0 )
    {
        acknowledge(irq);
        me->active[me->depth++] = irq;
        printf(" takes %d", irq);
    }
    else
    {
        draw_what_happens();
        op();
        /* The action did not trap: the event happens while the guest runs. */
        if ( machine.happens[BEFORE] == beside ||
             machine.happens[AFTER] == beside )
            beside();
        memset(machine.happens, 0, sizeof(machine.happens));
    }
    trap_interrupts();
    print_list_registers();
    putchar('\n');
}

static void start(unsigned int nr_lrs, bool gicv3)
{
    uint64_t gfn = EMUL_GFN, port = EMUL_PORT;
    unsigned int irq;

    machine_reset(nr_lrs, gicv3);
    memset(guest, 0, sizeof(guest));
    on_cpu(NULL);
    EMUL_CHECK(!vpl011_private_param(&emul.domain, true, HVM_PARAM_VUART_PFN,
                                     &gfn));
    EMUL_CHECK(!vpl011_private_param(&emul.domain, true,
                                     HVM_PARAM_VUART_EVTCHN, &port));
    emul.domain.creation_finished = true;

    for ( irq = 0; irq < NR_SPIS; irq++ )
        machine.target[irq] = draw(CPUS);
    on_cpu(&machine.cpu[1]);
    vgic_enable_irqs(current, ~0U, 0);
    on_cpu(&machine.cpu[0]);
    vgic_enable_irqs(current, ~0U, 0);
    vgic_enable_irqs(current, (1U << NR_SPIS) - 1, 1);
}

static void stop(void)
{
    on_cpu(NULL);
    domain_vpl011_deinit(&emul.domain);
}

static void run(unsigned int seed)
{
    unsigned int i;

    /* It must not be 0, and small seeds begin alike. */
    random_state = (seed + 1) * 0x9e3779b9;
    printf("seed %u\n", seed);
    calm = 2 << draw(5);
    /* With one list register, the maintenance interrupt never ceases. */
    start(2 + draw(MAX_LRS - 1), draw(4));
    for ( i = 0; i < STEPS; i++ )
        step(i);
    evictions += machine.evictions;
    stop();
}

/*
 * A discarded exception has no effect: the access is not made, the next trap
 * is.
 */
static void serror(void)
{
    register_t pc;

    random_state = 1;
    start(MAX_LRS, true);
    uart(syndrome(true, 2), IMSC, 0);
    machine.stock = 0;
    pc = emul.regs.pc;
    emul.regs.x[3] = 'x';

    trap_sync(syndrome(true, 2), GUEST_PL011_BASE + DR, true);
    EMUL_CHECK(emul.regs.pc == pc && emul.regs.x[3] == 'x');
    EMUL_CHECK(!ring_word(RING_OUT_PROD) && !machine.stock);

    trap_for(HSR_EC_HVC64, NULL);
    EMUL_CHECK(machine.stock == 1 && machine.last_stock.ec == HSR_EC_HVC64);
    EMUL_CHECK(emul.regs.pc == pc);

    uart(syndrome(true, 2), DR, 'y');
    EMUL_CHECK(ring_word(RING_OUT_PROD) == 1 && emul.page[RING_OUT] == 'y');

    trap_serror();
    EMUL_CHECK(machine.serrors == 1 && ring_word(RING_OUT_PROD) == 1);
    stop();
}

/* Whether Xen's own handling got that, with the list registers synced. */
static bool goes_stocks_way(union hsr hsr, paddr_t gpa)
{
    unsigned int stock = machine.stock, brought_in = machine.brought_in;

    trap_sync(hsr, gpa, false);
    if ( machine.stock == stock )
        return false;
    EMUL_CHECK(machine.stock == stock + 1);
    EMUL_CHECK(machine.last_stock.bits == hsr.bits);
    EMUL_CHECK(machine.brought_in > brought_in);
    return true;
}

static void stocks_way(void)
{
    const paddr_t fr = GUEST_PL011_BASE + FR;
    const union hsr plain = syndrome(false, 2);
    union hsr hsr;

    random_state = 1;
    start(MAX_LRS, true);

#ifdef CONFIG_VPL011_FAST_TRAP
    EMUL_CHECK(!goes_stocks_way(plain, fr));
#else
    EMUL_CHECK(goes_stocks_way(plain, fr));
#endif

#define ODD(field, value) \
    (hsr = plain, hsr.dabt.field = (value), goes_stocks_way(hsr, fr))
    EMUL_CHECK(ODD(valid, 0));
    EMUL_CHECK(ODD(eat, 1));
    EMUL_CHECK(ODD(s1ptw, 1));
    EMUL_CHECK(ODD(cache, 1));
    EMUL_CHECK(ODD(dfsc, 0x0f /* a permission fault */));
    EMUL_CHECK(ODD(ec, HSR_EC_INSTR_ABORT_LOWER_EL));
#undef ODD
    EMUL_CHECK(goes_stocks_way(plain, GUEST_PL011_BASE - 4));
    EMUL_CHECK(goes_stocks_way(plain, GUEST_PL011_BASE + GUEST_PL011_SIZE));
    EMUL_CHECK(goes_stocks_way(plain, GUEST_PL011_BASE + 1));
    /* A single step of the guest's debugger, on the instruction that traps. */
    EMUL_CHECK(goes_stocks_way(trap_of(0x32), fr));

    stop();
    on_cpu(&machine.cpu[0]);
    EMUL_CHECK(goes_stocks_way(plain, fr));
}

int main(int argc, char **argv)
{
    unsigned int seed, first, count;

    if ( argc == 2 && !strcmp(argv[1], "serror") )
        serror();
    else if ( argc == 2 && !strcmp(argv[1], "stocks_way") )
        stocks_way();
    else if ( argc == 3 )
    {
        first = atoi(argv[1]);
        count = atoi(argv[2]);
        for ( seed = first; seed < first + count; seed++ )
            run(seed);
        /* Not visible to the guest. */
        fprintf(stderr, "%u of %u accesses spared, %u evictions\n", spared,
                accesses, evictions);
    }
    else
        return 2;

    return 0;
}
