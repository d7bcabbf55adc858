/* Sums calls up to panes, adds panes to the running sums of a window, subtracts them, and adds panes up: what `pane.py`
 * and `running_sums.py` do with numpy, in one pass.
 * With thin traffic a pane has few tenants, and the calls of numpy are the cost.
 *
 * All memory is the caller's. Sizes, alignment and indices are checked before the first write. The GIL is
 * released for many tenants.
 */
#include "../../extension.h"
#include "tenants.h"
#include <string.h>

/* enter(sums, fields, tenant, pane, mine) -> (records, largest): add the fields of a pane, `[g, width]`, to the sums of
 * these tenants, `[field, tenant]`, and write them to `mine`, `[field, g]`. */
static PyObject *enter(PyObject *module, PyObject *args)
{
    enum { SUMS, FIELDS, TENANT, PANE, MINE, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*y*y*y*w*", &of[SUMS], &of[FIELDS], &of[TENANT], &of[PANE], &of[MINE])) return NULL;
    Py_ssize_t fields = of[FIELDS].len / 4, rows = of[TENANT].len / 4;
    Py_ssize_t tenants = fields ? of[SUMS].len / 8 / fields : 0, width = rows ? of[PANE].len / 8 / rows : 0;
    const int32_t *field = of[FIELDS].buf, *tenant = of[TENANT].buf;
    int fits = column_of(&of[SUMS], 8, fields * tenants) && column_of(&of[FIELDS], 4, fields) && column_of(&of[TENANT], 4, rows)
               && column_of(&of[PANE], 8, rows * width) && column_of(&of[MINE], 8, fields * rows) && tenants_below(tenant, rows, tenants);
    for (Py_ssize_t one = 0; fits && one < fields; one++)
        if (field[one] < 0 || field[one] >= width) fits = refused("there is no such field");
    if (fits) {
        const int64_t *pane = of[PANE].buf;
        int64_t *sums = of[SUMS].buf, *mine = of[MINE].buf, records = 0, largest = 0;
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t one = 0; one < fields; one++) {
            for (Py_ssize_t row = 0; row < rows; row++) {
                int64_t value = pane[row * width + field[one]];
                mine[one * rows + row] = value;
                sums[one * tenants + tenant[row]] += value;
                if (value > largest) largest = value;
                if (one == 0) records += value;
            }
        }
        if (thread) PyEval_RestoreThread(thread);
        found = Py_BuildValue("LL", (long long)records, (long long)largest);
    }
    all_released(of, BUFFERS);
    return found;
}

#define SUBTRACT(kind)                                                                         \
    do {                                                                                       \
        const kind *mine = of[MINE].buf;                                                       \
        for (Py_ssize_t one = 0; one < fields; one++)                                          \
            for (Py_ssize_t row = 0; row < rows; row++) {                                      \
                sums[one * tenants + tenant[row]] -= mine[one * rows + row];                   \
                if (one == 0) records += mine[row];                                            \
            }                                                                                  \
    } while (0)

