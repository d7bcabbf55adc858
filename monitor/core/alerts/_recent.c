/* Counts the newest calls of tenants in the early windows: what `recent_calls.py` and `early_windows.py` do with numpy, which
 * first adds the calls up by pane and tenant. Few calls are to be counted at a time, and the calls of numpy are the cost.
 *
 * Integers wrap around as in numpy. All memory is the caller's. Sizes, alignment and indices are checked before the first
 * write. The GIL is released for many calls.
 */
#include "../../extension.h"

#define MOST_BITS 64 /* of the word of a call */

typedef struct {
    int64_t *values; /* [tenant, column] */
    Py_ssize_t tenants, width;
    const int64_t *number, *first, *column, *field; /* [pane], [pane + 1], [target], [target]: `native_recent.PaneTargets` */
    Py_ssize_t panes, targets, bits;
} Table;

typedef struct {
    uint8_t *waits;
    const uint8_t *marked; /* by tenant; NULL: all */
    Py_ssize_t tenants;    /* that may be marked */
    const int64_t *pane, *talk_ms, *ring_delay_ms;
    const int32_t *tenant;
    const uint64_t *word;
    Py_ssize_t count;
} Calls;

static inline int is_asked(const Calls *calls, Py_ssize_t call)
{
    return calls->waits[call] && (!calls->marked || calls->marked[calls->tenant[call]]);
}

/* The place of a pane, often `guess`; -1 if it has no targets yet. Numbers are ascending. */
static inline Py_ssize_t place_of(const Table *table, int64_t number, Py_ssize_t guess)
{
    if (guess >= 0 && table->number[guess] == number) return guess;
    Py_ssize_t first = 0;
    for (Py_ssize_t left = table->panes; left > 0;) {
        Py_ssize_t half = left / 2;
        if (table->number[first + half] < number) {
            first += half + 1;
            left -= half + 1;
        } else {
            left = half;
        }
    }
    return first < table->panes && table->number[first] == number ? first : -1;
}

static inline void add(const Table *table, const Calls *calls, Py_ssize_t call, Py_ssize_t place)
{
    int64_t *row = table->values + calls->tenant[call] * table->width;
    for (int64_t at = table->first[place]; at < table->first[place + 1]; at++) {
        int64_t field = table->field[at];
        int64_t more = field < table->bits ? (int64_t)(calls->word[call] >> field & 1)
                                           : field == table->bits ? calls->talk_ms[call] : calls->ring_delay_ms[call];
        row[table->column[at]] = (int64_t)((uint64_t)row[table->column[at]] + (uint64_t)more);
    }
}

/* Checks the asked calls: 0, with a ValueError, if any is of a tenant that does not exist. Else `without` is the number of a pane
 * without targets, or -1. `from` and `to` become the range of the calls. */
static int are_known(const Table *table, const Calls *calls, Py_ssize_t *from, Py_ssize_t *to, int64_t *without)
{
    Py_ssize_t place = -1, tenants = calls->marked && calls->tenants < table->tenants ? calls->tenants : table->tenants;
    *from = *to = 0;
    *without = -1;
    for (Py_ssize_t call = 0; call < calls->count; call++) {
        if (!calls->waits[call]) continue;
        if (calls->tenant[call] < 0 || calls->tenant[call] >= tenants) return 0;
        if (!is_asked(calls, call)) continue;
        if (*to == 0) *from = call;
        *to = call + 1;
        place = place_of(table, calls->pane[call], place);
        if (place < 0) *without = calls->pane[call];
    }
    return 1;
}

