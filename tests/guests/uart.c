/* SPDX-License-Identifier: MIT */
#include "uart.h"

#include "hex.h"
#include "machine.h"

#define DR          0x00
#define FR          0x18
#define FR_RXFE     0x10
#define FR_TXFF     0x20
#define LCR_H       0x2c
#define LCR_H_8_BITS_FIFO 0x70
#define CR          0x30
#define CR_ON       0x301
#define IMSC        0x38
#define DMACR       0x48

void start_uart(void)
{
    store32(UART + CR, 0);
    store32(UART + IMSC, 0);
    store32(UART + DMACR, 0);
    store32(UART + LCR_H, 0);
    store32(UART + LCR_H, LCR_H_8_BITS_FIFO);
    store32(UART + CR, CR_ON);
}

static void put(char c)
{
    while ( load32(UART + FR) & FR_TXFF )
        ;
    store32(UART + DR, (uint8_t)c);
}

static char get(void)
{
    while ( load32(UART + FR) & FR_RXFE )
        ;
    return (char)load32(UART + DR);
}

void print(const char *text)
{
    while ( *text )
        put(*text++);
}

void print_hex(uint64_t value)
{
    char text[HEX_SIZE];

    print(hex(value, text));
}

void read_line(char *line, unsigned int size)
{
    unsigned int length = 0;
    char c;

    while ( (c = get()) != '\r' && c != '\n' )
        if ( length + 1 < size )
            line[length++] = c;
    line[length] = '\0';
}
