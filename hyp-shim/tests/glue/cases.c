/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The glue, case by case, with the real device and the fake Xen of emul.h.
 * `cases NAME` runs one; hyp-shim/tests/glue.rs runs all.
 */
#include "emul.h"

/* TRM 3.2, and the ring of Xen's public/io/console.h. */
#define DR    0x000
#define FR    0x018
#define LCR_H 0x02c
#define IMSC  0x038
#define MIS   0x040
#define PERIPH_ID0 0xfe0
#define FR_RXFE 0x10
#define FR_TXFE 0x80
#define FR_IDLE 0x97 /* CTS DSR DCD, both FIFOs empty */
#define FR_TX   (FR_TXFE | 0x20 /* TXFF */ | 0x08 /* BUSY */)
#define LCR_H_FEN 0x10
#define INT_RX  0x10
#define INT_TX  0x20
#define INT_RT  0x40
#define DR_BE   0x400
#define DR_BITS 0xfff /* data and errors */
#define RING_OUT      1024
#define RING_IN_CONS  3072
#define RING_IN_PROD  3076
#define RING_OUT_CONS 3080
#define RING_OUT_PROD 3084
#define RING_END      3088 /* of the indices */
#define UART_BASE 0x22000000UL
#define UART_SPI  32

#define CHECK(condition) EMUL_CHECK(condition)

enum { PFN = 39, EVTCHN = 40, BREAK = 41 };

static uint32_t ring_word(unsigned int offset)
{
    uint32_t word;

    memcpy(&word, emul.page + offset, sizeof(word));
    return word;
}

static void set_ring_word(unsigned int offset, uint32_t word)
{
    memcpy(emul.page + offset, &word, sizeof(word));
}

/* The guest's registers, of which plain accesses use only one. */
#define regs (emul.regs)
enum { PLAIN_REG = 3 };

/*
 * An access that traps, with a stage 2 translation fault of level 3; `size` is
 * the syndrome's SAS.
 */
static union hsr syndrome(bool write, unsigned int size, unsigned int reg)
{
    return (union hsr){ .dabt = {
        .dfsc = 0x07, .write = write, .size = size, .reg = reg, .valid = 1,
        .ec = 0x24,
    } };
}

/* The trap of a vCPU. Returns whether the glue has handled it. */
static bool trapped_on(struct vcpu *v, union hsr hsr, paddr_t gpa)
{
    struct vcpu *was = current;
    register_t pc = regs.pc;
    bool handled;

    regs.hsr = hsr.bits;
    emul.HPFAR_EL2 = gpa >> 12 << 4;
    /*
     * Of the virtual address only the offset in the page equals the physical
     * one's.
     */
    emul.FAR_EL2 = 0xffff800012340000 | (gpa & 0xfff);
    current = v;
    CHECK(!test_bit(_VPF_blocked, &v->pause_flags));
    /* As do_trap_guest_sync() does. */
    handled = hsr.ec == HSR_EC_DATA_ABORT_LOWER_EL && vpl011_takes_trap(&regs);
    current = was;

    CHECK(regs.pc == pc + (handled ? 4 : 0));
    return handled;
}

static bool trapped(union hsr hsr, paddr_t gpa)
{
    return trapped_on(&emul.vcpu, hsr, gpa);
}

/* Access by Xen's search of handlers. Returns whether served. */
static bool searched(union hsr hsr, unsigned int offset, register_t *value)
{
    mmio_info_t info = { .dabt = hsr.dabt, .gpa = emul.mmio_base + offset };

    CHECK(emul.ops);
    return hsr.dabt.write ? emul.ops->write(&emul.vcpu, &info, *value, NULL)
                          : emul.ops->read(&emul.vcpu, &info, value, NULL);
}

/* A guest's access, by either path. Returns whether served. */
static bool guest(bool write, unsigned int offset, unsigned int size,
                  register_t *value)
{
    union hsr hsr = syndrome(write, size, PLAIN_REG);

    regs.x[PLAIN_REG] = *value;
    if ( !trapped(hsr, emul.mmio_base + offset) )
        return searched(hsr, offset, value);
    *value = regs.x[PLAIN_REG];
    return true;
}

static void write32(unsigned int offset, register_t value)
{
    CHECK(guest(true, offset, 2, &value));
}

static uint32_t read32(unsigned int offset)
{
    register_t value = ~0UL;

    CHECK(guest(false, offset, 2, &value));
    CHECK(value <= UINT32_MAX);
    return value;
}

static void guest_prints(const char *text)
{
    for ( ; *text; text++ )
        write32(DR, (uint8_t)*text);
}

/* The backend puts one byte into `in` and sends an event. */
static void backend_sends(uint8_t byte)
{
    uint32_t prod = ring_word(RING_IN_PROD);

    emul.page[prod % 1024] = byte;
    set_ring_word(RING_IN_PROD, prod + 1);
    emul.consumer(&emul.vcpu, EMUL_PORT);
}

static int set_param(uint32_t index, uint64_t value)
{
    return vpl011_private_param(&emul.domain, true, index, &value);
}

static int get_param(uint32_t index, uint64_t *value)
{
    return vpl011_private_param(&emul.domain, false, index, value);
}

static int init_ring(void)
{
    struct vpl011_init_info info = {
        .console_domid = 0, .gfn = _gfn(EMUL_GFN),
    };
    int rc;

    memset(emul.page, 0, PAGE_SIZE); /* as the toolstack does */
    rc = domain_vpl011_init(&emul.domain, &info);
    if ( !rc )
        CHECK(info.evtchn == EMUL_PORT);
    return rc;
}

static int init_by_node(const char *vpl011, uint32_t length)
{
    const struct dt_device_node node = { vpl011, length };

    return vpl011_init_dom0less(&emul.domain, &node);
}

static int init_xen(void)
{
    return init_by_node("pl011", sizeof("pl011"));
}

static int init_xen_sbsa(void)
{
    return init_by_node("", 0);
}

static int init_private(void)
{
    int rc = set_param(PFN, EMUL_GFN);

    return rc ?: set_param(EVTCHN, EMUL_PORT);
}

static void destroy(void)
{
    emul.domain.is_dying = true;
    domain_vpl011_deinit(&emul.domain);
}

