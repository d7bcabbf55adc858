/* Counts keys at a future end of a window: what `DistinctCounts.ahead` does with numpy, in one pass over the keys that
 * come and leave until then, without a copy of them.
 *
 * Each key and each group gets a place in a table of this call. Its size is that of what the caller holds in memory
 * already, and where a key lies in it is as secret as in the tables of windows. All other memory is the caller's. Sizes,
 * alignment and indices are checked before they are used. The GIL is released while many keys are taken, and for the
 * counts.
 */
#include "../../../extension.h"
#include "key_table.h"
#include "sample.h"
#include <stdlib.h>

#define SMALLEST_BITS 8

/* ---- The keys that come and leave, each once ------------------------------------------------------------------- */

typedef struct {
    uint64_t key, group;
    int32_t place; /* of the tenant */
    int32_t change, before;
    uint8_t numeric;
} Key;

/* Keys in the order in which they came, and where each is: a table with linear probing, at most half full. */
typedef struct {
    Key *keys;
    uint32_t *at; /* the number of a key, from 1 on; 0 is free */
    uint64_t count, room, last;
    int shift;
    Placement placement;
} Keys;

static inline uint64_t home_of(const Keys *keys, uint64_t key)
{
    return spread(&keys->placement, key) >> keys->shift;
}

static int reserve(Keys *keys, int bits)
{
    uint64_t size = UINT64_C(1) << bits;
    uint32_t *at = calloc(size, sizeof *at);
    Key *room = at ? realloc(keys->keys, size / 2 * sizeof *room) : NULL;
    if (!room) {
        free(at);
        return 0;
    }
    free(keys->at);
    *keys = (Keys){room, at, keys->count, size / 2, size - 1, 64 - bits, keys->placement};
    for (uint64_t number = 0; number < keys->count; number++) {
        uint64_t home = home_of(keys, room[number].key);
        while (at[home]) home = (home + 1) & keys->last;
        at[home] = (uint32_t)number + 1;
    }
    return 1;
}

static void release(Keys *keys)
{
    free(keys->keys);
    free(keys->at);
}

/* The key, or NULL if it is not among them; then `free_at` is where it would be. */
static inline Key *known(const Keys *keys, uint64_t key, uint64_t *free_at)
{
    uint64_t at = home_of(keys, key);
    for (; keys->at[at]; at = (at + 1) & keys->last) {
        Key *one = &keys->keys[keys->at[at] - 1];
        if (one->key == key) return one;
    }
    *free_at = at;
    return NULL;
}

/* Adds to the change of a key; the first time also what it is. Returns 0 if there is no memory. */
static inline int add(Keys *keys, Key one)
{
    uint64_t free_at;
    Key *before = known(keys, one.key, &free_at);
    if (before) {
        before->change = (int32_t)((uint32_t)before->change + (uint32_t)one.change);
        return 1;
    }
    if (keys->count == keys->room) {
        if (keys->room > UINT32_MAX / 4 || !reserve(keys, 64 - keys->shift + 1)) return 0;
        known(keys, one.key, &free_at);
    }
    keys->keys[keys->count++] = one;
    keys->at[free_at] = (uint32_t)keys->count;
    return 1;
}

/* ---- Pieces: columns of keys ------------------------------------------------------------------------------------ */

enum { KEY, TENANT, COUNT, NUMERIC, GROUP, ORDER, IN_ORDER, COLUMNS }; /* `native_ahead._piece`, and what the keys do: */
enum { COME, LEAVE, LEAVE_SAMPLE, CHANGES };

typedef struct {
    Py_buffer of[COLUMNS];
    Py_ssize_t rows;
    int is_ordered, change;
} Piece;

/* The tenants whose keys are counted, ascending, each at a sampling level, and the place of each tenant among them, negative for
 * others. */
typedef struct {
    const int64_t *who;
    const uint8_t *level;
    const int32_t *place;
    Py_ssize_t count, tenants;
    int unit_bits;
} Tenants;

/* The columns of a piece. They have to be released, also after an error. */
static int piece_of(PyObject *given, Piece *piece)
{
    Py_buffer *of = piece->of;
    if (!PyTuple_Check(given)) return refused("expected a tuple of columns");
    if (!PyArg_ParseTuple(given, "y*y*y*y*y*z*z*i", &of[KEY], &of[TENANT], &of[COUNT], &of[NUMERIC], &of[GROUP], &of[ORDER],
                          &of[IN_ORDER], &piece->change))
        return 0;
    Py_ssize_t rows = piece->rows = of[KEY].len / 8;
    if (piece->change < COME || piece->change >= CHANGES) return refused("there is no such change");
    piece->is_ordered = of[ORDER].obj != NULL && of[IN_ORDER].obj != NULL;
    return column_of(&of[KEY], 8, rows) && column_of(&of[TENANT], 4, rows) && column_of(&of[COUNT], 4, rows)
           && column_of(&of[NUMERIC], 1, rows) && column_of(&of[GROUP], 8, of[GROUP].len ? rows : 0)
           && (!piece->is_ordered || (column_of(&of[ORDER], 4, rows) && column_of(&of[IN_ORDER], 4, rows)));
}

