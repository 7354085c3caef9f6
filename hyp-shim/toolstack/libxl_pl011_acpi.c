/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The emulated PL011 in a guest's ACPI tables: an SPCR, by which an operating
 * system finds its console, and an SSDT with the device that its driver binds
 * to. Numbers in both are little-endian, as Arm guests of libxl's are.
 */

#include "libxl_osdeps.h" /* must come before any other headers */

#include "libxl_internal.h"
#include "libxl_pl011.h"

/* Of the SPCR. */
#define ARM_PL011           3
#define SYSTEM_MEMORY       0
#define BY_32_BITS          3
#define INTERRUPT_OF_A_GIC  (1 << 3)
#define BAUD_115200         7
#define TERMINAL_ANSI       3
#define NOT_PCI             0xffff

#define LE32(value)                                             \
    (uint8_t)(value), (uint8_t)((uint32_t)(value) >> 8),        \
    (uint8_t)((uint32_t)(value) >> 16), (uint8_t)((uint32_t)(value) >> 24)

struct header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem_id[6];
    char oem_table_id[8];
    uint32_t oem_revision;
    char creator_id[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct spcr {
    struct header header;
    uint8_t interface_type;
    uint8_t reserved[3];
    uint8_t space;
    uint8_t bit_width;
    uint8_t bit_offset;
    uint8_t access_size;
    uint64_t address;
    uint8_t interrupt_type;
    uint8_t pc_interrupt;
    uint32_t interrupt;
    uint8_t baud;
    uint8_t parity;
    uint8_t stop_bits;
    uint8_t flow_control;
    uint8_t terminal_type;
    uint8_t language;
    uint16_t pci_device_id;
    uint16_t pci_vendor_id;
    uint8_t pci_bus;
    uint8_t pci_device;
    uint8_t pci_function;
    uint32_t pci_flags;
    uint8_t pci_segment;
    uint32_t clock;
} __attribute__((packed));

/*
 * Lengths in AML count themselves. hyp-shim/tests/acpi/ssdt.asl in vPL011's
 * repository is the source: a test compiles it and compares.
 */
static const uint8_t aml[] = {
    0x10, 0x43, 0x04, '\\', '_', 'S', 'B', '_',         /* Scope (\_SB) */
    0x5b, 0x82, 0x3a, 'C', 'O', 'M', '0',               /* Device (COM0) */
    0x08, '_', 'H', 'I', 'D', 0x0d,                     /* Name (_HID, ...) */
    'A', 'R', 'M', 'H', '0', '0', '1', '1', '\0',
    0x08, '_', 'U', 'I', 'D', 0x00,                     /* Name (_UID, 0) */
    0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17,   /* Name (_CRS, ...) */
    0x86, 9, 0, 0x01, LE32(GUEST_PL011_BASE), LE32(GUEST_PL011_SIZE),
    0x89, 6, 0, 0x01, 1, LE32(GUEST_VPL011_SPI),        /* level, high */
    0x79, 0,
};

struct ssdt {
    struct header header;
    uint8_t aml[sizeof(aml)];
} __attribute__((packed));

/* What the XSDT points at; each table begins at a multiple of 8. */
struct tables {
    struct spcr spcr __attribute__((aligned(8)));
    struct ssdt ssdt __attribute__((aligned(8)));
};

size_t libxl__pl011_acpi_entries(const libxl_domain_build_info *info)
{
    return info->arch_arm.vuart == LIBXL_VUART_TYPE_PL011
           ? 2 * sizeof(uint64_t) : 0;
}

size_t libxl__pl011_acpi_size(const libxl_domain_build_info *info)
{
    return info->arch_arm.vuart == LIBXL_VUART_TYPE_PL011
           ? sizeof(struct tables) : 0;
}

/* All bytes of a table add up to 0. */
static void finish(struct header *header, const char *signature,
                   size_t length, uint8_t revision)
{
    const uint8_t *bytes = (const uint8_t *)header;
    uint8_t sum = 0;
    size_t i;

    memcpy(header->signature, signature, sizeof(header->signature));
    header->length = length;
    header->revision = revision;
    memcpy(header->oem_id, "Xen\0\0", sizeof(header->oem_id));
    memcpy(header->oem_table_id, "PL011\0\0", sizeof(header->oem_table_id));
    memcpy(header->creator_id, "XL\0", sizeof(header->creator_id));
    for (i = 0; i < length; i++)
        sum += bytes[i];
    header->checksum = -sum;
}

void libxl__pl011_make_acpi(const libxl_domain_build_info *info,
                            uint64_t address, void *to, void *entries)
{
    struct tables tables = {
        .spcr = {
            .interface_type = ARM_PL011,
            .space = SYSTEM_MEMORY,
            .bit_width = 32,
            .access_size = BY_32_BITS,
            .address = GUEST_PL011_BASE,
            .interrupt_type = INTERRUPT_OF_A_GIC,
            .interrupt = GUEST_VPL011_SPI,
            .baud = BAUD_115200,
            .stop_bits = 1,
            .terminal_type = TERMINAL_ANSI,
            .pci_device_id = NOT_PCI,
            .pci_vendor_id = NOT_PCI,
        },
    };
    const uint64_t addresses[] = {
        address + offsetof(struct tables, spcr),
        address + offsetof(struct tables, ssdt),
    };

    if (!libxl__pl011_acpi_size(info))
        return;

    memcpy(tables.ssdt.aml, aml, sizeof(aml));
    finish(&tables.spcr.header, "SPCR", sizeof(tables.spcr), 2);
    finish(&tables.ssdt.header, "SSDT", sizeof(tables.ssdt), 2);
    memcpy(to, &tables, sizeof(tables));
    memcpy(entries, addresses, sizeof(addresses));
}

/*
 * Local variables:
 * mode: C
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