static void check_nothing_held(void)
{
    CHECK(!emul.allocations);
    CHECK(!emul.page_references);
    CHECK(!emul.ports);
}

/* A failed step must leave the domain as it was. */
static void check_untouched(void)
{
    check_nothing_held();
    CHECK(!emul.virqs);
    CHECK(!emul.handlers);
    CHECK(emul.page_in_p2m);
    CHECK(!emul.domain.arch.vpl011.state);
    CHECK(!emul.domain.arch.vpl011.backend.dom.ring_buf);
    CHECK(!emul.domain.arch.vpl011.ring_hidden);
    CHECK(!emul.domain.arch.vpl011.evtchn);
    CHECK(!emul.domain.arch.hvm.params[PFN]);
    CHECK(!emul.domain.arch.hvm.params[EVTCHN]);
    CHECK(!emul.domain.domain_lock.held);
}

/*
 * Fails the n-th call that can fail, for every n, and checks that nothing is
 * left of it and that the same step then succeeds.
 */
static void fail_each(int (*init)(void), unsigned int at_least)
{
    unsigned int n;

    for ( n = 1; ; n++ )
    {
        emul_reset();
        emul.fail_at = n;
        if ( !init() )
            break;
        CHECK(emul.failed);
        check_untouched();
        CHECK(!init());
        destroy();
        check_nothing_held();
    }

    CHECK(!emul.failed);
    CHECK(n > at_least);
    destroy();
}

static void ring_lives_and_dies(void)
{
    CHECK(!init_ring());
    CHECK(emul.page_references == 1 && emul.ports == 1 && emul.virqs == 1);
    CHECK(emul.handlers == 1 && emul.mmio_base == UART_BASE);
    CHECK(emul.domain.arch.vpl011.virq == UART_SPI);
    CHECK(emul.domain.arch.vpl011.backend_in_domain);
    CHECK(emul.page_in_p2m);
    destroy();
    check_nothing_held();
    domain_vpl011_deinit(&emul.domain);
}

/* An SBSA UART on the stock path, and with a node without a type. */
static void each_path_has_its_profile(void)
{
    static const struct {
        int (*init)(void);
        bool sbsa;
    } paths[] = {
        { init_ring, true }, { init_xen_sbsa, true },
        { init_private, false }, { init_xen, false },
    };
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(paths); i++ )
    {
        emul_reset();
        CHECK(!paths[i].init());
        write32(LCR_H, LCR_H_FEN);
        CHECK(read32(LCR_H) == (paths[i].sbsa ? 0 : LCR_H_FEN));
        CHECK(read32(PERIPH_ID0) == (paths[i].sbsa ? 0 : 0x11));
        destroy();
    }
}

static void ring_failures_unwind(void)
{
    fail_each(init_ring, 4);
}

static void xen_lives_and_dies(void)
{
    CHECK(!init_xen());
    CHECK(emul.handlers == 1 && emul.virqs == 1 && !emul.ports);
    CHECK(!emul.domain.arch.vpl011.backend_in_domain);
    CHECK(emul.domain.arch.vpl011.backend.xen);
    destroy();
    check_nothing_held();
    CHECK(!emul.domain.arch.vpl011.backend.xen);
    domain_vpl011_deinit(&emul.domain);
}

/* An invalid node is refused with a message. */
static void odd_nodes_are_refused(void)
{
    CHECK(init_by_node("sbsa", sizeof("sbsa")) == -EINVAL);
    CHECK(init_by_node("pl011", sizeof("pl011") - 1) == -EINVAL);
    CHECK(init_by_node("pl011\0x", sizeof("pl011\0x")) == -EINVAL);
    CHECK(init_by_node("", 1) == -EINVAL);
    CHECK(strstr(emul.printed, "vpl011 is empty or"));
    check_untouched();
    CHECK(!emul.input_allowed);
    CHECK(!init_xen());
    CHECK(emul.input_allowed);
    destroy();
}

static void xen_failures_unwind(void)
{
    fail_each(init_xen, 3);
}

static void private_lives_and_dies(void)
{
    uint64_t value = 1;
    unsigned int i;

    CHECK(!get_param(PFN, &value) && value == 0);
    CHECK(!init_private());
    CHECK(emul.page_references == 1 && emul.ports == 1 && emul.virqs == 1);
    CHECK(emul.handlers == 1);
    CHECK(!emul.page_in_p2m);
    for ( i = 0; i < PAGE_SIZE; i++ )
        CHECK(!emul.page[i]);
    CHECK(!get_param(PFN, &value) && value == EMUL_GFN);
    CHECK(!get_param(EVTCHN, &value) && value == EMUL_PORT);
    destroy();
    check_nothing_held();
}

static int private_pfn(void)
{
    return set_param(PFN, EMUL_GFN);
}

static int private_evtchn(void)
{
    return set_param(EVTCHN, EMUL_PORT);
}

static void private_failures_unwind(void)
{
    unsigned int n, i;

    fail_each(private_pfn, 2);

    /* A failed step for the port leaves the page's step as it was. */
    for ( n = 1; ; n++ )
    {
        emul_reset();
        CHECK(!private_pfn());
        emul.fail_at = n;
        if ( !private_evtchn() )
            break;
        CHECK(emul.failed);
        CHECK(!emul.allocations && !emul.ports && !emul.virqs);
        CHECK(!emul.handlers && emul.page_references == 1);
        CHECK(!emul.domain.arch.hvm.params[EVTCHN]);
        CHECK(!emul.domain.arch.vpl011.evtchn);
        CHECK(!private_evtchn());
        destroy();
        check_nothing_held();
    }
    CHECK(n > 3);
    destroy();

    /* A page that could not be taken keeps its contents. */
    for ( n = 1; n <= 2; n++ )
    {
        emul_reset();
        emul.fail_at = n;
        CHECK(private_pfn());
        for ( i = 0; i < PAGE_SIZE; i++ )
            CHECK(emul.page[i] == 0xa5);
    }
}

static void private_page_without_port_is_released(void)
{
    CHECK(!private_pfn());
    CHECK(emul.page_references == 1);
    destroy();
    check_nothing_held();
}