static void count_all(const Table *table, const Calls *calls, Py_ssize_t from, Py_ssize_t to)
{
    Py_ssize_t place = -1;
    for (Py_ssize_t call = from; call < to; call++) {
        if (!is_asked(calls, call)) continue;
        place = place_of(table, calls->pane[call], place);
        add(table, calls, call, place);
        calls->waits[call] = 0;
    }
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

/* Whether a buffer has the numbers of all tenants. There may be no columns yet. */
static int is_table(const Py_buffer *values, const Table *table)
{
    if (table->tenants < 0 || table->width < 0 || (table->width && table->tenants > PY_SSIZE_T_MAX / table->width))
        return refused("expected a table of tenants");
    return column_of(values, 8, table->tenants * table->width);
}

static int targets_exist(const Table *table)
{
    if (table->bits < 0 || table->bits > MOST_BITS) return refused("expected the bits of a word");
    for (Py_ssize_t place = 1; place < table->panes; place++)
        if (table->number[place] <= table->number[place - 1]) return refused("the panes do not fit: expected ascending numbers");
    for (Py_ssize_t place = 0; place <= table->panes; place++) {
        int64_t before = place ? table->first[place - 1] : 0;
        if (table->first[place] < before || table->first[place] > table->targets) return refused("there is no such target");
    }
    for (Py_ssize_t at = 0; at < table->targets; at++) {
        if (table->column[at] < 0 || table->column[at] >= table->width) return refused("there is no such column");
        if (table->field[at] < 0 || table->field[at] >= table->bits + 2) return refused("there is no such field");
    }
    return 1;
}

/* Whether a column has items of `size` bytes for at least `count` calls. */
static int holds(const Py_buffer *buffer, Py_ssize_t size, Py_ssize_t count)
{
    return items_of(buffer, size) && ((count >= 0 && buffer->len / size >= count) || refused("the columns do not fit each other"));
}

/* enter(values, tenants, width, number, first, column, field, bits, waits, marked, pane, tenant, word, talk_ms, ring_delay_ms,
 * count) -> the number of a pane without targets, so that nothing was counted; else -1: those of the first `count` calls that
 * wait, of the tenants in `marked` or all, are counted and do not wait any more. Numbers of panes are not negative. */
static PyObject *enter(PyObject *module, PyObject *args)
{
    enum { VALUES, NUMBER, FIRST, COLUMN, FIELD, WAITS, MARKED, PANE, TENANT, WORD, TALK, RING, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    Table table = {0};
    Calls calls = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "w*nny*y*y*y*nw*z*y*y*y*y*y*n", &of[VALUES], &table.tenants, &table.width, &of[NUMBER],
                          &of[FIRST], &of[COLUMN], &of[FIELD], &table.bits, &of[WAITS], &of[MARKED], &of[PANE], &of[TENANT],
                          &of[WORD], &of[TALK], &of[RING], &calls.count))
        return NULL;
    table.values = of[VALUES].buf;
    table.number = of[NUMBER].buf, table.first = of[FIRST].buf, table.column = of[COLUMN].buf, table.field = of[FIELD].buf;
    table.panes = of[NUMBER].len / 8, table.targets = of[COLUMN].len / 8;
    calls.waits = of[WAITS].buf, calls.marked = of[MARKED].buf, calls.tenants = of[MARKED].len;
    calls.pane = of[PANE].buf, calls.talk_ms = of[TALK].buf, calls.ring_delay_ms = of[RING].buf;
    calls.tenant = of[TENANT].buf, calls.word = of[WORD].buf;
    Py_ssize_t count = calls.count;
    if (is_table(&of[VALUES], &table) && column_of(&of[NUMBER], 8, table.panes) && column_of(&of[FIRST], 8, table.panes + 1)
        && column_of(&of[COLUMN], 8, table.targets) && column_of(&of[FIELD], 8, table.targets) && targets_exist(&table)
        && holds(&of[WAITS], 1, count) && (!calls.marked || items_of(&of[MARKED], 1)) && holds(&of[PANE], 8, count)
        && holds(&of[TENANT], 4, count) && holds(&of[WORD], 8, count) && holds(&of[TALK], 8, count) && holds(&of[RING], 8, count)) {
        Py_ssize_t from, to;
        int64_t without;
        PyThreadState *thread = count > MANY_ROWS ? PyEval_SaveThread() : NULL;
        int known = are_known(&table, &calls, &from, &to, &without);
        if (known && without < 0) count_all(&table, &calls, from, to);
        if (thread) PyEval_RestoreThread(thread);
        if (known || refused("there is no such tenant")) found = PyLong_FromLongLong((long long)without);
    }
    all_released(of, BUFFERS);
    return found;
}

static PyMethodDef METHODS[] = {{"enter", enter, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_recent, METHODS, 1)
