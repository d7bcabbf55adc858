/* Finds and remembers ids of calls in a hash table: what `dedup.py` does with numpy, in one pass.
 *
 * All memory is the caller's. Sizes and alignment are checked before the first write. The GIL is released for many ids.
 *
 * Tenants choose the ids of their calls, and can compute the keys. The place of a key is therefore a secret of the process
 * (`key_placement.py`). With a public one, a tenant could send ids that share a place, and each would visit all before it.
 */
#include "../../extension.h"
#include "hash_table.h"

#define FREE_SLOT INT64_MIN /* `dedup._FREE` */
#define AHEAD 16            /* the slot of an id is fetched from memory that many ids before it is needed */
#define PIECE 256           /* ids that are moved together */

typedef struct {
    uint64_t key;
    int64_t newest_ms;
} Id; /* `dedup._SLOT` */

static int table_of(const Py_buffer *slots, const Py_buffer *words, HashTable *table)
{
    return hash_table_of(slots, sizeof(Id), words, table);
}

static inline Id *id_at(const HashTable *table, uint64_t at)
{
    return (Id *)table->slots + at;
}

/* Whether a table of which `used` slots are not free has room for `more` ids, and for a free slot, at which a search ends. */
static int has_room(const HashTable *table, Py_ssize_t used, Py_ssize_t more)
{
    return used >= 0 && (uint64_t)used <= table->last && (uint64_t)more <= table->last - (uint64_t)used;
}

/* The slot of an id, or the free one where it would be. */
static inline Id *slot_of(const HashTable *table, uint64_t key)
{
    uint64_t at = home_slot(table, key);
    for (uint64_t visited = 0; visited < table->last; visited++) {
        if (id_at(table, at)->newest_ms == FREE_SLOT || id_at(table, at)->key == key) break;
        at = (at + 1) & table->last;
    }
    return id_at(table, at);
}

/* ---- Duplicates ----------------------------------------------------------------------------------------------- */

static Py_ssize_t admit_all(const HashTable *table, const uint64_t *key, const int64_t *event_ms, const int64_t *line_ms,
                            Py_ssize_t rows, uint8_t *duplicate)
{
    Py_ssize_t fresh = 0;
    for (Py_ssize_t row = 0; row < rows; row++) {
        if (row + AHEAD < rows) FETCH(id_at(table, home_slot(table, key[row + AHEAD])));
        if (duplicate[row]) continue;
        Id *id = slot_of(table, key[row]);
        int is_new = id->newest_ms == FREE_SLOT;
        if (!is_new && id->newest_ms >= line_ms[row]) {
            duplicate[row] = 1;
        } else if (event_ms[row] > id->newest_ms) {
            *id = (Id){key[row], event_ms[row]};
            fresh += is_new;
        }
    }
    return fresh;
}

/* admit(slots, words, used, key, event_ms, line_ms, duplicate) -> how many ids are new: mark in `duplicate` the ids that are
 * remembered with a time of `line_ms` or later. Remember the others, except those that were marked. `used` slots are not free. */
static PyObject *admit(PyObject *module, PyObject *args)
{
    enum { SLOTS, WORDS, KEY, EVENT_MS, LINE_MS, DUPLICATE, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    Py_ssize_t used;
    HashTable table;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*ny*y*y*w*", &of[SLOTS], &of[WORDS], &used, &of[KEY], &of[EVENT_MS], &of[LINE_MS],
                          &of[DUPLICATE]))
        return NULL;
    Py_ssize_t rows = of[KEY].len / 8;
    if (table_of(&of[SLOTS], &of[WORDS], &table) && column_of(&of[KEY], 8, rows) && column_of(&of[EVENT_MS], 8, rows)
        && column_of(&of[LINE_MS], 8, rows) && column_of(&of[DUPLICATE], 1, rows)
        && (has_room(&table, used, rows) || refused("the ids do not fit into the table"))) {
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        Py_ssize_t fresh = admit_all(&table, of[KEY].buf, of[EVENT_MS].buf, of[LINE_MS].buf, rows, of[DUPLICATE].buf);
        if (thread) PyEval_RestoreThread(thread);
        found = PyLong_FromSsize_t(fresh);
    }
    all_released(of, BUFFERS);
    return found;
}

/* ---- Moving to another table ---------------------------------------------------------------------------------- */

/* Copies the ids with a time of `since_ms` or later to an empty table; returns how many, or -1 if they do not fit. The order of
 * slots is about the same in every table, so little memory is in use at once. No branch depends on which slots are free, as no
 * processor could predict it. */
static Py_ssize_t move_all(const HashTable *table, const Id *ids, Py_ssize_t count, int64_t since_ms)
{
    Id piece[PIECE];
    Py_ssize_t moved = 0;
    for (Py_ssize_t start = 0; start < count; start += PIECE) {
        Py_ssize_t end = count - start < PIECE ? count : start + PIECE, kept = 0;
        for (Py_ssize_t at = start; at < end; at++) {
            piece[kept] = ids[at];
            kept += (ids[at].newest_ms >= since_ms) & (ids[at].newest_ms != FREE_SLOT);
        }
        if (!has_room(table, moved, kept)) return -1;
        for (Py_ssize_t at = 0; at < kept; at++) *slot_of(table, piece[at].key) = piece[at];
        moved += kept;
    }
    return moved;
}

/* move(slots, words, ids, since_ms) -> how many: copy the ids with a time of `since_ms` or later to these slots, which are free.
 * `ids` are distinct, with free slots among them. */
static PyObject *move(PyObject *module, PyObject *args)
{
    enum { SLOTS, WORDS, IDS, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    long long since_ms;
    HashTable table;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*y*L", &of[SLOTS], &of[WORDS], &of[IDS], &since_ms)) return NULL;
    Py_ssize_t count = of[IDS].len / (Py_ssize_t)sizeof(Id);
    if (table_of(&of[SLOTS], &of[WORDS], &table) && column_of(&of[IDS], sizeof(Id), count)) {
        PyThreadState *thread = count > MANY_ROWS ? PyEval_SaveThread() : NULL;
        Py_ssize_t moved = move_all(&table, of[IDS].buf, count, since_ms);
        if (thread) PyEval_RestoreThread(thread);
        found = moved >= 0 || refused("the ids do not fit into the table") ? PyLong_FromSsize_t(moved) : NULL;
    }
    all_released(of, BUFFERS);
    return found;
}

static PyMethodDef METHODS[] = {{"admit", admit, METH_VARARGS, NULL}, {"move", move, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_ids, METHODS, 1)