static void private_order_and_repetition(void)
{
    CHECK(private_evtchn() == -EINVAL);
    check_untouched();
    CHECK(!private_pfn());
    CHECK(private_pfn() == -EEXIST);
    CHECK(!private_evtchn());
    CHECK(private_pfn() == -EEXIST);
    CHECK(private_evtchn() == -EEXIST);
    CHECK(emul.page_references == 1 && emul.ports == 1 && emul.handlers == 1);
}

static void private_denied(void)
{
    uint64_t value = 5;

    current = &emul.vcpu;
    CHECK(private_pfn() == -EPERM);
    CHECK(private_evtchn() == -EPERM);
    CHECK(get_param(PFN, &value) == -EPERM);
    CHECK(get_param(EVTCHN, &value) == -EPERM);

    /* A device model may read the parameters, but not set them. */
    current = &emul.other_vcpu;
    CHECK(private_pfn() == -EPERM);
    CHECK(private_evtchn() == -EPERM);
    CHECK(!get_param(PFN, &value) && value == 0);

    current = &emul.dom0_vcpu;
    emul.denied_by_xsm = true;
    CHECK(private_pfn() == -EPERM);
    CHECK(get_param(PFN, &value) == -EPERM);

    emul.denied_by_xsm = false;
    emul.domain.creation_finished = true;
    CHECK(private_pfn() == -EPERM);
    CHECK(private_evtchn() == -EPERM);
    CHECK(!get_param(PFN, &value) && value == 0);

    emul.domain.creation_finished = false;
    emul.domain.is_dying = true;
    CHECK(private_pfn() == -EINVAL);
    CHECK(private_evtchn() == -EINVAL);
    check_untouched();
}

/* The first unpause takes another lock than the parameters do. */
static void unpaused_in_the_middle(void)
{
    CHECK(!private_pfn());
    emul.unpaused_meanwhile = true;
    CHECK(!private_evtchn());
    CHECK(emul.domain.creation_finished && !emul.domain.pause_count);
    write32(DR, 'x');
    CHECK(ring_word(RING_OUT_PROD) == 1);
    destroy();
}

/* One break gives a guest an interrupt, and a NUL with BE. */
static void check_break_arrives(void)
{
    unsigned int injections = emul.injections;

    write32(IMSC, INT_RX | INT_RT);
    CHECK(!set_param(BREAK, 1));
    CHECK(emul.injections == injections + 1);
    CHECK(read32(DR) == DR_BE);
    CHECK(read32(FR) & FR_RXFE);
}

static void break_reaches_the_guest(void)
{
    uint64_t value = 5;
    unsigned int i;

    CHECK(!init_private());
    emul.domain.creation_finished = true;

    for ( i = 0; i < 3; i++ )
        check_break_arrives();

    CHECK(!get_param(BREAK, &value) && value == 0);
    CHECK(!emul.doorbells);

    /* Input continues after it. */
    CHECK(!set_param(BREAK, 1));
    backend_sends('h');
    CHECK(read32(DR) == DR_BE);
    CHECK(read32(DR) == 'h');

    /* A guest that reads nothing loses breaks, and nothing else. */
    for ( i = 0; i < 100; i++ )
        CHECK(!set_param(BREAK, 1));

    destroy();
    check_nothing_held();
}

static void break_on_every_backend(void)
{
    CHECK(!init_ring());
    emul.domain.creation_finished = true;
    check_break_arrives();
    destroy();

    emul_reset();
    CHECK(!init_xen());
    emul.domain.creation_finished = true;
    check_break_arrives();
}

static void break_denied(void)
{
    static const uint64_t values[] = { 0, 2, 1UL << 32 | 1, UINT64_MAX };
    uint64_t value = 5;
    unsigned int i;

    /* No device: not yet, or never. */
    CHECK(set_param(BREAK, 1) == -EPERM);
    emul.domain.creation_finished = true;
    CHECK(set_param(BREAK, 1) == -ENODEV);
    CHECK(!get_param(BREAK, &value) && value == 0);
    check_untouched();

    emul.domain.creation_finished = false;
    CHECK(!private_pfn());
    emul.domain.creation_finished = true;
    CHECK(set_param(BREAK, 1) == -ENODEV);

    emul_reset();
    CHECK(!init_private());
    write32(IMSC, INT_RX | INT_RT);
    CHECK(set_param(BREAK, 1) == -EPERM);
    emul.domain.creation_finished = true;

    for ( i = 0; i < ARRAY_SIZE(values); i++ )
        CHECK(set_param(BREAK, values[i]) == -EINVAL);

    current = &emul.vcpu;
    CHECK(set_param(BREAK, 1) == -EPERM);
    CHECK(get_param(BREAK, &value) == -EPERM);

    current = &emul.dom0_vcpu;
    emul.denied_by_xsm = true;
    CHECK(set_param(BREAK, 1) == -EPERM);
    CHECK(get_param(BREAK, &value) == -EPERM);

    emul.denied_by_xsm = false;
    CHECK(read32(FR) & FR_RXFE);
    CHECK(!emul.injections);

    destroy();
    CHECK(set_param(BREAK, 1) == -EINVAL);
    CHECK(!emul.injections);
}

static void private_bad_values(void)
{
    static const uint64_t ports[] = {
        0, EMUL_PORT + 1, UINT32_MAX, EMUL_PORT + (1UL << 32), UINT64_MAX,
    };
    unsigned int i;

    CHECK(set_param(PFN, 0) == -EINVAL);
    CHECK(set_param(PFN, EMUL_GFN + 1) == -EINVAL);
    CHECK(set_param(PFN, UINT64_MAX) == -EINVAL);

    emul.page_owner = &emul.other;
    CHECK(private_pfn() == -EINVAL);
    emul.page_owner = &emul.domain;
    emul.page_of_xen = true;
    CHECK(private_pfn() == -EINVAL);
    emul.page_of_xen = false;
    check_untouched();
    CHECK(emul.page[0] == 0xa5);

    CHECK(!private_pfn());
    for ( i = 0; i < ARRAY_SIZE(ports); i++ )
        CHECK(set_param(EVTCHN, ports[i]) == -EINVAL);
    emul.domain.vcpu = NULL;
    CHECK(private_evtchn() == -EINVAL);
    emul.domain.vcpu = &emul.vcpu;
    CHECK(!emul.virqs && !emul.ports && !emul.allocations);
    CHECK(!private_evtchn());
}

