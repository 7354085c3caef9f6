/* SPDX-License-Identifier: MIT */
/* The PV console, for a guest without a UART. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

/* Finds the console's page and port. 0, or Xen's error. */
int64_t console_open(void);

void console_print(const char *text);

/* Waits for a character. */
char console_get(void);

#endif