/* leave(sums, fields, tenant, mine) -> records: subtract what `enter` added, at its width. */
static PyObject *leave(PyObject *module, PyObject *args)
{
    enum { SUMS, TENANT, MINE, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    Py_ssize_t fields;
    (void)module;
    if (!PyArg_ParseTuple(args, "w*ny*y*", &of[SUMS], &fields, &of[TENANT], &of[MINE])) return NULL;
    Py_ssize_t rows = of[TENANT].len / 4, tenants = fields > 0 ? of[SUMS].len / 8 / fields : 0, size = of[MINE].itemsize;
    const int32_t *tenant = of[TENANT].buf;
    if (fields < 0 || (size != 1 && size != 2 && size != 4 && size != 8)) {
        refused("a column does not fit: expected aligned items of its size");
    } else if (column_of(&of[SUMS], 8, fields * tenants) && column_of(&of[TENANT], 4, rows) && column_of(&of[MINE], size, fields * rows)
               && tenants_below(tenant, rows, tenants)) {
        int64_t *sums = of[SUMS].buf, records = 0;
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        switch (size) {
        case 1: SUBTRACT(int8_t); break;
        case 2: SUBTRACT(int16_t); break;
        case 4: SUBTRACT(int32_t); break;
        default: SUBTRACT(int64_t);
        }
        if (thread) PyEval_RestoreThread(thread);
        found = PyLong_FromLongLong((long long)records);
    }
    all_released(of, BUFFERS);
    return found;
}

/* Whether each of the tenants `some` is among the tenants `all`; both are ascending. */
static int tenants_among(const int32_t *some, Py_ssize_t rows, const int32_t *all, Py_ssize_t tenants)
{
    Py_ssize_t at = 0;
    for (Py_ssize_t row = 0; row < rows; row++, at++) {
        while (at < tenants && all[at] < some[row]) at++;
        if (at == tenants || all[at] != some[row]) return refused("there is no such tenant");
    }
    return 1;
}

/* merge(all, sums, tenant, pane): add the sums of a pane, `[g, width]`, to those of its tenants among `all`,
 * `[tenant, width]`. Tenants are ascending. */
static PyObject *merge(PyObject *module, PyObject *args)
{
    enum { ALL, SUMS, TENANT, PANE, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*w*y*y*", &of[ALL], &of[SUMS], &of[TENANT], &of[PANE])) return NULL;
    Py_ssize_t tenants = of[ALL].len / 4, rows = of[TENANT].len / 4, width = tenants ? of[SUMS].len / 8 / tenants : 0;
    const int32_t *all = of[ALL].buf, *tenant = of[TENANT].buf;
    int fits = column_of(&of[ALL], 4, tenants) && column_of(&of[SUMS], 8, tenants * width) && column_of(&of[TENANT], 4, rows)
               && column_of(&of[PANE], 8, rows * width) && tenants_among(tenant, rows, all, tenants);
    if (fits) {
        const int64_t *pane = of[PANE].buf;
        int64_t *sums = of[SUMS].buf;
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t row = 0, at = 0; row < rows; row++, at++) {
            while (all[at] < tenant[row]) at++;
            for (Py_ssize_t one = 0; one < width; one++) sums[at * width + one] += pane[row * width + one];
        }
        if (thread) PyEval_RestoreThread(thread);
    }
    all_released(of, BUFFERS);
    if (!fits) return NULL;
    Py_RETURN_NONE;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static inline int64_t number_at(const Py_buffer *column, Py_ssize_t row)
{
    return column->itemsize == 4 ? ((const int32_t *)column->buf)[row] : ((const int64_t *)column->buf)[row];
}

static inline uint64_t word_at(const Py_buffer *column, Py_ssize_t row)
{
    return column->itemsize == 4 ? ((const uint32_t *)column->buf)[row] : ((const uint64_t *)column->buf)[row];
}

/* Whether it is a column of `rows` numbers of 4 or of 8 bytes. */
static inline int numbers_of(const Py_buffer *column, Py_ssize_t rows)
{
    return column_of(column, column->itemsize == 4 ? 4 : 8, rows);
}

/* Whether each group begins behind the one before, and has a row. */
static int groups_fit(const int64_t *starts, Py_ssize_t groups, Py_ssize_t rows)
{
    for (Py_ssize_t group = 0; group < groups; group++)
        if (starts[group] < (group ? starts[group - 1] + 1 : 0) || starts[group] >= rows) return refused("there is no such row");
    return 1;
}

/* Adds the bits of a word, from the lowest on, to a sum of each. */
static inline void add_bits(uint64_t word, int64_t *sum)
{
#if defined(__GNUC__) || defined(__clang__)
    for (; word; word &= word - 1) sum[__builtin_ctzll(word)]++;
#else
    for (; word; word >>= 1) *sum++ += (int64_t)(word & 1);
#endif
}

/* group(word, talk, ring, starts, sums): how many calls of each group have each bit, their talk times and their ring delays
 * added up, `[group, bits + 2]`. The calls of a group follow each other from `starts` on. */
static PyObject *group(PyObject *module, PyObject *args)
{
    enum { WORD, TALK, RING, STARTS, SUMS, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*", &of[WORD], &of[TALK], &of[RING], &of[STARTS], &of[SUMS])) return NULL;
    Py_ssize_t groups = of[STARTS].len / 8, rows = of[WORD].itemsize > 0 ? of[WORD].len / of[WORD].itemsize : 0;
    Py_ssize_t width = groups ? of[SUMS].len / 8 / groups : 2, bits = width - 2;
    const int64_t *starts = of[STARTS].buf;
    int fits = numbers_of(&of[WORD], rows) && numbers_of(&of[TALK], rows) && numbers_of(&of[RING], rows)
               && column_of(&of[STARTS], 8, groups) && column_of(&of[SUMS], 8, groups * width) && groups_fit(starts, groups, rows);
    if (fits && (bits < 0 || bits > 64)) fits = refused("there is no such field");
    if (fits) {
        int64_t *sum = of[SUMS].buf;
        uint64_t counted = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        PyThreadState *thread = rows > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t one = 0; one < groups; one++, sum += width) {
            memset(sum, 0, (size_t)width * sizeof *sum);
            for (Py_ssize_t row = starts[one], after = one + 1 < groups ? starts[one + 1] : rows; row < after; row++) {
                add_bits(word_at(&of[WORD], row) & counted, sum);
                sum[bits] += number_at(&of[TALK], row);
                sum[bits + 1] += number_at(&of[RING], row);
            }
        }
        if (thread) PyEval_RestoreThread(thread);
    }
    all_released(of, BUFFERS);
    if (!fits) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef METHODS[] = {{"group", group, METH_VARARGS, NULL},
                                {"enter", enter, METH_VARARGS, NULL},
                                {"leave", leave, METH_VARARGS, NULL},
                                {"merge", merge, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};

EXTENSION(_sums, METHODS, 3)