static void second_device_is_refused(void)
{
    CHECK(!init_ring());
    CHECK(init_ring() == -EINVAL);
    CHECK(init_xen() == -EINVAL);
    CHECK(private_pfn() == -EEXIST);
    CHECK(private_evtchn() == -EEXIST);
    CHECK(!vpl011_ring_frames(&emul.domain, 0));
    destroy();

    emul_reset();
    CHECK(!init_xen());
    CHECK(init_ring() == -EINVAL);
    CHECK(init_xen() == -EINVAL);
    CHECK(private_pfn() == -EEXIST);
    destroy();

    emul_reset();
    CHECK(!private_pfn());
    CHECK(init_ring() == -EINVAL);
    CHECK(init_xen() == -EINVAL);
    CHECK(!private_evtchn());
    CHECK(init_ring() == -EINVAL);
    CHECK(emul.handlers == 1 && emul.virqs == 1 && emul.ports == 1);
}

static void init_is_refused_to_odd_domains(void)
{
    emul.domain.arch.vmmio.num_entries = 2;
    CHECK(init_ring() == -ENOSPC);
    CHECK(init_xen() == -ENOSPC);
    check_untouched();
    emul.domain.arch.vmmio.num_entries = 0;

    emul.domain.vcpu = NULL;
    CHECK(init_ring() == -EINVAL);
    emul.domain.vcpu = &emul.vcpu;

    emul.domain.is_dying = true;
    CHECK(init_ring() == -EINVAL);
    CHECK(init_xen() == -EINVAL);
    check_untouched();
    domain_vpl011_deinit(&emul.domain);
}

static void direct_mapped_takes_the_hosts_place(void)
{
    static const struct vuart_info uart = { 0x9000000, 0x1000 };
    static const struct vuart_info small = { 0x9000000, 0x400 };

    emul.domain.direct_mapped = true;
    CHECK(init_xen() == -EINVAL);

    emul.host_uart = &small;
    emul.host_irq = 33;
    CHECK(init_xen() == -EINVAL);

    emul.host_uart = &uart;
    emul.host_irq = -1;
    CHECK(init_xen() == -EINVAL);
    check_untouched();

    emul.host_irq = 33;
    emul.printed[0] = '\0';
    CHECK(!init_xen());
    CHECK(emul.mmio_base == 0x9000000);
    CHECK(emul.domain.arch.vpl011.virq == 33);
    guest_prints("x\n");
    CHECK(!strcmp(emul.printed, "DOM1: x\n"));
}

static void output_reaches_the_ring(void)
{
    CHECK(!init_private());
    guest_prints("hello");
    CHECK(ring_word(RING_OUT_PROD) == 5);
    CHECK(!memcmp(emul.page + RING_OUT, "hello", 5));
    CHECK(emul.doorbells == 1);

    /* Notified again only once it has caught up. */
    set_ring_word(RING_OUT_CONS, 5);
    emul.consumer(&emul.vcpu, EMUL_PORT);
    CHECK(emul.doorbells == 1);
    guest_prints("!");
    CHECK(emul.doorbells == 2);
}

/* Only the backend can make room, so the guest yields the CPU. */
static void polling_a_full_ring_yields(void)
{
    unsigned int n;

    CHECK(!init_private());
    for ( n = 0; n < 2048; n++ )
        write32(DR, 'x');
    read32(FR);
    CHECK(!emul.yields);
    write32(DR, 'x');
    CHECK(!emul.yields);
    read32(FR);
    CHECK(!emul.yields);
    read32(FR);
    CHECK(emul.yields == 1);
    read32(MIS);
    CHECK(emul.yields == 1);

    set_ring_word(RING_OUT_CONS, 1);
    read32(FR);
    CHECK(emul.yields == 1);
}

static bool is_blocked(void)
{
    return test_bit(_VPF_blocked, &emul.vcpu.pause_flags);
}

/* The vCPU runs: nothing is left of a rest. */
static bool runs(void)
{
    return !is_blocked() && !emul.vcpu.poll_evtchn && !emul.domain.poll_mask[0];
}

/* So many reads in a row for input, without any. */
static void looks_in_vain(unsigned int count)
{
    while ( count-- )
    {
        CHECK(trapped(syndrome(false, 2, 1), UART_BASE + FR));
        CHECK(regs.x[1] == FR_IDLE);
    }
}

static void rests(void)
{
    unsigned int rests = emul.rests;

    looks_in_vain(256);
    CHECK(emul.rests == rests + 1 && is_blocked());
}

/*
 * A guest that polls for input and does nothing else yields its CPU for a
 * while; the values it reads stay the same.
 */
static void polling_an_empty_receiver_rests(void)
{
    unsigned int n;

    CHECK(!init_private());
    for ( n = 1; n <= 4; n++ )
    {
        looks_in_vain(255);
        CHECK(runs() && emul.rests == n - 1);
        looks_in_vain(1);
        CHECK(is_blocked() && emul.rests == n);

        emul_pass(MICROSECS(249));
        CHECK(is_blocked());
        emul_pass(MICROSECS(1));
        CHECK(runs());
    }

    /* In a row: with no other access between, and no input. */
    for ( n = 0; n < 20; n++ )
    {
        looks_in_vain(100);
        write32(DR, 'x');
        read32(FR);
        read32(FR);
    }
    backend_sends('x');
    for ( n = 0; n < 1000; n++ )
        CHECK(!(read32(FR) & FR_RXFE));
    CHECK(runs() && emul.rests == 4 && !emul.yields);
}

static void a_break_comes(void)
{
    CHECK(!set_param(BREAK, 1));
}

static void input_comes(void)
{
    backend_sends('x');
}

static void a_key_comes(void)
{
    vpl011_rx_char_xen(&emul.domain, 'x');
}

/* Another CPU has seen that the vCPU is blocked, and not yet why. */
static void is_woken(void)
{
    vcpu_unblock(&emul.vcpu);
}

static void start_anew(void)
{
    destroy();
    emul_reset();
}

/*
 * From one place on, a guest that is about to rest does not rest, because of
 * that.
 */
static void check_each_place(void (*meanwhile)(void), unsigned int first)
{
    unsigned int places;

    for ( places = first; ; places++ )
    {
        start_anew();
        CHECK(!init_private());
        emul.meanwhile = meanwhile;
        emul.places = places;
        looks_in_vain(256);
        if ( emul.meanwhile )
            break;
        CHECK(runs() && !emul.rests);
    }

    CHECK(is_blocked() && places == 3);
}

