/* Changes distinct counts at a future end by new calls, one by one: what counting all keys of the tenants again would give
 * (`running_counts.py`).
 *
 * All memory is the caller's. Sizes, alignment and indices are checked before the first write. The GIL is released for
 * many calls.
 */
#include "../../../extension.h"
#include "key_table.h"
#include "sample.h"

#define PAIR_SALT UINT64_C(0xE7037ED1A0B428DB) /* `keys.pair_keys` */

/* ---- Calls and their keys ---------------------------------------------------------------------------------------- */

enum { CALLEES, CALLERS, BLOCKS, REACHED, CONSENTS, SETS }; /* `pane.KEY_SETS` */

typedef struct {
    const int32_t *tenant;
    const int64_t *end_ms;
    const uint64_t *word, *callee, *caller, *block, *consent;
    const uint8_t *numeric; /* of the callee */
    Py_ssize_t count;
    uint64_t attempt, answered; /* bits of the word */
    int set, block_bits;
} Calls;

typedef struct {
    uint64_t key, group;
    int numeric;
} Key;

/* The key of a call in the set, as `pane.keys_of_panes` has it; 0 if it has none. */
static inline int key_of(const Calls *calls, Py_ssize_t call, Key *one)
{
    uint64_t word = calls->word[call], of_answered = word & calls->answered;
    *one = (Key){calls->callee[call], 0, calls->numeric[call] != 0};
    switch (calls->set) {
    case CALLEES: return (word & calls->attempt) != 0;
    case REACHED: return of_answered != 0;
    case CALLERS: *one = (Key){calls->caller[call], 0, 0}; return (word & calls->attempt) != 0;
    case BLOCKS:
        *one = (Key){calls->block[call], calls->block[call] >> calls->block_bits, 1};
        return (word & calls->attempt) != 0 && one->key != 0;
    default:
        one->group = calls->consent[call];
        *one = (Key){mix(one->key ^ mix(one->group ^ PAIR_SALT)), one->group, 0};
        return of_answered != 0 && one->group != 0;
    }
}

/* ---- Counts of tenants ------------------------------------------------------------------------------------------- */

/* The counts of a tenant (`native_running.COLUMNS`); those by `key_table.h` follow. */
enum { ATTEMPTS, LARGEST, IN_BLOCKS, UNFINISHED, FIRST };

typedef struct {
    const int32_t *row; /* of each tenant, negative if it has no running counts */
    const uint8_t *level, *later;
    int64_t *counts; /* `[row, width]` */
    uint8_t *changed;
    const int32_t *limits;
    Py_ssize_t tenants, rows, limit_count, width;
    int sequences, by_group, unit_bits, block_least;
} Running;

/* The attempts of each key at the end, or the keys of each group (`then`), and those in the window now, for keys that are new. */
typedef struct {
    HashTable then, now;
    Py_ssize_t added;
} Table;

/* The slot of the key; one that is new has the attempts in the window now if these are `known`, else none, and `is_new` is set. */
static inline Slot *claimed(Table *table, uint64_t key, int32_t whose, int known, int *is_new)
{
    uint64_t at = slot_of(&table->then, key);
    Slot *slot = slot_at(&table->then, at);
    *is_new = is_free(&table->then, at);
    if (*is_new) {
        uint64_t now = slot_of(&table->now, key);
        *slot = (Slot){key, !known || is_free(&table->now, now) ? 0 : slot_at(&table->now, now)->count, whose};
        table->added++;
    }
    return slot;
}

/* Takes a call back that has entered the window, if its key is new: the window has counted it already. The count of such a key
 * is stored as its complement, which is negative, until `settle`: so the next calls with that key are taken back, too. */
static void take_back(Table *table, uint64_t key, int32_t whose, int known)
{
    int is_new;
    Slot *slot = claimed(table, key, whose, known, &is_new);
    if (is_new) slot->count = ~slot->count;
    if (slot->count < ~0) slot->count++; /* the complement of one attempt less */
}

/* Stores the count of a key as it is, and returns it; -1 if it was stored so. */
static inline int32_t settle(Table *table, uint64_t key)
{
    Slot *slot = slot_at(&table->then, slot_of(&table->then, key));
    if (slot->count >= 0) return -1;
    return slot->count = ~slot->count;
}

/* Counts a use of the key; returns how many there are then. */
static inline int32_t use(Table *table, uint64_t key, int32_t whose, int known)
{
    int is_new;
    return ++claimed(table, key, whose, known, &is_new)->count;
}

/* Whether the window has only keys of the tenant in its groups that are kept by the sample at the end. */
static inline int groups_known(const Running *running, int32_t tenant)
{
    return !running->later[running->row[tenant]];
}

/* Whether it is a number with attempts at the end, in the sample at that level. The window may have others now. */
static int is_present_then(const Table *table, uint64_t key, int unit_bits, int level)
{
    if (!is_sampled(key, unit_bits, level)) return 0;
    return is_free(&table->then, slot_of(&table->then, key)) ? is_present(&table->now, key) : is_present(&table->then, key);
}

