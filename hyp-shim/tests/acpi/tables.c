/* SPDX-License-Identifier: MIT */
/*
 * Writes to standard output what a guest with this type of vuart gets: its
 * entries of the XSDT, then the tables.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "libxl_internal.h"
#include "libxl_pl011.h"

/* The tables' address in the guest. */
#define ADDRESS 0x20000a00ULL

int main(int argc, char **argv)
{
    const libxl_domain_build_info info = {
        .arch_arm.vuart = argc > 1 ? atoi(argv[1]) : 0,
    };
    const size_t entries = libxl__pl011_acpi_entries(&info);
    const size_t size = libxl__pl011_acpi_size(&info);
    /* Each of exactly the requested size: ASan reports one byte more. */
    unsigned char *xsdt = calloc(1, entries), *tables = calloc(1, size);

    assert(xsdt && tables && size % 8 == 0);
    libxl__pl011_make_acpi(&info, ADDRESS, tables, xsdt);
    fwrite(xsdt, 1, entries, stdout);
    fwrite(tables, 1, size, stdout);
    free(xsdt);
    free(tables);
    return ferror(stdout) || fflush(stdout);
}