/* With the guest's interrupts on or off, and also on its way to rest. */
static void input_ends_a_rest_at_once(void)
{
    static const struct {
        int (*init)(void);
        void (*comes)(void);
    } inputs[] = {
        { init_private, input_comes }, { init_ring, input_comes },
        { init_xen, a_key_comes }, { init_private, a_break_comes },
    };
    unsigned int n;

    for ( n = 0; n < 2 * ARRAY_SIZE(inputs); n++ )
    {
        start_anew();
        CHECK(!inputs[n / 2].init());
        emul.domain.creation_finished = true;
        regs.cpsr = n % 2 ? PSR_IRQ_MASK : 0;
        /* The glance is empty before the first access. */
        write32(IMSC, 0);
        rests();
        inputs[n / 2].comes();
        CHECK(runs());
        CHECK(!(read32(FR) & FR_RXFE));
        read32(DR);

        /* The first rest's remaining time ends no later rest. */
        emul_pass(MICROSECS(200));
        rests();
        emul_pass(MICROSECS(249));
        CHECK(is_blocked());
        emul_pass(MICROSECS(1));
        CHECK(runs());
    }

    check_each_place(input_comes, 0);
    /* A vCPU that is not blocked is not woken. */
    check_each_place(is_woken, 1);
}

static void an_interrupt_keeps_a_guest_from_resting(void)
{
    CHECK(!init_private());
    emul.interrupted = true;
    looks_in_vain(1000);
    CHECK(runs() && !emul.rests);

    /* It takes no interrupt, and would poll for as long as one is pending. */
    start_anew();
    CHECK(!init_private());
    emul.interrupted = true;
    regs.cpsr = PSR_IRQ_MASK;
    rests();

    /* But a new one may be what it polls for. */
    vcpu_unblock(&emul.vcpu);
    CHECK(runs());
    rests();
}

static void input_interrupts_and_is_read(void)
{
    CHECK(!init_private());
    write32(IMSC, INT_RX | INT_RT);
    CHECK(!emul.injections);
    CHECK(!emul.domain.arch.vpl011.shadow_uartmis);

    backend_sends('k');
    CHECK(emul.injections == 1);
    CHECK(emul.domain.arch.vpl011.shadow_uartmis);
    CHECK(read32(MIS));
    CHECK(read32(DR) == 'k');
    CHECK(!read32(MIS));
    CHECK(read32(FR) & FR_RXFE);
    CHECK(!emul.domain.arch.vpl011.shadow_uartmis);
    CHECK(emul.injections == 1);
}

static void line_is_injected_once_until_lost(void)
{
    CHECK(!init_private());
    write32(IMSC, INT_RX | INT_RT);
    backend_sends('a');
    backend_sends('b');
    CHECK(read32(DR) == 'a');
    CHECK(emul.injections == 1);

    /* The line falls and rises. */
    CHECK(read32(DR) == 'b');
    backend_sends('c');
    CHECK(emul.injections == 2);

    /*
     * Dropped by the vGIC, as for an offline vCPU: repeated at the next
     * access.
     */
    CHECK(read32(DR) == 'c');
    list_del_init(&emul.irq.inflight);
    emul.offline = true;
    backend_sends('d');
    CHECK(emul.injections == 3 && list_empty(&emul.irq.inflight));
    emul.offline = false;
    read32(FR);
    CHECK(emul.injections == 4 && !list_empty(&emul.irq.inflight));
    read32(FR);
    CHECK(emul.injections == 4);
}

/* As the vGIC puts it in a list register of the running vCPU. */
static void in_list_register(bool pending, bool active)
{
    emul.lr = (struct gic_lr){ UART_SPI, pending, active, { true }, 0 };
    emul.irq.lr = 0;
    emul.irq.status = 1 << GIC_IRQ_GUEST_VISIBLE | 1 << GIC_IRQ_GUEST_QUEUED;
    emul.lr_mask = 1;
}

static bool list_register_is(unsigned int virq, bool pending, bool active,
                             bool eoi)
{
    return emul.lr.virq == virq && emul.lr.pending == pending &&
           emul.lr.active == active && emul.lr.virt.eoi == eoi;
}

/*
 * An interrupt whose line has fallen: if not yet acknowledged, it is
 * retracted; if acknowledged, its end does not matter; another device's stays
 * as it is.
 */
static void lowering_the_line_retracts(void)
{
    CHECK(!init_private());
    emul.gic_version = GIC_V3;

    write32(IMSC, INT_RX | INT_RT);
    backend_sends('a');
    in_list_register(true, false);
    CHECK(read32(DR) == 'a');
    CHECK(list_register_is(0, false, false, false) && !emul.lr_mask);
    CHECK(emul.irq.lr == GIC_INVALID_LR && !emul.irq.status);
    CHECK(list_empty(&emul.irq.inflight));

    backend_sends('b');
    CHECK(emul.injections == 2);
    in_list_register(true, true);
    CHECK(read32(DR) == 'b');
    CHECK(list_register_is(UART_SPI, false, true, false) && emul.lr_mask);
    CHECK(emul.irq.status == 1 << GIC_IRQ_GUEST_VISIBLE && !list_empty(&emul.irq.inflight));

    /* Ended, and not yet synced from the list register: nothing to do. */
    backend_sends('c');
    in_list_register(false, false);
    CHECK(read32(DR) == 'c');
    CHECK(emul.lr_mask && !list_empty(&emul.irq.inflight));

    /* Another interrupt in that list register; another vCPU's; none. */
    backend_sends('d');
    in_list_register(true, false);
    emul.lr.virq++;
    CHECK(read32(DR) == 'd');
    CHECK(list_register_is(UART_SPI + 1, true, false, true));
    backend_sends('e');
    in_list_register(true, false);
    emul.lr_mask = 0;
    CHECK(read32(DR) == 'e');
    CHECK(emul.lr.pending);
    emul.irq.lr = GIC_INVALID_LR;
    emul.lr_mask = ~0UL;
    backend_sends('f');
    CHECK(read32(DR) == 'f');
    CHECK(emul.lr.pending);

    /*
     * Lowered from another domain: the loaded list registers are not the
     * guest's.
     */
    backend_sends('g');
    in_list_register(true, false);
    destroy();
    CHECK(emul.lr.pending);
}

