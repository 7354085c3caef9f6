/* SPDX-License-Identifier: MIT */
/*
 * The PL011 device behind a C ABI: the whole contract between the hypervisor
 * (C) and the device (Rust). Compared with the Rust side by machine
 * (hyp-shim/tests/abi.rs).
 *
 * The device makes no callbacks except vpl011_panic(). Every entry point
 * returns at once, with an outcome that says what is left to do. The caller
 * serialises all calls on one state (Xen: the device's lock), drives the
 * interrupt line before it drops the lock, and rings the doorbell after.
 */
#ifndef VPL011_ABI_H
#define VPL011_ABI_H

#ifndef __XEN__
#include <stddef.h>
#include <stdint.h>
#endif

/* Bytes and alignment of the storage behind struct vpl011_state. */
#define VPL011_STATE_SIZE  512
#define VPL011_STATE_ALIGN 8

/* Bytes of the shared ring page, and its alignment. */
#define VPL011_RING_SIZE 4096

/* Profiles of vpl011_init(): a PL011, */
#define VPL011_PROFILE_PL011 0
/* or an SBSA Generic UART: DR RSR/ECR FR IMSC RIS MIS ICR, FIFOs enabled. */
#define VPL011_PROFILE_SBSA  1

/* outcome.flags: notify the backend once the lock is dropped. */
#define VPL011_DOORBELL 0x01
/* outcome.flags: outcome.output is a byte that the guest sent (no ring). */
#define VPL011_OUTPUT   0x02
/*
 * outcome.flags: the access is to be aborted (64 bits wide, or undecoded).
 * Nothing has changed, not even the line; the other fields are 0.
 */
#define VPL011_ABORT    0x04
/*
 * outcome.flags: the guest polls for room that only the backend can make,
 * until the backend has run. If both share a CPU, yield it.
 */
#define VPL011_STALLED  0x08

/*
 * One device. Opaque; owned by the caller, who may not move it while a ring
 * page is attached. It needs no destructor.
 */
struct vpl011_state {
    uint64_t opaque[VPL011_STATE_SIZE / sizeof(uint64_t)];
};

/* What the caller must do after an entry point returns. */
struct vpl011_outcome {
    uint32_t value;   /* the value read, zero-extended; 0 if not a read */
    uint16_t pending; /* UARTMIS: the line is high while this is not 0 */
    uint8_t flags;    /* VPL011_DOORBELL, _OUTPUT, _ABORT, _STALLED */
    uint8_t output;   /* the byte sent, with VPL011_OUTPUT; else 0 */
    uint64_t glance;  /* for vpl011_peek(); not with VPL011_ABORT */
};

/*
 * Makes *state a device after reset, on the ring page (page-aligned, mapped
 * until the state is last used), or with `ring` NULL on a backend without a
 * ring: its bytes come by vpl011_receive() and leave by outcome.output.
 * `profile` is one of VPL011_PROFILE_*; any other value means a PL011.
 */
void vpl011_init(struct vpl011_state *state, void *ring, uint8_t profile);

/*
 * A guest's access at `offset` bytes into the device's 4 KiB, as the syndrome
 * `esr` (ESR_EL2) of the data abort describes it: direction and width; ISV
 * must be set. `value` is the value to write; only the covered bits are used.
 */
struct vpl011_outcome vpl011_access(struct vpl011_state *state, uint64_t esr,
                                    uint64_t offset, uint64_t value);

/* The same for the most frequent access: a write of UARTDR. */
struct vpl011_outcome vpl011_send(struct vpl011_state *state,
                                  uint64_t value);

/*
 * The result of an access that changes nothing: the value read, or 0 for a
 * write. VPL011_UNSEEN if vpl011_access() is needed, as always for UARTDR, at
 * offset 0. `esr` is that of a data abort with ISV set. `*glance` is that of
 * the newest outcome; the state is not read, and no lock is needed. Reads of
 * UARTFR without input are counted in `*glance`, unless a newer glance is
 * stored at the same time. VPL011_POLLED is set in the answer to every 256th
 * in a row: block or yield the CPU while the receiver stays empty.
 */
uint64_t vpl011_peek(uint64_t *glance, uint64_t esr, uint64_t offset,
                     uint64_t value);
#define VPL011_POLLED ((uint64_t)1 << 32)
#define VPL011_UNSEEN (~(uint64_t)0)
/* In a glance that is not empty: UARTFR.RXFE. */
#define VPL011_GLANCE_EMPTY ((uint64_t)1 << 4)

/* The backend has moved its end of the ring. */
struct vpl011_outcome vpl011_ring_event(struct vpl011_state *state);

/*
 * A character for the guest, from a backend without a ring. It is lost when
 * the receive FIFO is full and 128 more wait.
 */
struct vpl011_outcome vpl011_receive(struct vpl011_state *state,
                                     uint8_t character);

/* A break on the line towards the guest. */
struct vpl011_outcome vpl011_break(struct vpl011_state *state);

/* Counters since vpl011_init(). */
struct vpl011_counters {
    uint64_t bytes_out; /* taken from the guest by the backend */
    uint64_t bytes_in;  /* given to the guest by the backend */
    uint64_t doorbells; /* requested */
    uint64_t resyncs;   /* after invalid indices */
    uint64_t dropped;   /* bytes the guest wrote past all storage */
    uint64_t overruns;  /* characters that overran the receive FIFO */
};
struct vpl011_counters vpl011_counters(struct vpl011_state *state);

/*
 * A device's state as bytes, of a layout that is versioned and fixed. These
 * two are in a library built with the feature `snapshot`; Xen's is not.
 */
#define VPL011_SNAPSHOT_SIZE 192
struct vpl011_snapshot {
    uint8_t bytes[VPL011_SNAPSHOT_SIZE];
};

/* Results of vpl011_save() and vpl011_restore(). */
#define VPL011_DONE           0
#define VPL011_NO_RING        1 /* only a device on a ring has a snapshot */
#define VPL011_NO_SNAPSHOT    2 /* not one, or of another kind of device */
#define VPL011_WRONG_VERSION  3 /* of an unknown layout */
#define VPL011_WRONG_FIELD    4 /* a value that no device ever has */

/*
 * Stores the state between two accesses in *to. The ring page is not part of
 * it: it is migrated with the guest's memory.
 */
uint8_t vpl011_save(struct vpl011_state *state, struct vpl011_snapshot *to);

/*
 * Makes *state the device that was saved, on the ring page (as for
 * vpl011_init()), and sets *pending to UARTMIS as it was then. That is the
 * line's level and no edge: the state of the guest's interrupt controller is
 * saved and restored separately. Any bytes are safe: unless the result is
 * VPL011_DONE, *state and *pending are unchanged.
 */
uint8_t vpl011_restore(struct vpl011_state *state, void *ring,
                       const struct vpl011_snapshot *from, uint16_t *pending);

/*
 * Called by the device, and provided by the caller: a defect of the device at
 * `file`, of `length` bytes and without a terminator. Does not return.
 */
void vpl011_panic(const char *file, size_t length, uint32_t line);

#endif /* VPL011_ABI_H */