static inline int64_t in_block(const Running *running, int32_t size)
{
    return size >= running->block_least ? size : 0;
}

static void count_group(Table *groups, const Running *running, const Key *one, int32_t whose, int64_t *own)
{
    int32_t size = use(groups, one->group, whose, groups_known(running, whose));
    if (size > own[LARGEST]) own[LARGEST] = size;
    own[IN_BLOCKS] += in_block(running, size) - in_block(running, size - 1);
    if (size < running->block_least && size > own[UNFINISHED]) own[UNFINISHED] = size;
}

static void count_key(Table *keys, Table *groups, const Running *running, const Key *one, int32_t tenant, int64_t *own)
{
    int unit_bits = running->unit_bits, level = running->level[running->row[tenant]];
    int32_t whose = one->numeric ? tenant : ~tenant, times = use(keys, one->key, whose, 1);
    if (times == 1) {
        own[FIRST + DISTINCT]++;
        own[FIRST + NUMBERS] += one->numeric;
        if (one->numeric && running->sequences)
            own[FIRST + SEQUENTIAL] += is_present_then(keys, one->key - 1, unit_bits, level)
                                     + is_present_then(keys, one->key + 1, unit_bits, level);
        if (running->by_group) count_group(groups, running, one, tenant, own);
    }
    for (Py_ssize_t limit = 0; limit < running->limit_count; limit++)
        own[FIRST + SEQUENTIAL + 1 + limit] += step_of(times - 1, times, running->limits[limit]);
    if (!running->by_group && times > own[LARGEST]) own[LARGEST] = times;
}

/* ---- Calls, one by one ------------------------------------------------------------------------------------------- */

static inline int has_counts(const Running *running, int32_t tenant)
{
    return tenant >= 0 && tenant < running->tenants && running->row[tenant] >= 0;
}

/* The key of a call of a tenant with running counts that ends in `[from_ms, to_ms)`, if it is sampled; 0 if it has none. */
static inline int counted_key_of(const Calls *calls, const Running *running, Py_ssize_t call, int64_t from_ms, int64_t to_ms, Key *one)
{
    int32_t tenant = calls->tenant[call];
    if (!has_counts(running, tenant) || calls->end_ms[call] < from_ms || calls->end_ms[call] >= to_ms) return 0;
    return key_of(calls, call, one) && is_sampled(one->key, running->unit_bits, running->level[running->row[tenant]]);
}

/* Adds the keys of the calls that have entered the window, as they were without these calls; then the groups of those that
 * these calls have brought. */
static void add_entered(const Calls *calls, const Running *running, Table *keys, Table *groups, int64_t from_ms, int64_t to_ms)
{
    Key one;
    for (Py_ssize_t call = 0; call < calls->count; call++)
        if (counted_key_of(calls, running, call, from_ms, to_ms, &one))
            take_back(keys, one.key, one.numeric ? calls->tenant[call] : ~calls->tenant[call], 1);
    for (Py_ssize_t call = 0; call < calls->count; call++)
        if (counted_key_of(calls, running, call, from_ms, to_ms, &one) && settle(keys, one.key) == 0 && running->by_group)
            take_back(groups, one.group, calls->tenant[call], groups_known(running, calls->tenant[call]));
    for (Py_ssize_t call = 0; running->by_group && call < calls->count; call++)
        if (counted_key_of(calls, running, call, from_ms, to_ms, &one) && !is_free(&groups->then, slot_of(&groups->then, one.group)))
            settle(groups, one.group);
}

static void count_calls(const Calls *calls, const Running *running, Table *keys, Table *groups, int64_t from_ms, int64_t to_ms)
{
    for (Py_ssize_t call = 0; call < calls->count; call++) {
        int32_t tenant = calls->tenant[call];
        Key one;
        if (!has_counts(running, tenant) || calls->end_ms[call] < from_ms || calls->end_ms[call] >= to_ms) continue;
        int64_t *own = running->counts + running->row[tenant] * running->width;
        own[ATTEMPTS] += (calls->word[call] & calls->attempt) != 0;
        running->changed[running->row[tenant]] = 1;
        if (counted_key_of(calls, running, call, from_ms, to_ms, &one)) count_key(keys, groups, running, &one, tenant, own);
    }
}

/* ---- The call ---------------------------------------------------------------------------------------------------- */

enum { TENANT, END, WORD, CALLEE, NUMERIC, CALLER, BLOCK, CONSENT, ROW, LEVEL, LATER, COUNTS, CHANGED, LIMITS, THEN, THEN_WORDS, NOW,
       NOW_WORDS, GROUPS, GROUPS_WORDS, GROUPS_NOW, GROUPS_NOW_WORDS, BUFFERS };

