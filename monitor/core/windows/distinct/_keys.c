/* Finds keys in a hash table and changes the counts of their tenants: what `key_table.py` and `distinct_counts.py` do
 * with numpy, in one pass. With thin traffic a pane has few keys, and the calls of numpy are the cost.
 *
 * All memory is the caller's. Sizes, alignment and indices are checked before the first write. The GIL is released while
 * many keys are changed.
 */
#include "../../../extension.h"
#include "../tenants.h"
#include "key_table.h"
#include <string.h>

/* ---- The table of keys --------------------------------------------------------------------------------------- */

/* The slot of each key into `at`; if it is absent, the complement of the free one where it would be. Returns how many are. */
static Py_ssize_t find_all(const HashTable *table, const uint64_t *key, Py_ssize_t rows, int64_t *at)
{
    Py_ssize_t missing = 0;
    for (Py_ssize_t row = 0; row < rows; row++) {
        if (row + AHEAD < rows) fetch(table, key[row + AHEAD]);
        uint64_t slot = slot_of(table, key[row]);
        int absent = is_free(table, slot);
        at[row] = absent ? ~(int64_t)slot : (int64_t)slot;
        missing += absent;
    }
    return missing;
}

/* Gives slots to the keys that `find_all` has not found. */
static void claim_missing(const HashTable *table, const uint64_t *key, const int32_t *tenant, const uint8_t *numeric,
                          Py_ssize_t rows, int64_t *at)
{
    for (Py_ssize_t row = 0; row < rows; row++) {
        if (row + AHEAD < rows && at[row + AHEAD] < 0) FETCH(slot_at(table, (uint64_t)~at[row + AHEAD]));
        if (at[row] >= 0) continue;
        uint64_t slot = slot_from(table, (uint64_t)~at[row], key[row]); /* a key before it may have taken that one */
        *slot_at(table, slot) = (Slot){key[row], 0, numeric[row] ? tenant[row] : ~tenant[row]};
        at[row] = (int64_t)slot;
    }
}

/* find(slots, words, key, at): the slot of each key, or a negative number, into `at`. */
static PyObject *find(PyObject *module, PyObject *args)
{
    Py_buffer of[4] = {{0}};
    PyObject *done = NULL;
    HashTable table;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &of[0], &of[1], &of[2], &of[3])) return NULL;
    Py_ssize_t rows = of[2].len / 8;
    if (table_of(&of[0], &of[1], &table) && column_of(&of[2], 8, rows) && column_of(&of[3], 8, rows)) {
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        find_all(&table, of[2].buf, rows, of[3].buf);
        if (thread) PyEval_RestoreThread(thread);
        done = Py_NewRef(Py_None);
    }
    all_released(of, 4);
    return done;
}

/* claim(slots, words, key, tenant, numeric, room, at) -> the number of keys that are new. Each gets a slot, whose count
 * is 0, unless they are more than `room`. */
static PyObject *claim(PyObject *module, PyObject *args)
{
    Py_buffer of[6] = {{0}};
    Py_ssize_t room;
    PyObject *found = NULL;
    HashTable table;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*y*y*y*nw*", &of[0], &of[1], &of[2], &of[3], &of[4], &room, &of[5])) return NULL;
    Py_ssize_t rows = of[2].len / 8;
    if (table_of(&of[0], &of[1], &table) && column_of(&of[2], 8, rows) && column_of(&of[3], 4, rows) && column_of(&of[4], 1, rows)
        && column_of(&of[5], 8, rows) && tenants_below(of[3].buf, rows, INT32_MAX)) {
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        Py_ssize_t missing = find_all(&table, of[2].buf, rows, of[5].buf);
        if (missing && missing <= room) claim_missing(&table, of[2].buf, of[3].buf, of[4].buf, rows, of[5].buf);
        if (thread) PyEval_RestoreThread(thread);
        found = PyLong_FromSsize_t(missing);
    }
    all_released(of, 6);
    return found;
}

/* ---- Distinct counts ------------------------------------------------------------------------------------------ */

typedef struct {
    const uint64_t *key; /* ascending, and distinct */
    const int32_t *tenant, *change;
    const uint8_t *numeric;
    const int64_t *at;
    int32_t *before, *after;
    Py_ssize_t rows;
} Keys;

