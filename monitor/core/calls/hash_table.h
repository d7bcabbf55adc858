/* A hash table with linear probing, of slots of any type: the table of `hash_table.py`. */
#ifndef CALLWARDEN_HASH_TABLE_H
#define CALLWARDEN_HASH_TABLE_H

#include "placement.h"

typedef struct {
    void *slots;
    uint64_t last; /* the number of slots, a power of two, minus 1 */
    int shift;
    Placement placement;
} HashTable;

/* The table of slots of `size` bytes; 0, with a ValueError, if it is none. */
static inline int hash_table_of(const Py_buffer *slots, Py_ssize_t size, const Py_buffer *words, HashTable *table)
{
    Placement placement;
    if (!items_of(slots, size) || !placement_of(words, &placement)) return 0;
    uint64_t count = (uint64_t)(slots->len / size);
    if (count < 2 || count & (count - 1)) return refused("expected a table with a power of two of slots");
    *table = (HashTable){slots->buf, count - 1, 64, placement};
    while (count >>= 1) table->shift--;
    return 1;
}

/* The slot at which the search for a key begins. */
static inline uint64_t home_slot(const HashTable *table, uint64_t key)
{
    return spread(&table->placement, key) >> table->shift;
}

#endif