/* Adds the key of a row if its tenant has a place, unless its sample never had it. Returns 0 if there is no memory. */
static inline int take_row(const Piece *piece, Py_ssize_t row, const Tenants *tenants, int group_bits, Keys *keys)
{
    int32_t tenant = ((const int32_t *)piece->of[TENANT].buf)[row];
    if (tenant < 0 || tenant >= tenants->tenants || tenants->place[tenant] < 0) return 1;
    uint64_t key = ((const uint64_t *)piece->of[KEY].buf)[row];
    if (piece->change != LEAVE_SAMPLE && !is_sampled(key, tenants->unit_bits, tenants->level[tenants->place[tenant]])) return 1;
    uint64_t group = piece->of[GROUP].len ? ((const uint64_t *)piece->of[GROUP].buf)[row] : key >> group_bits;
    int32_t count = ((const int32_t *)piece->of[COUNT].buf)[row], change = piece->change == COME ? count : (int32_t)(0u - (uint32_t)count);
    int numeric = ((const uint8_t *)piece->of[NUMERIC].buf)[row] != 0;
    return add(keys, (Key){key, group, tenants->place[tenant], change, 0, numeric});
}

/* The first of these ascending tenants that is not below `tenant`. */
static Py_ssize_t first_from(const int32_t *ascending, Py_ssize_t count, int64_t tenant)
{
    Py_ssize_t first = 0;
    for (Py_ssize_t left = count; left > 0;) {
        Py_ssize_t half = left / 2;
        if (ascending[first + half] < tenant) {
            first += half + 1;
            left -= half + 1;
        } else {
            left = half;
        }
    }
    return first;
}

/* What a step may find, besides an exception. */
enum { TAKEN, COUNTED = TAKEN, LARGEST_UNKNOWN, NO_MEMORY, NO_ROW };

/* Adds the keys of the tenants. Rows in the order of tenants are checked one by one: only few of them are read. */
static int take(const Piece *piece, const Tenants *tenants, int group_bits, Keys *keys)
{
    const int32_t *order = piece->of[ORDER].buf, *in_order = piece->of[IN_ORDER].buf;
    if (!piece->is_ordered) {
        for (Py_ssize_t row = 0; row < piece->rows; row++)
            if (!take_row(piece, row, tenants, group_bits, keys)) return NO_MEMORY;
        return TAKEN;
    }
    for (Py_ssize_t one = 0; one < tenants->count; one++) {
        int64_t tenant = tenants->who[one];
        for (Py_ssize_t at = first_from(in_order, piece->rows, tenant); at < piece->rows && in_order[at] == tenant; at++) {
            if (order[at] < 0 || order[at] >= piece->rows) return NO_ROW;
            if (!take_row(piece, order[at], tenants, group_bits, keys)) return NO_MEMORY;
        }
    }
    return TAKEN;
}

/* Adds the keys of all pieces. Returns 0 with an exception. */
static int take_all(PyObject *pieces, const Tenants *tenants, int group_bits, Keys *keys)
{
    if (!PyList_Check(pieces)) return refused("expected a list of pieces");
    int taken = 1;
    for (Py_ssize_t at = 0; taken && at < PyList_Size(pieces); at++) {
        Piece piece = {0};
        taken = piece_of(PyList_GetItem(pieces, at), &piece);
        if (taken) {
            PyThreadState *thread = piece.rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
            int found = take(&piece, tenants, group_bits, keys);
            if (thread) PyEval_RestoreThread(thread);
            if (found == NO_MEMORY) PyErr_NoMemory();
            if (found == NO_ROW) refused("there is no such row");
            taken = found == TAKEN;
        }
        all_released(piece.of, COLUMNS);
    }
    return taken;
}

/* ---- Counts ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t *counts; /* `[what, k]`, as `DistinctCounts._counts` */
    const int32_t *limits;
    Py_ssize_t tenants, limit_count;
    int sequences;
    const int64_t *largest_now; /* `[k]`, or NULL */
    int64_t *largest, *in_blocks, *unfinished;
    int32_t block_least;
} Counts;

