/* SPDX-License-Identifier: MIT */
/* The PV console, for a guest that has nothing else. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

/* Asks Xen where it is. 0, or Xen's error. */
int64_t console_open(void);

void console_print(const char *text);

/* Waits for a character. */
char console_get(void);

#endif
