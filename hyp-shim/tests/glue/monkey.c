/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The toolstack sets any parameters, in any order, to any value, with any
 * allocation failing, while the guest, the backend and other domains do
 * anything. Each answer must follow from the rules of the parameters, written
 * here a second time and in another form; a refusal leaves everything as it
 * was.
 */
#include "emul.h"

enum { PFN = 39, EVTCHN = 40, BREAK = 41 };

/* The state on which the rules depend. */
static struct {
    bool page, port, finished, dying, denied, destroyed;
    struct vcpu *caller;
} is;

#define CHECK(condition) EMUL_CHECK(condition)

static uint64_t value_of(uint8_t which)
{
    static const uint64_t values[] = {
        EMUL_GFN, EMUL_PORT, 1, 0, EMUL_GFN + 1, EMUL_PORT + 1, 2, UINT64_MAX,
        EMUL_GFN | 1UL << 44, EMUL_PORT | 1UL << 32, 1UL << 32 | 1, UINT32_MAX,
    };

    return values[which % ARRAY_SIZE(values)];
}

/* Of callers without permission, and of sets on a dying domain; else 0. */
static int refusal(bool set)
{
    if ( is.caller == &emul.vcpu || is.denied )
        return -EPERM;

    return set && is.dying ? -EINVAL : 0;
}

/* The same for parameters that only the toolstack sets. */
static int refusal_to_set_up(void)
{
    return refusal(false) || is.caller == &emul.other_vcpu ? -EPERM
                                                           : refusal(true);
}

static int expected_pfn(uint64_t value)
{
    int rc = refusal_to_set_up();

    if ( rc )
        return rc;
    if ( is.finished )
        return -EPERM;
    if ( is.page )
        return -EEXIST;
    if ( value != EMUL_GFN )
        return -EINVAL;
    if ( emul.failed )
        return -ENOMEM;

    return emul.page_of_xen || emul.page_owner != &emul.domain ? -EINVAL : 0;
}

static int expected_evtchn(uint64_t value, int rc_seen)
{
    int rc = refusal_to_set_up();

    if ( rc )
        return rc;
    if ( is.finished )
        return -EPERM;
    if ( is.port )
        return -EEXIST;
    if ( !is.page || value > UINT32_MAX )
        return -EINVAL;
    /* The call that failed decides between the two. */
    if ( emul.failed )
        return rc_seen == -ENOMEM ? -ENOMEM : -EINVAL;

    return value == EMUL_PORT ? 0 : -EINVAL;
}

static int expected_break(uint64_t value)
{
    int rc = refusal(true);

    if ( rc )
        return rc;
    if ( !is.finished )
        return -EPERM;
    if ( !is.port )
        return -ENODEV;

    return value == 1 ? 0 : -EINVAL;
}

static void set(uint32_t index, uint64_t value)
{
    int rc = vpl011_private_param(&emul.domain, true, index, &value);

    if ( index == PFN )
    {
        CHECK(rc == expected_pfn(value));
        is.page |= !rc;
    }
    else if ( index == EVTCHN )
    {
        CHECK(rc == expected_evtchn(value, rc));
        is.port |= !rc;
    }
    else
        CHECK(rc == expected_break(value));
}

static void get(uint32_t index)
{
    uint64_t value = 0x5a5a5a5a;
    int rc = vpl011_private_param(&emul.domain, false, index, &value);

    CHECK(rc == refusal(false));
    if ( rc )
        CHECK(value == 0x5a5a5a5a);
    else if ( index == PFN )
        CHECK(value == (is.page ? EMUL_GFN : 0));
    else if ( index == EVTCHN )
        CHECK(value == (is.port ? EMUL_PORT : 0));
    else
        CHECK(!value);
}

static void acquire(uint8_t what)
{
    unsigned int id = what & 1, frame = what >> 1 & 1, frames = what >> 2 & 3;
    xen_pfn_t mfn[4] = { };
    int rc = vpl011_acquire_ring(&emul.domain, id, frame, frames, mfn);

    if ( !id && !frame && frames == 1 && is.page && !is.dying )
        CHECK(rc == 1 && mfn[0] == EMUL_MFN);
    else
        CHECK(rc == -EINVAL && !mfn[0]);
    CHECK(!mfn[1]);
}