/* 1 for a number that enters, -1 for one that leaves, else 0. */
static inline int number_step(const Keys *keys, Py_ssize_t row)
{
    return keys->numeric[row] ? step_of(keys->before[row], keys->after[row], 0) : 0;
}

/* `distinct_counts._pairs`: the change in the number of pairs of neighbours. A pair that moves counts at its second. */
static inline int pairs_step(const HashTable *table, const Keys *keys, Py_ssize_t row, int step)
{
    uint64_t key = keys->key[row];
    int had_previous = is_present(table, key - 1), has_next = is_present(table, key + 1), has_previous = had_previous;
    if (row > 0 && keys->key[row - 1] == key - 1) {
        int previous = number_step(keys, row - 1);
        if (previous) has_previous = previous > 0;
    }
    if (row + 1 < keys->rows && keys->key[row + 1] == key + 1 && number_step(keys, row + 1)) has_next = 0;
    return (step > 0 ? has_previous : -had_previous) + step * has_next;
}

static void change_counts(const HashTable *table, const Keys *keys, const int32_t *limits, Py_ssize_t limit_count,
                          int sequences, int64_t *counts, Py_ssize_t tenants)
{
    for (Py_ssize_t row = 0; row < keys->rows; row++) {
        keys->before[row] = slot_at(table, keys->at[row])->count;
        keys->after[row] = (int32_t)((uint32_t)keys->before[row] + (uint32_t)keys->change[row]);
    }
    for (Py_ssize_t row = 0; row < keys->rows; row++) {
        if (sequences && row + AHEAD < keys->rows) {
            fetch(table, keys->key[row + AHEAD] - 1);
            fetch(table, keys->key[row + AHEAD] + 1);
        }
        int64_t *own = counts + keys->tenant[row];
        int number = number_step(keys, row);
        own[DISTINCT * tenants] += step_of(keys->before[row], keys->after[row], 0);
        own[NUMBERS * tenants] += number;
        if (sequences && number) own[SEQUENTIAL * tenants] += pairs_step(table, keys, row, number);
        for (Py_ssize_t limit = 0; limit < limit_count; limit++)
            own[(SEQUENTIAL + 1 + limit) * tenants] += step_of(keys->before[row], keys->after[row], limits[limit]);
    }
    for (Py_ssize_t row = 0; row < keys->rows; row++) slot_at(table, keys->at[row])->count = keys->after[row];
}

static int slots_exist(const int64_t *at, Py_ssize_t rows, const HashTable *table)
{
    for (Py_ssize_t row = 0; row < rows; row++)
        if (at[row] < 0 || (uint64_t)at[row] > table->last) return refused("there is no such slot");
    return 1;
}

/* change(slots, words, key, tenant, count, numeric, at, limits, sequences, counts, before, after): add `count` to the
 * attempts of each key, which has the slot `at`, and change the counts of its tenant, `[what, tenant]`. */
static PyObject *change(PyObject *module, PyObject *args)
{
    enum { SLOTS, WORDS, KEY, TENANT, COUNT, NUMERIC, AT, LIMITS, COUNTS, BEFORE, AFTER, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *done = NULL;
    HashTable table;
    int sequences;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*y*y*y*y*y*y*pw*w*w*", &of[SLOTS], &of[WORDS], &of[KEY], &of[TENANT], &of[COUNT],
                          &of[NUMERIC], &of[AT], &of[LIMITS], &sequences, &of[COUNTS], &of[BEFORE], &of[AFTER]))
        return NULL;
    Py_ssize_t rows = of[KEY].len / 8, limit_count = of[LIMITS].len / 4, what = SEQUENTIAL + 1 + limit_count;
    Py_ssize_t tenants = of[COUNTS].len / 8 / what;
    Keys keys = {of[KEY].buf, of[TENANT].buf, of[COUNT].buf, of[NUMERIC].buf, of[AT].buf, of[BEFORE].buf, of[AFTER].buf, rows};
    if (table_of(&of[SLOTS], &of[WORDS], &table) && column_of(&of[KEY], 8, rows) && column_of(&of[TENANT], 4, rows)
        && column_of(&of[COUNT], 4, rows) && column_of(&of[NUMERIC], 1, rows) && column_of(&of[AT], 8, rows)
        && column_of(&of[LIMITS], 4, limit_count) && column_of(&of[COUNTS], 8, what * tenants) && column_of(&of[BEFORE], 4, rows)
        && column_of(&of[AFTER], 4, rows) && tenants_below(keys.tenant, rows, tenants) && slots_exist(keys.at, rows, &table)) {
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        change_counts(&table, &keys, of[LIMITS].buf, limit_count, sequences, of[COUNTS].buf, tenants);
        if (thread) PyEval_RestoreThread(thread);
        done = Py_NewRef(Py_None);
    }
    all_released(of, BUFFERS);
    return done;
}

