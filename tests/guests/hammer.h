/* SPDX-License-Identifier: MIT */
#ifndef HAMMER_H
#define HAMMER_H

#include <stdint.h>

/*
 * Reads and writes the UART's page for so many seconds, at random offsets, with
 * every width and any value, from two vCPUs if the guest has them. Then prints
 * the number of accesses of each:
 *
 *   hammered COUNT COUNT
 */
void hammer(uint64_t seconds);

#endif