static void access_by_guest(bool write, uint8_t what)
{
    const unsigned int transferred = what * 7 & 31;
    const union hsr hsr = { .dabt = {
        .dfsc = 0x07, .write = write, .reg = transferred, .size = what >> 6,
        .valid = 1, .ec = 0x24,
    } };
    const register_t before = what * 0x0101010101010101UL;
    unsigned int reg;
    bool handled;

    emul.regs = (struct cpu_user_regs){ .hsr = hsr.bits };
    for ( reg = 0; reg < 31; reg++ )
        emul.regs.x[reg] = before;
    emul.HPFAR_EL2 = emul.mmio_base >> 12 << 4;
    emul.FAR_EL2 = (what & 0x3f) * 4;
    current = &emul.vcpu;
    handled = vpl011_takes_trap(&emul.regs);
    current = is.caller;

    /* 64-bit accesses abort. */
    CHECK(handled == (is.port && !is.destroyed && what >> 6 != 3));
    CHECK(emul.regs.pc == (handled ? 4 : 0));
    for ( reg = 0; reg < 31; reg++ )
    {
        if ( handled && !write && reg == transferred )
            CHECK(emul.regs.x[reg] <= UINT32_MAX);
        else
            CHECK(emul.regs.x[reg] == before);
    }
}

static void event(uint8_t what)
{
    uint32_t index = what * 0x01010101U;

    if ( !emul.consumer )
        return;

    if ( what & 1 )
        memcpy(emul.page + 3072 + (what >> 1 & 3) * 4, &index, sizeof(index));
    emul.consumer(&emul.vcpu, EMUL_PORT);
}

static void destroy(void)
{
    is.dying = is.destroyed = emul.domain.is_dying = true;
    domain_vpl011_deinit(&emul.domain);
}

static void act(uint8_t what, uint8_t how)
{
    struct vcpu *callers[] = {
        &emul.dom0_vcpu, &emul.vcpu, &emul.dom0_vcpu, &emul.other_vcpu,
    };

    switch ( what % 16 )
    {
    case 0: case 1: case 2:
        set(PFN + what % 16, value_of(how));
        break;
    case 3:
        get(PFN + how % 3);
        break;
    case 4:
        current = is.caller = callers[how & 3];
        break;
    case 5:
        emul.denied_by_xsm = is.denied = how & 1;
        break;
    case 6: /* The n-th call from here that can fail, in the next action. */
        emul.fail_at = how % 8;
        return;
    case 7: case 8:
        access_by_guest(what & 1, how);
        break;
    case 9:
        event(how);
        break;
    case 10:
        emul.domain.creation_finished = is.finished = true;
        break;
    case 11: /* Rare, as it ends a run. */
        if ( how < 16 )
            destroy();
        break;
    case 12:
        acquire(how);
        break;
    case 13: /* The page's owner, before the page is taken. */
        if ( is.page )
            break;
        emul.page_of_xen = how & 1;
        emul.page_owner = how & 2 ? &emul.other : &emul.domain;
        break;
    case 14:
        emul.domain.is_dying |= how < 16;
        is.dying |= how < 16;
        break;
    case 15:
        emul.offline = how & 1;
        break;
    }

    emul.fail_at = 0;
    emul.failed = false;
}

static void check(void)
{
    bool page = is.page && !is.destroyed, port = is.port && !is.destroyed;

    CHECK(emul.page_references == page);
    CHECK(emul.ports == port);
    CHECK(emul.allocations == port);
    CHECK(emul.handlers == is.port);
    CHECK(emul.page_in_p2m == !is.page);
    CHECK(!emul.domain.domain_lock.held && !emul.domain.pause_count);
    CHECK(!emul.domain.arch.vpl011.lock.held);
    /* The guest and the backend are notified only if there is a device. */
    CHECK(is.port || (!emul.injections && !emul.doorbells));
}

void monkey(const uint8_t *data, size_t size)
{
    emul_reset();
    memset(&is, 0, sizeof(is));
    is.caller = current;

    for ( ; size >= 2; data += 2, size -= 2 )
    {
        act(data[0], data[1]);
        check();
    }

    destroy();
    check();
}
