/* What a gateway and its kernel-host say to each other over a socket pair: frames, and the fields in
 * them. Bytes in, frames out; no I/O. Both sides are built from this file; the version in the first
 * frame makes sure.
 *
 *     frame   = length:u32 type:u8 zero:u8 call:u16 payload[length]      all numbers little-endian
 *     text    = length:u32 bytes
 *
 *     gateway -> host                              host -> gateway
 *     HELLO   version, file, options, folder,      READY   version, capabilities, name, version
 *             memory, threads                      REFUSED message            (then it ends)
 *     REQUEST see kernel_frame_request             PIECE   the bytes of a piece, nothing else
 *     EMBED   text, dimensions, deadline           VECTOR  its numbers, as the machine has them
 *     CANCEL                                       DONE    status, result, error
 *
 * `call` ties PIECE, VECTOR, DONE and CANCEL to their REQUEST or EMBED; it is 0 in the others. A
 * VECTOR comes before its DONE, and only where that says EK_OK. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernel_abi.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum {
    KERNEL_FRAME_VERSION = 2,
    KERNEL_FRAME_HEAD_BYTES = 8,
    KERNEL_FRAME_TO_HOST_MAX = 64 * 1024 * 1024, /* a request: twice the largest body, and heads */
    KERNEL_FRAME_TO_GATEWAY_MAX = 64 * 1024,     /* the host cuts longer pieces */
    KERNEL_FRAME_MESSAGES_MAX = 10000,
    KERNEL_FRAME_STOPS_MAX = 16,
};

enum kernel_frame_type {
    KERNEL_FRAME_HELLO = 1,
    KERNEL_FRAME_REQUEST,
    KERNEL_FRAME_CANCEL,
    KERNEL_FRAME_READY,
    KERNEL_FRAME_REFUSED,
    KERNEL_FRAME_PIECE,
    KERNEL_FRAME_DONE,
    KERNEL_FRAME_EMBED,
    KERNEL_FRAME_VECTOR,
};

struct kernel_frame {
    enum kernel_frame_type type;
    uint16_t call;
    struct str payload; /* borrowed from the buffer */
};

/* The frame at the start of the bytes and how many bytes it takes. ST_NOT_FOUND: not all of it is
 * there. ST_INVALID: no such type, or longer than max; nothing can follow. */
MUST_CHECK enum status kernel_frame_read(struct str bytes, size_t max,
                                         struct kernel_frame *ret_frame, size_t *ret_len);

/* Starts a frame in `out`; kernel_frame_end fills in its length. Fields go between them. */
MUST_CHECK enum status kernel_frame_begin(struct buf *out, enum kernel_frame_type type,
                                          uint16_t call, size_t *ret_mark);
MUST_CHECK enum status kernel_frame_end(struct buf *out, size_t mark);

struct kernel_hello {
    uint32_t version;
    uint32_t threads;
    uint64_t memory_bytes; /* 0: no limit */
    struct str file;
    struct str options;
    struct str folder;
};

struct kernel_ready {
    uint32_t version;
    uint32_t capabilities;
    struct str name;
    struct str kernel_version;
};

/* Writers append one whole frame: ST_NO_MEMORY, ST_TOO_BIG. Readers take a payload, whose bytes they
 * borrow: ST_INVALID for anything that is not exactly it. */
MUST_CHECK enum status kernel_frame_write_hello(struct buf *out, const struct kernel_hello *hello);
MUST_CHECK enum status kernel_frame_read_hello(struct str payload, struct kernel_hello *ret_hello);

MUST_CHECK enum status kernel_frame_write_ready(struct buf *out, const struct kernel_ready *ready);
MUST_CHECK enum status kernel_frame_read_ready(struct str payload, struct kernel_ready *ret_ready);

MUST_CHECK enum status kernel_frame_write_request(struct buf *out, uint16_t call,
                                                  const struct ek_request *request);
/* Arrays go to the arena. ST_NO_MEMORY too. */
MUST_CHECK enum status kernel_frame_read_request(struct str payload, struct arena *arena,
                                                 struct ek_request *ret_request);

/* CANCEL (empty), REFUSED, PIECE and VECTOR (bytes). */
MUST_CHECK enum status kernel_frame_write(struct buf *out, enum kernel_frame_type type,
                                          uint16_t call, struct str payload);

struct kernel_asked { /* of a vector */
    struct str text;
    uint64_t dimensions; /* 0: the kernel's own */
    uint64_t deadline_ns;
};

MUST_CHECK enum status kernel_frame_write_asked(struct buf *out, uint16_t call,
                                                const struct kernel_asked *asked);
MUST_CHECK enum status kernel_frame_read_asked(struct str payload, struct kernel_asked *ret_asked);

/* Copies the numbers out. ST_INVALID: there are none, or more than `max`. */
MUST_CHECK enum status kernel_frame_read_vector(struct str payload, float *ret_values, size_t max,
                                                size_t *ret_width);

struct kernel_done {
    enum ek_status status;
    struct ek_result result;
    struct ek_error error;
};

MUST_CHECK enum status kernel_frame_write_done(struct buf *out, uint16_t call,
                                               const struct kernel_done *done);
MUST_CHECK enum status kernel_frame_read_done(struct str payload, struct kernel_done *ret_done);
