/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The emulated PL011 of an Arm guest: LIBXL_VUART_TYPE_PL011, which is
 * `pl011 = y` in its configuration file.
 *
 * Unlike with LIBXL_VUART_TYPE_SBSA_UART the guest sees the whole device, and
 * neither it nor a daemon that maps by frame number ever sees the console
 * ring: page and port go to the hypervisor in two hvm_params, the hypervisor
 * takes the page out of the guest's address space, and xenstore holds no
 * ring-ref and no port.
 */

#include "libxl_osdeps.h" /* must come before any other headers */

#include "libxl_internal.h"
#include "libxl_libfdt_compat.h"
#include "libxl_pl011.h"

#include <libfdt.h>
#include <xen/device_tree_defs.h>

/* Vendors' trees number their own on from the first of these. */
#define PHANDLE_UART_CLOCK  (GUEST_PHANDLE_GIC + 64)

/* Any rate will do that yields SPEED; this is the usual one of boards. */
#define UART_CLOCK_HZ       24000000
#define SPEED               115200

/* The type of `vuart/0` by which the daemon recognises a private ring. */
#define XS_TYPE_PRIVATE     "pl011"

static bool wanted(const libxl_domain_build_info *info)
{
    return info->arch_arm.vuart == LIBXL_VUART_TYPE_PL011;
}

static const char *node_name(libxl__gc *gc)
{
    return GCSPRINTF("serial@%llx", GUEST_PL011_BASE);
}

static const char *node_path(libxl__gc *gc)
{
    return GCSPRINTF("/%s", node_name(gc));
}

int libxl__pl011_make_stdout(libxl__gc *gc, void *fdt,
                             const libxl_domain_build_info *info)
{
    if (!wanted(info))
        return 0;

    /* By path: the alias may have had to give way, see below. */
    return fdt_property_string(fdt, "stdout-path",
                               GCSPRINTF("%s:%un8", node_path(gc), SPEED));
}

static int make_clock(void *fdt)
{
    return fdt_begin_node(fdt, "uart-clock") ?:
           fdt_property_string(fdt, "compatible", "fixed-clock") ?:
           fdt_property_cell(fdt, "#clock-cells", 0) ?:
           fdt_property_cell(fdt, "clock-frequency", UART_CLOCK_HZ) ?:
           fdt_property_cell(fdt, "phandle", PHANDLE_UART_CLOCK) ?:
           fdt_end_node(fdt);
}

/*
 * Drivers bind to "arm,pl011"; Linux finds the device on its AMBA bus by
 * "arm,primecell", and there gives up silently without the two clocks.
 */
static int make_uart(libxl__gc *gc, void *fdt)
{
    static const char compatible[] = "arm,pl011\0arm,primecell";
    static const char clock_names[] = "uartclk\0apb_pclk";
    const uint64_t reg[] = {
        cpu_to_fdt64(GUEST_PL011_BASE), cpu_to_fdt64(GUEST_PL011_SIZE),
    };
    const uint32_t interrupt[] = {
        cpu_to_fdt32(0 /* an SPI */), cpu_to_fdt32(GUEST_VPL011_SPI - 32),
        cpu_to_fdt32(DT_IRQ_TYPE_LEVEL_HIGH),
    };
    const uint32_t clocks[] = {
        cpu_to_fdt32(PHANDLE_UART_CLOCK), cpu_to_fdt32(PHANDLE_UART_CLOCK),
    };

    BUILD_BUG_ON(GUEST_ROOT_ADDRESS_CELLS != 2 || GUEST_ROOT_SIZE_CELLS != 2);

    return fdt_begin_node(fdt, node_name(gc)) ?:
           fdt_property(fdt, "compatible", compatible, sizeof(compatible)) ?:
           fdt_property(fdt, "reg", reg, sizeof(reg)) ?:
           fdt_property_cell(fdt, "interrupt-parent", GUEST_PHANDLE_GIC) ?:
           fdt_property(fdt, "interrupts", interrupt, sizeof(interrupt)) ?:
           fdt_property(fdt, "clocks", clocks, sizeof(clocks)) ?:
           fdt_property(fdt, "clock-names",
                        clock_names, sizeof(clock_names)) ?:
           fdt_property_cell(fdt, "current-speed", SPEED) ?:
           fdt_end_node(fdt);
}

