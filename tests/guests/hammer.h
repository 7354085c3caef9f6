/* SPDX-License-Identifier: MIT */
#ifndef HAMMER_H
#define HAMMER_H

#include <stdint.h>

/*
 * Reads and writes all of the UART's page for so many seconds, with every
 * width, any value and no regard for the device, from two vCPUs if the guest
 * has as many. Then says how often each did:
 *
 *   hammered COUNT COUNT
 */
void hammer(uint64_t seconds);

#endif