static int calls_of(const Py_buffer *of, Calls *calls)
{
    Py_ssize_t count = calls->count = of[TENANT].len / 4;
    calls->tenant = of[TENANT].buf;
    calls->end_ms = of[END].buf;
    calls->word = of[WORD].buf;
    calls->callee = of[CALLEE].buf;
    calls->numeric = of[NUMERIC].buf;
    calls->caller = of[CALLER].buf;
    calls->block = of[BLOCK].buf;
    calls->consent = of[CONSENT].buf;
    if (calls->set < 0 || calls->set >= SETS) return refused("there is no such set of keys");
    if (calls->block_bits < 0 || calls->block_bits > 63) return refused("the number of bits does not fit");
    return column_of(&of[TENANT], 4, count) && column_of(&of[END], 8, count) && column_of(&of[WORD], 8, count)
           && column_of(&of[CALLEE], 8, count) && column_of(&of[NUMERIC], 1, count) && column_of(&of[CALLER], 8, count)
           && column_of(&of[BLOCK], 8, count) && column_of(&of[CONSENT], 8, count);
}

static int running_of(const Py_buffer *of, Running *running)
{
    Py_ssize_t rows = running->rows = of[LEVEL].len;
    running->row = of[ROW].buf;
    running->level = of[LEVEL].buf;
    running->later = of[LATER].buf;
    running->counts = of[COUNTS].buf;
    running->changed = of[CHANGED].buf;
    running->limits = of[LIMITS].buf;
    running->tenants = of[ROW].len / 4;
    running->limit_count = of[LIMITS].len / 4;
    running->width = FIRST + SEQUENTIAL + 1 + running->limit_count;
    if (!column_of(&of[ROW], 4, running->tenants) || !column_of(&of[LEVEL], 1, rows) || !column_of(&of[LATER], 1, rows)
        || !column_of(&of[CHANGED], 1, rows) || !column_of(&of[LIMITS], 4, running->limit_count)
        || !column_of(&of[COUNTS], 8, rows * running->width))
        return 0;
    for (Py_ssize_t tenant = 0; tenant < running->tenants; tenant++)
        if (running->row[tenant] >= rows) return refused("there is no such row of counts");
    return sampling_of(running->unit_bits, running->level, rows);
}

/* How many of the calls may add a key. */
static Py_ssize_t counted(const Calls *calls, const Running *running)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t call = 0; call < calls->count; call++) found += has_counts(running, calls->tenant[call]);
    return found;
}

/* The tables whose slots are the buffers from `first` on. `room` is that of the one that is written, to which `keys` may be
 * added. */
static int tables_of(const Py_buffer *of, int first, Py_ssize_t room, Py_ssize_t keys, Table *table)
{
    if (room < keys) return refused("there is no room for that many keys");
    return table_of(&of[first], &of[first + 1], &table->then) && table_of(&of[first + 2], &of[first + 3], &table->now);
}

/* add(set, calls, bits, running, kind, span, keys, groups) -> (new keys, new groups): change the counts of tenants by their
 * calls that end in `span`: from its first ms on, before its second; those before its third have entered the window. `keys` and
 * `groups` are the table that is changed, its room, and that of the window. */
static PyObject *add(PyObject *module, PyObject *args)
{
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *done = NULL;
    Calls calls = {0};
    Running running = {0};
    Table keys = {0}, groups = {0};
    unsigned long long attempt, answered;
    long long from_ms, to_ms, entered_ms;
    Py_ssize_t room, groups_room;
    (void)module;
    if (!PyArg_ParseTuple(args, "i(y*y*y*y*y*y*y*y*)(KK)(y*y*y*w*w*)(y*ppiii)(LLL)(w*y*ny*y*)(w*y*ny*y*)", &calls.set, &of[TENANT],
                          &of[END], &of[WORD], &of[CALLEE], &of[NUMERIC], &of[CALLER], &of[BLOCK], &of[CONSENT], &attempt,
                          &answered, &of[ROW], &of[LEVEL], &of[LATER], &of[COUNTS], &of[CHANGED], &of[LIMITS], &running.sequences,
                          &running.by_group, &running.unit_bits, &calls.block_bits, &running.block_least, &from_ms, &to_ms,
                          &entered_ms, &of[THEN], &of[THEN_WORDS], &room, &of[NOW], &of[NOW_WORDS], &of[GROUPS],
                          &of[GROUPS_WORDS], &groups_room, &of[GROUPS_NOW], &of[GROUPS_NOW_WORDS]))
        return NULL;
    calls.attempt = attempt;
    calls.answered = answered;
    if (calls_of(of, &calls) && running_of(of, &running) && tables_of(of, THEN, room, counted(&calls, &running), &keys)
        && tables_of(of, GROUPS, groups_room, running.by_group ? counted(&calls, &running) : 0, &groups)) {
        PyThreadState *thread = calls.count > MANY_ROWS ? PyEval_SaveThread() : NULL;
        add_entered(&calls, &running, &keys, &groups, from_ms, entered_ms < to_ms ? entered_ms : to_ms);
        count_calls(&calls, &running, &keys, &groups, from_ms, to_ms);
        if (thread) PyEval_RestoreThread(thread);
        done = Py_BuildValue("(nn)", keys.added, groups.added);
    }
    all_released(of, BUFFERS);
    return done;
}

static PyMethodDef METHODS[] = {{"add", add, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_running, METHODS, 3)
