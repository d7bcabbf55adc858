/* Finds the newest calls of each tenant and field: what `newest_calls.py` does with numpy, field by field.
 *
 * All memory is the caller's. Sizes, alignment and strings are checked before the first write. The GIL is released for
 * many calls.
 */
#include "strings.h"
#include <string.h>

#define NEWEST 20 /* `newest_calls.NEWEST` */

typedef struct {
    uint64_t bit;     /* of the result */
    uint64_t on, off; /* the bits that the word of a call has, and those of which it has none */
    int64_t since_ms;
} Field; /* `newest_calls.WantedField` */

typedef struct {
    const int64_t *group, *end_ms; /* sorted by group, then time */
    const uint64_t *word;
    uint64_t *mask;
    const Strings *ids;
} Calls;

static inline int is_of(const Calls *calls, Py_ssize_t row, const Field *field)
{
    return (calls->word[row] & field->on) == field->on && !(calls->word[row] & field->off);
}

/* The id of a call against that of another, by code point: below 0, 0 if they are the same, above 0. */
static int compared(const Strings *ids, Py_ssize_t one, Py_ssize_t other)
{
    int32_t size = size_at(ids, one), other_size = size_at(ids, other);
    int order = memcmp(string_at(ids, one), string_at(ids, other), (size_t)(size < other_size ? size : other_size));
    return order ? order : (size > other_size) - (size < other_size);
}

/* Whether the id of a call is one of these. Ids of a tenant often differ in their last bytes alone. */
static int is_among(const Strings *ids, const Py_ssize_t *some, Py_ssize_t count, Py_ssize_t row)
{
    int32_t size = size_at(ids, row), tail = size < 8 ? size : 8;
    const uint8_t *id = string_at(ids, row);
    for (Py_ssize_t at = 0; at < count; at++) {
        if (size_at(ids, some[at]) != size) continue;
        const uint8_t *other = string_at(ids, some[at]);
        if (memcmp(id + size - tail, other + size - tail, (size_t)tail) == 0 && memcmp(id, other, (size_t)(size - tail)) == 0)
            return 1;
    }
    return 0;
}

/* Inserts a call into `best`, ascending by id, if it is among the last `room` and its id is not there; returns how many
 * there are. An id that has left `best` comes before all of them, so it does not come back. */
static Py_ssize_t inserted(const Strings *ids, Py_ssize_t *best, Py_ssize_t count, Py_ssize_t room, Py_ssize_t row)
{
    Py_ssize_t low = 0, high = count; /* of the first that does not come before it */
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        int order = compared(ids, best[middle], row);
        if (order == 0) return count;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    if (count < room) {
        memmove(best + low + 1, best + low, (size_t)(count - low) * sizeof *best);
        best[low] = row;
        return count + 1;
    }
    if (low > 0) {
        memmove(best, best + 1, (size_t)(low - 1) * sizeof *best);
        best[low - 1] = row;
    }
    return count;
}

/* Marks the newest calls of a field among those of a group, in `first` to `after`. Of calls with one id the last counts; of
 * calls at one instant that do not all have room, those with the last ids. */
static void mark_newest(const Calls *calls, const Field *field, Py_ssize_t first, Py_ssize_t after)
{
    const Strings *ids = calls->ids;
    Py_ssize_t newest[NEWEST], count = 0, row = after;
    while (row-- > first && calls->end_ms[row] >= field->since_ms) {
        if (!is_of(calls, row, field)) continue;
        if (count < NEWEST) {
            if (!is_among(ids, newest, count, row)) newest[count++] = row;
            continue;
        }
        int64_t cut_ms = calls->end_ms[newest[NEWEST - 1]];
        if (calls->end_ms[row] != cut_ms) break;
        Py_ssize_t tied[NEWEST], found = 0, room = 0;
        while (count > 0 && calls->end_ms[newest[count - 1]] == cut_ms) room++, count--;
        for (Py_ssize_t one = 0; one < room; one++) found = inserted(ids, tied, found, room, newest[count + one]);
        for (; row >= first && calls->end_ms[row] == cut_ms; row--) {
            if (!is_of(calls, row, field) || compared(ids, row, tied[0]) < 0) continue; /* all have room, or it has none */
            if (!is_among(ids, newest, count, row)) found = inserted(ids, tied, found, room, row);
        }
        for (Py_ssize_t one = 0; one < room; one++) newest[count++] = tied[one];
        break;
    }
    while (count-- > 0) calls->mask[newest[count]] |= field->bit;
}

static void mark_all(const Calls *calls, Py_ssize_t rows, const Field *fields, Py_ssize_t field_count)
{
    memset(calls->mask, 0, (size_t)rows * sizeof(uint64_t));
    for (Py_ssize_t first = 0, after; first < rows; first = after) {
        for (after = first + 1; after < rows && calls->group[after] == calls->group[first];) after++;
        for (Py_ssize_t field = 0; field < field_count; field++) mark_newest(calls, &fields[field], first, after);
    }
}

/* mark(group, end_ms, word, block, start, size, fields, mask): the bits of the fields whose newest calls include the call,
 * into `mask`. */
static PyObject *mark(PyObject *module, PyObject *args)
{
    enum { GROUP, END_MS, WORD, FIELDS, MASK, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    Strings ids;
    int64_t bytes;
    PyObject *done = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*w*", &of[GROUP], &of[END_MS], &of[WORD], &ids.block, &ids.start, &ids.size, &of[FIELDS],
                          &of[MASK]))
        return NULL;
    Py_ssize_t rows = of[GROUP].len / 8, fields = of[FIELDS].len / (Py_ssize_t)sizeof(Field);
    if (column_of(&of[GROUP], 8, rows) && column_of(&of[END_MS], 8, rows) && column_of(&of[WORD], 8, rows)
        && column_of(&of[MASK], 8, rows) && column_of(&of[FIELDS], sizeof(Field), fields) && strings_of(&ids, &bytes)
        && (ids.count == rows || refused("the columns do not fit each other"))) {
        Calls calls = {of[GROUP].buf, of[END_MS].buf, of[WORD].buf, of[MASK].buf, &ids};
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        mark_all(&calls, rows, of[FIELDS].buf, fields);
        if (thread) PyEval_RestoreThread(thread);
        done = Py_NewRef(Py_None);
    }
    strings_released(&ids);
    all_released(of, BUFFERS);
    return done;
}

static PyMethodDef METHODS[] = {{"mark", mark, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_newest, METHODS, 2)
