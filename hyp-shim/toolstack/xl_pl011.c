/* SPDX-License-Identifier: LGPL-2.1-only */
/* The `pl011` key of a guest's configuration file. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxl.h>
#include <libxlutil.h>

#include "xl.h"
#include "xl_parse.h"

/* Whether `word` is a truth value, which then goes to `value`. */
static bool truth(const char *word, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "y", true }, { "yes", true }, { "true", true }, { "1", true },
        { "n", false }, { "no", false }, { "false", false }, { "0", false },
        { NULL, false },
    };
    unsigned int i;

    for (i = 0; words[i].word; i++) {
        if (!strcmp(word, words[i].word)) {
            *value = words[i].value;
            return true;
        }
    }

    return false;
}

void parse_pl011(const XLU_Config *config, libxl_domain_build_info *b_info)
{
    const char *word = "[...]";
    bool value;
    int e;

    e = xlu_cfg_get_string(config, "pl011", &word, 1);
    if (e == ESRCH)
        return;

    if (e || !truth(word, &value)) {
        fprintf(stderr, "ERROR: invalid value \"%s\" for \"pl011\": "
                "it must be y, n, yes, no, true, false, 1 or 0\n", word);
        exit(EXIT_FAILURE);
    }

    if (b_info->arch_arm.vuart == LIBXL_VUART_TYPE_PL011 ||
        (value && b_info->arch_arm.vuart != LIBXL_VUART_TYPE_UNKNOWN)) {
        fprintf(stderr, "ERROR: \"pl011\" and \"vuart\" exclude each other: "
                "both are the guest's one UART; remove one of them\n");
        exit(EXIT_FAILURE);
    }

    if (value)
        b_info->arch_arm.vuart = LIBXL_VUART_TYPE_PL011;
}

/*
 * Local variables:
 * mode: C
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