static void mask_lowers_the_line(void)
{
    CHECK(!init_private());
    write32(IMSC, INT_TX);
    guest_prints("x");
    CHECK(emul.domain.arch.vpl011.shadow_uartmis);
    write32(IMSC, 0);
    CHECK(!emul.domain.arch.vpl011.shadow_uartmis);
}

static void stragglers_after_deinit_are_harmless(void)
{
    CHECK(!init_private());
    write32(IMSC, INT_RX | INT_RT);
    destroy();
    check_nothing_held();
    emul.consumer(&emul.vcpu, EMUL_PORT);
    guest_prints("late");
    CHECK(!read32(FR));
    CHECK(!emul.injections);

    emul_reset();
    CHECK(!init_xen());
    destroy();
    vpl011_rx_char_xen(&emul.domain, 'x');
    guest_prints("late\n");
    CHECK(!emul.printed[0]);
    CHECK(!emul.injections);
}

static void widths_and_odd_offsets(void)
{
    register_t value = 0x1234567800000041UL;

    CHECK(!init_private());
    CHECK(guest(true, DR, 0, &value));
    value = 0x42;
    CHECK(guest(true, DR, 1, &value));
    CHECK(!memcmp(emul.page + RING_OUT, "AB", 2));

    value = 0x43;
    CHECK(!guest(true, DR, 3, &value));
    CHECK(!guest(false, FR, 3, &value));
    CHECK(ring_word(RING_OUT_PROD) == 2);

    value = ~0UL;
    CHECK(guest(false, 0xf00, 2, &value) && value == 0);
    CHECK(guest(true, 0xffc, 2, &value));
    value = ~0UL;
    CHECK(guest(false, FR + 1, 0, &value) && value == 0);
}

/* No device, beside it, of another domain, or not decodable. */
static void only_the_devices_accesses_are_handled(void)
{
    /*
     * Not decodable; of 64 bits; of an instruction, a WFI; an access flag
     * fault, a permission fault; an external abort, a walk of the guest's page
     * tables, cache maintenance.
     */
    static const union hsr odd[] = {
#define ODD(fault, sas, isv, class, ...) { .dabt = { \
    .dfsc = fault, .write = 1, .size = sas, .reg = 3, .valid = isv, \
    .ec = class, __VA_ARGS__ } }
        ODD(0x07, 2, 0, 0x24), ODD(0x07, 3, 1, 0x24), ODD(0x07, 2, 1, 0x20),
        ODD(0x07, 2, 1, 0x01), ODD(0x0b, 2, 1, 0x24), ODD(0x0f, 2, 1, 0x24),
        ODD(0x07, 2, 1, 0x24, .eat = 1), ODD(0x07, 2, 1, 0x24, .s1ptw = 1),
        ODD(0x07, 2, 1, 0x24, .cache = 1),
#undef ODD
    };
    const union hsr store = syndrome(true, 2, PLAIN_REG);
    unsigned int i;

    regs.x[PLAIN_REG] = 'x';
    CHECK(!trapped(store, 0));
    CHECK(!trapped(store, UART_BASE));
    CHECK(!private_pfn());
    CHECK(!trapped(store, UART_BASE));
    CHECK(!private_evtchn());

    CHECK(!trapped(store, UART_BASE - 4));
    CHECK(!trapped(store, UART_BASE + 0x1000));
    CHECK(!trapped(store, UART_BASE + (1UL << 32)));
    CHECK(!trapped(store, 0));
    CHECK(!trapped(store, UINT64_MAX));
    CHECK(!trapped_on(&emul.other_vcpu, store, UART_BASE));
    for ( i = 0; i < ARRAY_SIZE(odd); i++ )
        CHECK(!trapped(odd[i], UART_BASE));
    /* Accesses that might cross into another page. */
    CHECK(!trapped(store, UART_BASE + 2));
    CHECK(!trapped(store, UART_BASE + 0xffe));
    CHECK(!ring_word(RING_OUT_PROD) && !emul.doorbells);

    CHECK(trapped(store, UART_BASE));
    CHECK(ring_word(RING_OUT_PROD) == 1 && emul.doorbells == 1);
    CHECK(trapped(store, UART_BASE + 0xffc));
    CHECK(ring_word(RING_OUT_PROD) == 1);
    CHECK(regs.x[PLAIN_REG] == 'x');

    destroy();
    CHECK(!trapped(store, UART_BASE));
}

/* Whether an access leaves the list registers as they are. */
static bool spares(void)
{
    unsigned int before = emul.brought_in;

    CHECK(trapped(syndrome(false, 2, PLAIN_REG), UART_BASE + FR));
    CHECK(trapped(syndrome(true, 2, PLAIN_REG), UART_BASE + DR));
    CHECK(emul.brought_in == before || emul.brought_in == before + 2);
    return emul.brought_in == before;
}

/*
 * An interrupt that ended may have to be raised again or make room for
 * another; one that waits may have to be made pending.
 */
static void list_registers_with_work_are_brought_in(void)
{
    CHECK(!init_private());

    emul.gic_version = GIC_V3;
    emul.ICH_ELSR_EL2 = 0xffff;
    CHECK(spares());

    emul.lr_mask = 0x0005;
    CHECK(!spares());
    emul.ICH_ELSR_EL2 = 0xfffb;
    CHECK(!spares());
    emul.ICH_ELSR_EL2 = 0xfffe;
    CHECK(!spares());
    emul.ICH_ELSR_EL2 = 0xfffa;
    CHECK(spares());

    emul.vcpu.arch.lrs_behind = true;
    CHECK(!spares());
    emul.vcpu.arch.lrs_behind = false;

    /*
     * Where that is expensive to read, any list register in use is reason
     * enough.
     */
    emul.gic_version = GIC_V2;
    CHECK(!spares());
    emul.lr_mask = 0;
    CHECK(spares());

    destroy();
}

