/* The table of keys of `key_table.py`. */
#ifndef CALLWARDEN_KEY_TABLE_H
#define CALLWARDEN_KEY_TABLE_H

#include "../../../extension.h"
#include "../../calls/hash_table.h"

#define FREE_SLOT INT32_MIN /* `key_table._FREE` */

enum { DISTINCT, NUMBERS, SEQUENTIAL }; /* rows of the counts, `distinct_counts`; one row per limit follows */

typedef struct {
    uint64_t key;
    int32_t count, whose;
} Slot; /* `key_table._SLOT` */

static inline int table_of(const Py_buffer *slots, const Py_buffer *words, HashTable *table)
{
    return hash_table_of(slots, sizeof(Slot), words, table);
}

static inline Slot *slot_at(const HashTable *table, uint64_t at)
{
    return (Slot *)table->slots + at;
}

#define AHEAD 16 /* keys whose slots are fetched into the cache before their turn: a table is larger than the cache */

static inline void fetch(const HashTable *table, uint64_t key)
{
    FETCH(slot_at(table, home_slot(table, key)));
}

/* The slot of a key from `at` on, or the free one where it would be. At least one slot is free: the caller keeps a quarter
 * of them so. */
static inline uint64_t slot_from(const HashTable *table, uint64_t at, uint64_t key)
{
    for (uint64_t visited = 0; visited <= table->last; visited++) {
        const Slot *slot = slot_at(table, at);
        if (slot->whose == FREE_SLOT || slot->key == key) break;
        at = (at + 1) & table->last;
    }
    return at;
}

static inline uint64_t slot_of(const HashTable *table, uint64_t key)
{
    return slot_from(table, home_slot(table, key), key);
}

static inline int is_free(const HashTable *table, uint64_t at)
{
    return slot_at(table, at)->whose == FREE_SLOT;
}

/* Whether it is a number with attempts. */
static inline int is_present(const HashTable *table, uint64_t key)
{
    const Slot *slot = slot_at(table, slot_of(table, key));
    return slot->whose >= 0 && slot->count > 0;
}

/* The change of a count of keys with more attempts than `limit`. */
static inline int step_of(int32_t before, int32_t after, int32_t limit)
{
    return (after > limit) - (before > limit);
}

#endif
