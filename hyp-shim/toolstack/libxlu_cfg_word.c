/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Values without quotes in an xl configuration file: `pl011 = y`.
 *
 * The grammar has strings, numbers and lists. A bare word is accepted for the
 * keys named here; for any other key it is a syntax error as before.
 */

#include "libxlu_cfg_i.h"

static bool takes_word(const char *name)
{
    return !strcmp(name, "pl011");
}

int xlu__cfg_store_word(CfgParseContext *ctx, char *name, char *word,
                        YYLTYPE *loc)
{
    /* After an error names are no longer kept, and nothing is stored. */
    if (ctx->err || takes_word(name)) {
        xlu__cfg_set_store(ctx, name, XLU_OP_ASSIGNMENT,
                           xlu__cfg_string_mk(ctx, word, loc),
                           loc->first_line);
        return 0;
    }

    xlu__cfg_yyerror(loc, ctx, "syntax error, unexpected IDENT, "
                     "expecting STRING or NUMBER or [");
    free(name);
    free(word);
    return EINVAL;
}

/*
 * Local variables:
 * mode: C
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