static inline int32_t after_of(const Key *one)
{
    return (int32_t)((uint32_t)one->before + (uint32_t)one->change);
}

/* 1 for a number that enters, -1 for one that leaves, else 0. */
static inline int number_step(const Key *one)
{
    return one->numeric ? step_of(one->before, after_of(one), 0) : 0;
}

/* As in `_keys.c`: the change in the number of pairs of neighbours. A pair that moves counts at its second. */
static int pairs_step(const HashTable *table, const Keys *keys, uint64_t key, int step)
{
    uint64_t unused;
    const Key *previous = known(keys, key - 1, &unused), *next = known(keys, key + 1, &unused);
    int had_previous = is_present(table, key - 1), has_previous = had_previous;
    int moved = previous ? number_step(previous) : 0;
    if (moved) has_previous = moved > 0;
    int has_next = next && number_step(next) ? 0 : is_present(table, key + 1);
    return (step > 0 ? has_previous : -had_previous) + step * has_next;
}

/* Looks up the attempts of each key. */
static void look_up(const HashTable *table, const Keys *keys)
{
    for (uint64_t number = 0; number < keys->count; number++) {
        if (number + AHEAD < keys->count) fetch(table, keys->keys[number + AHEAD].key);
        uint64_t at = slot_of(table, keys->keys[number].key);
        keys->keys[number].before = is_free(table, at) ? 0 : slot_at(table, at)->count;
    }
}

static void count_key(const HashTable *table, const Keys *keys, const Key *one, const Counts *counts)
{
    int64_t *own = counts->counts + one->place;
    int32_t after = after_of(one);
    int number = number_step(one);
    own[DISTINCT * counts->tenants] += step_of(one->before, after, 0);
    own[NUMBERS * counts->tenants] += number;
    if (counts->sequences && number) own[SEQUENTIAL * counts->tenants] += pairs_step(table, keys, one->key, number);
    for (Py_ssize_t limit = 0; limit < counts->limit_count; limit++)
        own[(SEQUENTIAL + 1 + limit) * counts->tenants] += step_of(one->before, after, counts->limits[limit]);
}

/* Raises the largest count of a tenant. Returns 0 if one that may be the largest becomes less. */
static inline int raise_largest(const Counts *counts, const Key *one)
{
    int32_t after = after_of(one);
    if (after < one->before && one->before >= counts->largest_now[one->place]) return 0;
    if (after > counts->largest[one->place]) counts->largest[one->place] = after;
    return 1;
}

static inline int64_t in_block(const Counts *counts, int32_t size)
{
    return size >= counts->block_least ? size : 0;
}

static void count_block(const Counts *counts, const Key *group)
{
    int32_t after = after_of(group);
    counts->in_blocks[group->place] += in_block(counts, after) - in_block(counts, group->before);
    if (after < counts->block_least && after > counts->unfinished[group->place]) counts->unfinished[group->place] = after;
}

/* Counts how many keys of each group come and leave, and the groups. */
static int count_groups(const HashTable *groups, const Keys *keys, const Counts *counts)
{
    Keys moved = {.placement = keys->placement};
    int found = reserve(&moved, SMALLEST_BITS) ? COUNTED : NO_MEMORY;
    for (uint64_t number = 0; found == COUNTED && number < keys->count; number++) {
        const Key *one = &keys->keys[number];
        int step = step_of(one->before, after_of(one), 0);
        if (step && !add(&moved, (Key){one->group, 0, one->place, step, 0, 0})) found = NO_MEMORY;
    }
    look_up(groups, &moved);
    for (uint64_t number = 0; found == COUNTED && number < moved.count; number++) {
        const Key *group = &moved.keys[number];
        if (group->change == 0) continue;
        if (counts->in_blocks) count_block(counts, group);
        if (counts->largest && !raise_largest(counts, group)) found = LARGEST_UNKNOWN;
    }
    release(&moved);
    return found;
}

static int count_all(const HashTable *table, const HashTable *groups, const Keys *keys, const Counts *counts)
{
    look_up(table, keys);
    for (uint64_t number = 0; number < keys->count; number++) {
        const Key *one = &keys->keys[number];
        if (counts->sequences && number + AHEAD < keys->count) {
            fetch(table, keys->keys[number + AHEAD].key - 1);
            fetch(table, keys->keys[number + AHEAD].key + 1);
        }
        count_key(table, keys, one, counts);
        if (!groups && counts->largest && !raise_largest(counts, one)) return LARGEST_UNKNOWN;
    }
    return groups ? count_groups(groups, keys, counts) : COUNTED;
}

/* ---- The call ---------------------------------------------------------------------------------------------------- */

