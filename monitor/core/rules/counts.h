/* The counts of tenants where they are, as `native_pairs.NativeCounts` gives them. */
#ifndef CALLWARDEN_COUNTS_H
#define CALLWARDEN_COUNTS_H

#include "../../extension.h"

#define ONE 0 /* `rule_counts.ONE`: the index of a count that is always 1 */

typedef struct {
    const int64_t *first; /* NULL: not given */
    Py_ssize_t step;      /* from a tenant to the next one, in counts */
} Count;

typedef struct {
    Count *count; /* by index */
    Py_buffer *blocks;
    Py_ssize_t width, held, tenants;
} Counts;

static const int64_t ALWAYS_ONE = 1;

static inline int64_t count_at(const Count *count, Py_ssize_t tenant)
{
    return count->first[tenant * count->step];
}

static inline int is_given(const Counts *counts, int32_t index)
{
    return counts->count[index].first != NULL;
}

/* A block of `(first index, array of [count, tenant] or [tenant])`, for at least `tenants` tenants. */
static inline int block_of(PyObject *pair, Counts *counts)
{
    Py_buffer *block = &counts->blocks[counts->held];
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) return refused("expected blocks of counts");
    Py_ssize_t first = PyLong_AsSsize_t(PyTuple_GetItem(pair, 0));
    if (first == -1 && PyErr_Occurred()) return 0;
    if (PyObject_GetBuffer(PyTuple_GetItem(pair, 1), block, PyBUF_STRIDES) < 0) return 0;
    counts->held++;
    if (block->ndim < 1 || block->ndim > 2) return refused("expected blocks of counts");
    Py_ssize_t rows = block->ndim == 2 ? block->shape[0] : 1, tenants = block->shape[block->ndim - 1];
    Py_ssize_t down = block->ndim == 2 ? block->strides[0] : 0, step = block->strides[block->ndim - 1];
    if (!column_of(block, 8, rows * tenants)) return 0;
    if (down % 8 || step % 8) return refused("a column does not fit: expected aligned items of its size");
    if (tenants < counts->tenants) return refused("there are fewer tenants");
    if (first < 0 || first > counts->width - rows) return refused("there is no such count");
    for (Py_ssize_t row = 0; row < rows; row++)
        counts->count[first + row] = (Count){(const int64_t *)block->buf + row * (down / 8), step / 8};
    return 1;
}

static inline int counts_of(PyObject *blocks, Counts *counts)
{
    Py_ssize_t size = PyList_Size(blocks);
    if (counts->width <= ONE) return refused("there is no such count");
    counts->count = PyMem_Calloc((size_t)counts->width, sizeof *counts->count);
    counts->blocks = PyMem_Calloc((size_t)(size ? size : 1), sizeof *counts->blocks);
    if (!counts->count || !counts->blocks) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t at = 0; at < size; at++)
        if (!block_of(PyList_GetItem(blocks, at), counts)) return 0;
    counts->count[ONE] = (Count){&ALWAYS_ONE, 0};
    return 1;
}

static inline void counts_released(Counts *counts)
{
    for (Py_ssize_t at = 0; at < counts->held; at++) PyBuffer_Release(&counts->blocks[at]);
    PyMem_Free(counts->count);
    PyMem_Free(counts->blocks);
}

static inline int tenants_exist(const int64_t *who, Py_ssize_t size, Py_ssize_t tenants)
{
    for (Py_ssize_t at = 0; at < size; at++)
        if (who[at] < 0 || who[at] >= tenants) return refused("there is no such tenant");
    return 1;
}

#endif
