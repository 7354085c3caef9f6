/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nodes of the PL011 in the device tree of a guest that Xen starts itself
 * (dom0less), so that PL011 drivers bind to it. The toolstack writes the same
 * nodes for other guests (hyp-shim/toolstack/libxl_pl011.c).
 */
#include <xen/lib.h>
#include <xen/libfdt/libfdt.h>
#include <xen/sched.h>
#include <asm/vpl011.h>
#include <public/device_tree_defs.h>

/* Vendors' trees number their own on from the first of these. */
#define PHANDLE_UART_CLOCK  (GUEST_PHANDLE_GIC + 64)

/* Any rate will do that yields SPEED; this is the usual one of boards. */
#define UART_CLOCK_HZ       24000000
#define SPEED               115200

static int __init make_clock(void *fdt)
{
    return fdt_begin_node(fdt, "uart-clock") ?:
           fdt_property_string(fdt, "compatible", "fixed-clock") ?:
           fdt_property_cell(fdt, "#clock-cells", 0) ?:
           fdt_property_cell(fdt, "clock-frequency", UART_CLOCK_HZ) ?:
           fdt_property_cell(fdt, "phandle", PHANDLE_UART_CLOCK) ?:
           fdt_end_node(fdt);
}

/* Without the two clocks Linux's AMBA bus silently makes no device of it. */
static int __init make_uart(void *fdt, const struct vpl011 *vpl011,
                            uint32_t phandle_gic)
{
    static const char compatible[] __initconst = "arm,pl011\0arm,primecell";
    static const char clock_names[] __initconst = "uartclk\0apb_pclk";
    const uint64_t reg[] = {
        cpu_to_fdt64(vpl011->base_addr), cpu_to_fdt64(GUEST_PL011_SIZE),
    };
    const uint32_t interrupt[] = {
        cpu_to_fdt32(0 /* an SPI */), cpu_to_fdt32(vpl011->virq - 32),
        cpu_to_fdt32(DT_IRQ_TYPE_LEVEL_HIGH),
    };
    const uint32_t clocks[] = {
        cpu_to_fdt32(PHANDLE_UART_CLOCK), cpu_to_fdt32(PHANDLE_UART_CLOCK),
    };
    char name[sizeof("serial@") + 16];

    BUILD_BUG_ON(GUEST_ROOT_ADDRESS_CELLS != 2 || GUEST_ROOT_SIZE_CELLS != 2);

    (void)snprintf(name, sizeof(name), "serial@%"PRIx64, vpl011->base_addr);

    return fdt_begin_node(fdt, name) ?:
           fdt_property(fdt, "compatible", compatible, sizeof(compatible)) ?:
           fdt_property(fdt, "reg", reg, sizeof(reg)) ?:
           fdt_property_cell(fdt, "interrupt-parent", phandle_gic) ?:
           fdt_property(fdt, "interrupts", interrupt, sizeof(interrupt)) ?:
           fdt_property(fdt, "clocks", clocks, sizeof(clocks)) ?:
           fdt_property(fdt, "clock-names",
                        clock_names, sizeof(clock_names)) ?:
           fdt_property_cell(fdt, "current-speed", SPEED) ?:
           fdt_end_node(fdt);
}

int __init vpl011_make_nodes(const struct domain *d, void *fdt,
                             uint32_t phandle_gic)
{
    return make_clock(fdt) ?:
           make_uart(fdt, &d->arch.vpl011, phandle_gic);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
