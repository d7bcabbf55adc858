/* Where keys are placed in a table: what `monitor.core.calls.key_placement.Placement` does with numpy. */
#ifndef CALLWARDEN_PLACEMENT_H
#define CALLWARDEN_PLACEMENT_H

#include "../../extension.h"

typedef struct {
    uint64_t first, second, third; /* `Placement.words` */
} Placement;

static inline int placement_of(const Py_buffer *words, Placement *placement)
{
    if (!column_of(words, 8, 3)) return 0;
    const uint64_t *word = words->buf;
    *placement = (Placement){word[0], word[1], word[2]};
    return 1;
}

/* All 64 bits of which the upper ones are the place; a key in a table of 2^bits is at `spread(...) >> (64 - bits)`. */
static inline uint64_t spread(const Placement *placement, uint64_t key)
{
    uint64_t mixed = key * placement->first;
    mixed ^= mixed >> 32;
    mixed *= placement->second;
    mixed ^= mixed >> 32;
    return mixed * placement->third;
}

#endif
