/* SPDX-License-Identifier: MIT */
#ifndef HEX_H
#define HEX_H

#include <stdint.h>

/* 0x, 16 digits and a NUL. */
#define HEX_SIZE 19

/* Writes @value to @text: 0x and its digits. Returns @text. */
static inline const char *hex(uint64_t value, char text[HEX_SIZE])
{
    unsigned int length = 0;
    int shift = 60;

    while ( shift > 0 && !(value >> shift) )
        shift -= 4;
    text[length++] = '0';
    text[length++] = 'x';
    for ( ; shift >= 0; shift -= 4 )
    {
        unsigned int digit = (value >> shift) & 0xf;

        text[length++] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
    text[length] = '\0';
    return text;
}

#endif