static int make_alias(libxl__gc *gc, void *fdt)
{
    return fdt_begin_node(fdt, "aliases") ?:
           fdt_property_string(fdt, "serial0", node_path(gc)) ?:
           fdt_end_node(fdt);
}

int libxl__pl011_make_nodes(libxl__gc *gc, void *fdt, const void *pfdt,
                            const libxl_domain_build_info *info)
{
    int res;

    if (!wanted(info))
        return 0;

    res = make_clock(fdt) ?: make_uart(gc, fdt);
    if (res)
        return res;

    /* /aliases of a partial device tree is copied whole: no second one. */
    if (pfdt && fdt_path_offset(pfdt, "/aliases") >= 0)
        return 0;

    return make_alias(gc, fdt);
}

/* The builder has populated and zeroed the page at dom->vuart_gfn. */
static int set_params(libxl__gc *gc, const struct xc_dom_image *dom)
{
    const uint32_t domid = dom->guest_domid;
    xc_evtchn_port_or_error_t port;
    uint64_t unset;

    /* Only a hypervisor with the hooks has the parameter. */
    if (xc_hvm_param_get(CTX->xch, domid, HVM_PARAM_VUART_PFN, &unset)) {
        LOGED(ERROR, domid, "this hypervisor has no vPL011 support for "
              "pl011=y: it refuses HVM_PARAM_VUART_PFN");
        return ERROR_FAIL;
    }

    if (xc_hvm_param_set(CTX->xch, domid, HVM_PARAM_VUART_PFN,
                         dom->vuart_gfn)) {
        LOGED(ERROR, domid, "the hypervisor does not take the PL011's ring "
              "page, gfn %#"PRI_xen_pfn, dom->vuart_gfn);
        return ERROR_FAIL;
    }

    port = xc_evtchn_alloc_unbound(CTX->xch, domid, dom->console_domid);
    if (port < 0) {
        LOGED(ERROR, domid, "cannot allocate the PL011's event channel");
        return ERROR_FAIL;
    }

    if (xc_hvm_param_set(CTX->xch, domid, HVM_PARAM_VUART_EVTCHN, port)) {
        LOGED(ERROR, domid, "the hypervisor does not take the PL011's "
              "event channel, port %d", port);
        return ERROR_FAIL;
    }

    return 0;
}

/*
 * Writes /local/domain/N/vuart/0, hidden from the guest. It goes with the
 * rest of the domain's directory when the domain is destroyed.
 */
static int publish(libxl__gc *gc, const struct xc_dom_image *dom)
{
    struct xs_permissions perms[] = {
        { .id = LIBXL_TOOLSTACK_DOMID, .perms = XS_PERM_NONE },
        { .id = dom->console_domid, .perms = XS_PERM_READ | XS_PERM_WRITE },
    };
    const unsigned int nr_perms =
        dom->console_domid == LIBXL_TOOLSTACK_DOMID ? 1 : 2;
    char *kvs[] = {
        "limit", GCSPRINTF("%d", LIBXL_XENCONSOLE_LIMIT),
        "type", XS_TYPE_PRIVATE,
        NULL,
    };
    const char *dom_path = libxl__xs_get_dompath(gc, dom->guest_domid);
    const char *dir, *instance;
    xs_transaction_t t = XBT_NULL;
    int rc;

    if (!dom_path)
        return ERROR_FAIL;

    dir = GCSPRINTF("%s/vuart", dom_path);
    instance = GCSPRINTF("%s/0", dir);

    for (;;) {
        rc = libxl__xs_transaction_start(gc, &t);
        if (rc) goto out;

        rc = libxl__xs_mknod(gc, t, dir, perms, nr_perms) ?:
             libxl__xs_mknod(gc, t, instance, perms, nr_perms) ?:
             libxl__xs_writev_perms(gc, t, instance, kvs, perms, nr_perms);
        if (rc) goto out;

        rc = libxl__xs_transaction_commit(gc, &t);
        if (!rc) break;
        if (rc < 0) goto out;
    }

 out:
    libxl__xs_transaction_abort(gc, &t);
    if (rc)
        LOGD(ERROR, dom->guest_domid, "cannot write %s", instance);
    return rc;
}

int libxl__pl011_build(libxl__gc *gc, const libxl_domain_build_info *info,
                       const struct xc_dom_image *dom)
{
    if (!wanted(info))
        return 0;

    return set_params(gc, dom) ?: publish(gc, dom);
}

/*
 * Local variables:
 * mode: C
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
