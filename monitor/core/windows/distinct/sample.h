/* The sample of keys of `key_counts.sampled`. */
#ifndef CALLWARDEN_SAMPLE_H
#define CALLWARDEN_SAMPLE_H

#include "../../../extension.h"
#include "../../calls/mix.h"

#define SAMPLE_SALT UINT64_C(0xD6E8FEB86659FD93)

/* Whether the sample at a level, at most 63, keeps the key. Keys that differ in the lowest `unit_bits` only are kept together. */
static inline int is_sampled(uint64_t key, int unit_bits, int level)
{
    return level == 0 || mix((key >> unit_bits) ^ SAMPLE_SALT) >> (64 - level) == 0;
}

/* Whether `is_sampled` may be asked with these; else 0, with a ValueError. */
static inline int sampling_of(int unit_bits, const uint8_t *levels, Py_ssize_t count)
{
    if (unit_bits < 0 || unit_bits > 63) return refused("the number of bits does not fit");
    for (Py_ssize_t at = 0; at < count; at++)
        if (levels[at] > 63) return refused("there is no such level");
    return 1;
}

#endif
