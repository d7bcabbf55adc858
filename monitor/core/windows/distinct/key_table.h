/* The table of keys of `key_table.py`: a hash table with linear probing. */
#ifndef CALLWARDEN_KEY_TABLE_H
#define CALLWARDEN_KEY_TABLE_H

#include "../../../extension.h"
#include "../../calls/placement.h"

#define FREE_SLOT INT32_MIN /* `key_table._FREE` */

enum { DISTINCT, NUMBERS, SEQUENTIAL }; /* rows of the counts, `distinct_counts`; one row per limit follows */

typedef struct {
    uint64_t key;
    int32_t count, whose;
} Slot; /* `key_table._SLOT` */

typedef struct {
    Slot *slots;
    uint64_t last; /* the number of slots, a power of two, minus 1 */
    int shift;
    Placement placement;
} Table;

static inline int table_of(const Py_buffer *slots, const Py_buffer *words, Table *table)
{
    int bits = table_bits(slots, sizeof(Slot));
    Placement placement;
    if (!bits || !placement_of(words, &placement)) return 0;
    *table = (Table){slots->buf, (UINT64_C(1) << bits) - 1, 64 - bits, placement};
    return 1;
}

/* The slot of a key, or the free one where it would be. At least one slot is free: the caller keeps a quarter of them so. */
static inline uint64_t slot_of(const Table *table, uint64_t key)
{
    uint64_t at = spread(&table->placement, key) >> table->shift;
    for (uint64_t visited = 0; visited <= table->last; visited++) {
        const Slot *slot = &table->slots[at];
        if (slot->whose == FREE_SLOT || slot->key == key) break;
        at = (at + 1) & table->last;
    }
    return at;
}

static inline int is_free(const Table *table, uint64_t at)
{
    return table->slots[at].whose == FREE_SLOT;
}

/* Whether it is a number with attempts. */
static inline int is_present(const Table *table, uint64_t key)
{
    const Slot *slot = &table->slots[slot_of(table, key)];
    return slot->whose >= 0 && slot->count > 0;
}

/* The change of a count of keys with more attempts than `limit`. */
static inline int step_of(int32_t before, int32_t after, int32_t limit)
{
    return (after > limit) - (before > limit);
}

#endif
