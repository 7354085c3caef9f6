/* SPDX-License-Identifier: MIT */
/* Polled text on the PL011, by lines. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

/* The device's page. */
#define UART        0x22000000UL
#define UART_SIZE   0x1000

/* Initialises it from any state: 8 bits, FIFOs, no interrupt. */
void start_uart(void);

void print(const char *text);
void print_hex(uint64_t value);

/*
 * Reads up to the end of a line into `line`, with a NUL; what does not fit is
 * dropped.
 */
void read_line(char *line, unsigned int size);

#endif
