/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The backend in Xen, for a domain without a ring (dom0less): its output goes
 * to Xen's console, a line at a time behind the domain's name; or as it comes
 * and bare, while the console's input goes to that domain.
 */
#include "glue.h"

static bool vpl011_has_focus(const struct domain *d)
{
    struct domain *input = console_get_domain();

    console_put_domain(input);

    return input == d;
}

void vpl011_console_output(struct domain *d, char c)
{
    struct vpl011_xen_backend *console = d->arch.vpl011.backend.xen;
    /* Room is kept for a line break and the terminator. */
    const unsigned int longest = ARRAY_SIZE(console->out) - 2;

    /* It would end the line for printk(). */
    if ( !c )
        return;

    console->out[console->out_prod++] = c;

    if ( vpl011_has_focus(d) )
    {
        console->out[console->out_prod] = '\0';
        printk("%s", console->out);
    }
    else
    {
        if ( c != '\n' )
        {
            if ( console->out_prod < longest )
                return;
            console->out[console->out_prod++] = '\n';
        }

        console->out[console->out_prod] = '\0';
        printk("DOM%u: %s", d->domain_id, console->out);
    }

    console->out_prod = 0;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