/* Loads and stores use the register that the instruction names. */
static void loads_and_stores_use_their_register(void)
{
    union hsr load = syndrome(false, 0, 30);
    unsigned int i, n;

    CHECK(!init_private());
    write32(LCR_H, LCR_H_FEN);
    for ( i = 0; i < 31; i++ )
        regs.x[i] = 0x40 + i;
    for ( i = 0; i < 32; i++ )
        CHECK(trapped(syndrome(true, 0, i), UART_BASE + DR));
    for ( i = 0; i < 32; i++ )
        CHECK(emul.page[RING_OUT + i] == (i == 31 ? 0 : 0x40 + i));

    /* The FR read that shows 32 characters at once. */
    read32(FR);
    regs.x[PLAIN_REG] = 0x40 + PLAIN_REG;

    /* Both with the lock and from a glance. */
    for ( i = 0; i < 32; i++ )
    {
        backend_sends(0xf0);
        CHECK(trapped(syndrome(false, 0, i), UART_BASE + DR));
        CHECK(trapped(syndrome(false, 1, (i + 1) % 32), UART_BASE + FR));
        for ( n = 0; n < 31; n++ )
        {
            if ( n == i )
                CHECK(regs.x[n] == 0xf0);
            if ( n == (i + 1) % 32 )
                CHECK(regs.x[n] == FR_IDLE);
            if ( n > i + 1 )
                CHECK(regs.x[n] == 0x40 + n);
        }
    }

    /* Xen extends the sign of a value from its search of handlers. */
    load.dabt.sign = 1;
    regs.x[30] = 'x';
    CHECK(!trapped(load, UART_BASE + DR));
    CHECK(!trapped(load, UART_BASE + FR));
    CHECK(regs.x[30] == 'x');
}

static void decoded_accesses_reach_the_device(void)
{
    register_t value = 'a';

    CHECK(!init_private());
    CHECK(searched(syndrome(true, 2, 0), DR, &value));
    write32(DR, 'b');
    CHECK(!memcmp(emul.page + RING_OUT, "ab", 2));
    CHECK(searched(syndrome(false, 2, 0), FR, &value) && value == FR_IDLE);
    CHECK(!searched(syndrome(false, 3, 0), FR, &value));
    backend_sends('c');
    CHECK(searched(syndrome(false, 2, 0), DR, &value) && value == 'c');
    CHECK(read32(FR) == FR_IDLE);

    destroy();
    CHECK(searched(syndrome(false, 2, 0), FR, &value) && value == 0);
}

/* A domain without a device shows nothing and has no lock. */
static void the_debug_key_shows_the_device(void)
{
    vpl011_dump(&emul.domain);
    vpl011_dump(&emul.dom0);
    CHECK(!emul.printed[0]);

    CHECK(!init_private());
    guest_prints("abc");
    write32(IMSC, INT_RX | INT_RT);
    backend_sends('x');
    vpl011_dump(&emul.domain);
    CHECK(strstr(emul.printed,
                 "vpl011: at 0x22000000, SPI 32, UARTMIS 0x50, port 7\n"
                 "vpl011: 3 bytes out, 1 in, "));
    emul.printed[0] = '\0';
    destroy();
    vpl011_dump(&emul.domain);
    CHECK(!emul.printed[0]);
}

static void xen_prints_lines(void)
{
    unsigned int i, xs = 0, breaks = 0;

    CHECK(!init_xen());
    guest_prints("one");
    CHECK(!emul.printed[0]);
    guest_prints("\ntwo\n\n");
    CHECK(!strcmp(emul.printed, "DOM1: one\nDOM1: two\nDOM1: \n"));

    /* A NUL does not end a line early. */
    emul.printed[0] = '\0';
    write32(DR, 'a');
    write32(DR, 0);
    write32(DR, 'b');
    write32(DR, '\n');
    CHECK(!strcmp(emul.printed, "DOM1: ab\n"));

    /* A line without end is split, and none of it is lost. */
    emul.printed[0] = '\0';
    for ( i = 0; i < 300; i++ )
        write32(DR, 'x');
    write32(DR, '\n');
    for ( i = 0; emul.printed[i]; i++ )
    {
        xs += emul.printed[i] == 'x';
        breaks += emul.printed[i] == '\n';
    }
    CHECK(xs == 300 && breaks == 3);
    CHECK(!emul.doorbells);
}

/*
 * Xen takes every byte at once: drivers that wait for TXFE or BUSY continue.
 */
static void xen_flags_are_right(void)
{
    unsigned int i;

    CHECK(!init_xen());
    for ( i = 0; i < 300; i++ )
    {
        CHECK((read32(FR) & FR_TX) == FR_TXFE);
        write32(DR, 'x');
    }
    CHECK((read32(FR) & FR_TX) == FR_TXFE);
    CHECK(read32(FR) & FR_RXFE);
    vpl011_rx_char_xen(&emul.domain, 'q');
    CHECK(!(read32(FR) & FR_RXFE));
    write32(IMSC, INT_TX);
    CHECK(read32(MIS) == INT_TX);
}

static void xen_prints_bare_with_focus(void)
{
    CHECK(!init_xen());
    guest_prints("par");
    emul.focus = &emul.domain;
    guest_prints("t ");
    CHECK(!strcmp(emul.printed, "part "));
    guest_prints("$");
    CHECK(!strcmp(emul.printed, "part $"));
    emul.focus = &emul.other;
    guest_prints("x\n");
    CHECK(!strcmp(emul.printed, "part $DOM1: x\n"));
}

static void xen_console_input(void)
{
    unsigned int i;

    CHECK(!init_xen());
    write32(IMSC, INT_RX | INT_RT);
    vpl011_rx_char_xen(&emul.domain, 'q');
    CHECK(emul.injections == 1);
    CHECK(read32(DR) == 'q');

    /* Typed ahead of a guest whose FIFO is one deep. */
    for ( i = 0; i < 80; i++ )
        vpl011_rx_char_xen(&emul.domain, '0' + i);
    for ( i = 0; i < 80; i++ )
        CHECK(read32(DR) == '0' + i);
    CHECK(read32(FR) & FR_RXFE);
    CHECK(!emul.domain.arch.vpl011.shadow_uartmis);
}