enum { WHO, LEVEL, PLACE, SLOTS, WORDS, GROUP_SLOTS, LIMITS, COUNTS, LARGEST_NOW, LARGEST, IN_BLOCKS, BUFFERS };

static int places_below(const Tenants *tenants)
{
    for (Py_ssize_t at = 0; at < tenants->tenants; at++)
        if (tenants->place[at] >= tenants->count) return refused("there is no such place");
    return 1;
}

/* The counts of `k` tenants, if the columns fit. Columns without items are not wanted. */
static int counts_of(const Py_buffer *of, Py_ssize_t k, Counts *counts)
{
    counts->limit_count = of[LIMITS].len / 4;
    counts->tenants = k;
    if (!column_of(&of[LIMITS], 4, counts->limit_count) || !column_of(&of[COUNTS], 8, (SEQUENTIAL + 1 + counts->limit_count) * k)
        || !column_of(&of[LARGEST], 8, of[LARGEST].len ? k : 0) || !column_of(&of[LARGEST_NOW], 8, of[LARGEST].len ? k : 0)
        || !column_of(&of[IN_BLOCKS], 8, of[IN_BLOCKS].len ? 2 * k : 0))
        return 0;
    counts->counts = of[COUNTS].buf;
    counts->limits = of[LIMITS].buf;
    counts->largest_now = of[LARGEST_NOW].buf;
    counts->largest = of[LARGEST].len ? of[LARGEST].buf : NULL;
    counts->in_blocks = of[IN_BLOCKS].len ? of[IN_BLOCKS].buf : NULL;
    counts->unfinished = counts->in_blocks ? counts->in_blocks + k : NULL;
    return 1;
}

/* ahead(pieces, group_bits, block_least, sequences, who, level, unit_bits, place, slots, words, group_slots, limits, counts,
 * largest_now, largest, in_blocks) -> whether all is counted; False if a largest count that becomes less is not known.
 *
 * `who` `[k]` are the tenants, ascending, `level` the sampling level of each, and `place` the place of each tenant among them,
 * negative for others. Keys that the samples leave out are counted only if they leave for that. Adds to `counts`,
 * `[what, k]`, and to the first row of `in_blocks`, `[2, k]`; raises its second, the most keys of a group that is no block, and
 * `largest`, `[k]`, which is `largest_now` before. Without `group_slots`, keys are not counted by group. */
static PyObject *ahead(PyObject *module, PyObject *args)
{
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *pieces, *done = NULL;
    int group_bits, block_least, unit_bits;
    HashTable table, groups;
    Counts counts = {0};
    Keys keys = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "Oiipy*y*iy*y*y*z*y*w*y*w*w*", &pieces, &group_bits, &block_least, &counts.sequences, &of[WHO],
                          &of[LEVEL], &unit_bits, &of[PLACE], &of[SLOTS], &of[WORDS], &of[GROUP_SLOTS], &of[LIMITS], &of[COUNTS],
                          &of[LARGEST_NOW], &of[LARGEST], &of[IN_BLOCKS]))
        return NULL;
    int by_group = of[GROUP_SLOTS].obj != NULL;
    Tenants tenants = {of[WHO].buf, of[LEVEL].buf, of[PLACE].buf, of[WHO].len / 8, of[PLACE].len / 4, unit_bits};
    counts.block_least = block_least;
    if (group_bits < 0 || group_bits > 63) {
        refused("the number of bits does not fit");
    } else if (table_of(&of[SLOTS], &of[WORDS], &table) && (!by_group || table_of(&of[GROUP_SLOTS], &of[WORDS], &groups))
               && column_of(&of[WHO], 8, tenants.count) && column_of(&of[LEVEL], 1, tenants.count)
               && sampling_of(unit_bits, tenants.level, tenants.count) && column_of(&of[PLACE], 4, tenants.tenants)
               && places_below(&tenants) && counts_of(of, tenants.count, &counts)) {
        keys.placement = table.placement;
        if (!reserve(&keys, SMALLEST_BITS)) {
            PyErr_NoMemory();
        } else if (take_all(pieces, &tenants, group_bits, &keys)) {
            PyThreadState *thread = keys.count > MANY_ROWS ? PyEval_SaveThread() : NULL;
            int found = count_all(&table, by_group ? &groups : NULL, &keys, &counts);
            if (thread) PyEval_RestoreThread(thread);
            done = found == NO_MEMORY ? PyErr_NoMemory() : PyBool_FromLong(found == COUNTED);
        }
    }
    release(&keys);
    all_released(of, BUFFERS);
    return done;
}

static PyMethodDef METHODS[] = {{"ahead", ahead, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_ahead, METHODS, 3)
