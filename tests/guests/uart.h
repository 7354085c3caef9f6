/* SPDX-License-Identifier: MIT */
/* Polled text on the PL011: lines in, lines out. */
#ifndef UART_H
#define UART_H

#include <stdint.h>

void print(const char *text);
void print_hex(uint64_t value);

/*
 * Reads up to the end of a line into `line`, which ends in a NUL; what does
 * not fit is dropped.
 */
void read_line(char *line, unsigned int size);

#endif