/* A guest that does not read: only what does not fit is lost. */
static void xen_console_input_is_bounded(void)
{
    unsigned int i;

    CHECK(!init_xen());
    write32(LCR_H, LCR_H_FEN);
    write32(IMSC, INT_RX | INT_RT);
    for ( i = 0; i < 1000; i++ )
        vpl011_rx_char_xen(&emul.domain, 'a' + i % 26);
    CHECK(emul.injections == 1);
    /* The receive FIFO, and the queue of typed characters before it. */
    for ( i = 0; i < 32 + 128; i++ )
    {
        CHECK(!(read32(FR) & FR_RXFE));
        CHECK(read32(DR) == 'a' + i % 26);
    }
    CHECK(read32(FR) & FR_RXFE);
    CHECK(!read32(MIS));
    vpl011_rx_char_xen(&emul.domain, '!');
    CHECK(read32(MIS) & INT_RT);
    CHECK(read32(DR) == '!');
    CHECK(!*emul.printed);
}

static void resource_is_the_hidden_page(void)
{
    xen_pfn_t mfn = 0;

    CHECK(!vpl011_ring_frames(&emul.domain, 0));
    CHECK(vpl011_acquire_ring(&emul.domain, 0, 0, 1, &mfn) == -EINVAL);
    CHECK(!private_pfn());
    CHECK(vpl011_ring_frames(&emul.domain, 0) == 1);
    CHECK(!vpl011_ring_frames(&emul.domain, 1));
    CHECK(vpl011_acquire_ring(&emul.domain, 1, 0, 1, &mfn) == -EINVAL);
    CHECK(vpl011_acquire_ring(&emul.domain, 0, 1, 1, &mfn) == -EINVAL);
    CHECK(vpl011_acquire_ring(&emul.domain, 0, 0, 2, &mfn) == -EINVAL);
    CHECK(!mfn);
    CHECK(vpl011_acquire_ring(&emul.domain, 0, 0, 1, &mfn) == 1);
    CHECK(mfn == EMUL_MFN);
    destroy();
    CHECK(vpl011_acquire_ring(&emul.domain, 0, 0, 1, &mfn) == -EINVAL);
}

/*
 * Whatever the backend writes into its indices: no access costs more than one
 * doorbell, no index leads out of its ring, nothing else in the page is
 * written, and the console works as soon as the indices are valid again.
 */
static void hostile_ring_is_survived(void)
{
    static const uint8_t untouched[PAGE_SIZE - RING_END];
    unsigned int i;
    uint32_t prod;

    CHECK(!init_private());
    write32(IMSC, 0x7ff);
    for ( i = 0; i < 5000; i++ )
    {
        set_ring_word(RING_IN_PROD, 0xdeadbeef * i);
        set_ring_word(RING_OUT_CONS, 0x12345679 * i);
        emul.doorbells = 0;
        emul.consumer(&emul.vcpu, EMUL_PORT);
        write32(DR, 'x');
        CHECK(!(read32(DR) & ~DR_BITS));
        CHECK(emul.doorbells <= 3);
        CHECK(ring_word(RING_OUT_PROD) - ring_word(RING_OUT_CONS) <= 2048);
        CHECK(ring_word(RING_IN_PROD) - ring_word(RING_IN_CONS) <= 1024);
        CHECK(!memcmp(emul.page + RING_END, untouched, sizeof(untouched)));
    }

    while ( !(read32(FR) & FR_RXFE) )
        read32(DR);
    prod = ring_word(RING_OUT_PROD);
    set_ring_word(RING_OUT_CONS, prod);
    emul.consumer(&emul.vcpu, EMUL_PORT);
    guest_prints("!");
    CHECK(ring_word(RING_OUT_PROD) == prod + 1);
    CHECK(emul.page[RING_OUT + prod % 2048] == '!');
    backend_sends('k');
    CHECK(read32(DR) == 'k');
    CHECK(read32(FR) & FR_RXFE);
}

/* A short form of the fuzzer's unlimited run. */
static void any_order_of_parameters(void)
{
    uint64_t state = 0x2545f4914f6cdd1d;
    uint8_t acts[96];
    unsigned int run, i;

    for ( run = 0; run < 20000; run++ )
    {
        for ( i = 0; i < sizeof(acts); i++ )
        {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            acts[i] = state >> 24;
        }
        monkey(acts, run % sizeof(acts));
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name) { #name, name }
    CASE(each_path_has_its_profile),
    CASE(ring_lives_and_dies),
    CASE(ring_failures_unwind),
    CASE(xen_lives_and_dies),
    CASE(odd_nodes_are_refused),
    CASE(xen_failures_unwind),
    CASE(private_lives_and_dies),
    CASE(private_failures_unwind),
    CASE(private_page_without_port_is_released),
    CASE(private_order_and_repetition),
    CASE(private_denied),
    CASE(unpaused_in_the_middle),
    CASE(break_reaches_the_guest),
    CASE(break_on_every_backend),
    CASE(break_denied),
    CASE(private_bad_values),
    CASE(second_device_is_refused),
    CASE(init_is_refused_to_odd_domains),
    CASE(direct_mapped_takes_the_hosts_place),
    CASE(output_reaches_the_ring),
    CASE(polling_a_full_ring_yields),
    CASE(polling_an_empty_receiver_rests),
    CASE(input_ends_a_rest_at_once),
    CASE(an_interrupt_keeps_a_guest_from_resting),
    CASE(input_interrupts_and_is_read),
    CASE(line_is_injected_once_until_lost),
    CASE(lowering_the_line_retracts),
    CASE(mask_lowers_the_line),
    CASE(stragglers_after_deinit_are_harmless),
    CASE(widths_and_odd_offsets),
    CASE(only_the_devices_accesses_are_handled),
    CASE(list_registers_with_work_are_brought_in),
    CASE(loads_and_stores_use_their_register),
    CASE(decoded_accesses_reach_the_device),
    CASE(the_debug_key_shows_the_device),
    CASE(xen_prints_lines),
    CASE(xen_flags_are_right),
    CASE(xen_prints_bare_with_focus),
    CASE(xen_console_input),
    CASE(xen_console_input_is_bounded),
    CASE(resource_is_the_hidden_page),
    CASE(hostile_ring_is_survived),
    CASE(any_order_of_parameters),
};

int main(int argc, char **argv)
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(cases); i++ )
    {
        if ( argc < 2 )
            puts(cases[i].name);
        else if ( !strcmp(argv[1], cases[i].name) )
        {
            emul_reset();
            cases[i].run();
            return 0;
        }
    }

    return argc < 2 ? 0 : 2;
}