/* ---- Keys that repeat ----------------------------------------------------------------------------------------- */

/* The end of the run of ascending keys that begins at `start` of `order`. */
static Py_ssize_t run_end(const uint64_t *key, const int64_t *order, Py_ssize_t start, Py_ssize_t rows)
{
    Py_ssize_t end = start + 1;
    while (end < rows && key[order[end - 1]] <= key[order[end]]) end++;
    return end;
}

/* Merges neighbouring runs of `order` into `merged`; returns how many runs there were. Equal keys keep their order. */
static Py_ssize_t merge_runs(const uint64_t *key, const int64_t *order, int64_t *merged, Py_ssize_t rows)
{
    Py_ssize_t runs = 0, out = 0;
    for (Py_ssize_t start = 0; start < rows; runs += 2) {
        Py_ssize_t middle = run_end(key, order, start, rows), end = middle < rows ? run_end(key, order, middle, rows) : rows;
        Py_ssize_t left = start, right = middle;
        while (left < middle || right < end) {
            int takes_left = right >= end || (left < middle && key[order[left]] <= key[order[right]]);
            merged[out++] = takes_left ? order[left++] : order[right++];
        }
        start = end;
    }
    return runs;
}

/* Writes the first row of each key, ascending by key, to `order`, and its counts added up to `sum`; returns how many. */
static Py_ssize_t add_up(const uint64_t *key, const int32_t *count, Py_ssize_t rows, int64_t *order, int64_t *merged, int32_t *sum)
{
    Py_ssize_t keys = 0;
    for (Py_ssize_t row = 0; row < rows; row++) order[row] = row;
    while (merge_runs(key, order, merged, rows) > 2) memcpy(order, merged, (size_t)rows * sizeof(int64_t));
    for (Py_ssize_t at = 0; at < rows; at++) {
        int64_t row = merged[at];
        if (keys > 0 && key[order[keys - 1]] == key[row]) {
            sum[keys - 1] = (int32_t)((uint32_t)sum[keys - 1] + (uint32_t)count[row]);
        } else {
            sum[keys] = count[row];
            order[keys++] = row;
        }
    }
    return keys;
}

/* distinct(key, count, order, merged, sum) -> the number of distinct keys: `add_up`. */
static PyObject *distinct(PyObject *module, PyObject *args)
{
    enum { KEY, COUNT, ORDER, MERGED, SUM, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*w*w*w*", &of[KEY], &of[COUNT], &of[ORDER], &of[MERGED], &of[SUM])) return NULL;
    Py_ssize_t rows = of[KEY].len / 8, keys;
    if (column_of(&of[KEY], 8, rows) && column_of(&of[COUNT], 4, rows) && column_of(&of[ORDER], 8, rows)
        && column_of(&of[MERGED], 8, rows) && column_of(&of[SUM], 4, rows)) {
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        keys = add_up(of[KEY].buf, of[COUNT].buf, rows, of[ORDER].buf, of[MERGED].buf, of[SUM].buf);
        if (thread) PyEval_RestoreThread(thread);
        found = PyLong_FromSsize_t(keys);
    }
    all_released(of, BUFFERS);
    return found;
}

static PyMethodDef METHODS[] = {{"find", find, METH_VARARGS, NULL}, {"distinct", distinct, METH_VARARGS, NULL},
                                {"claim", claim, METH_VARARGS, NULL},
                                {"change", change, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};

EXTENSION(_keys, METHODS, 3)
