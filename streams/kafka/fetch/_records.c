/* Takes the records of a batch apart into columns of positions: what aiokafka's parser and `record_parser.py` do with an
 * object for each record.
 *
 * A batch is taken only if every record of it is well-formed in the form that producers write; any other batch is left
 * to the caller, who finds the fault. All output goes to buffers of the caller; lengths from the input are compared with
 * the bytes that are left before they are used. The GIL is released.
 */
#include "../../../monitor/extension.h"
#include <string.h>

#define MAX_MS (INT64_C(1) << 50) /* of timestamps; sums of two do not overflow */

typedef struct {
    const uint8_t *p, *end;
} Cursor;

/* A zigzag varint of at most nine bytes; larger ones, which no producer needs, are not taken. */
static inline int varint(Cursor *c, int64_t *value)
{
    uint64_t raw = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        if (c->p >= c->end) return 0;
        uint8_t byte = *c->p++;
        raw |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return 1;
        }
    }
    return 0;
}

/* Bytes with their length before them: -1 if there are none. */
static inline int bytes(Cursor *c, const uint8_t **at, int64_t *size)
{
    if (!varint(c, size) || *size < -1 || *size > c->end - c->p) return 0;
    *at = c->p;
    if (*size > 0) c->p += *size;
    return 1;
}

static int ascii(const uint8_t *p, int64_t size)
{
    uint8_t all = 0;
    for (int64_t i = 0; i < size; i++) all |= p[i];
    return all < 0x80;
}

typedef struct {
    int64_t *offsets, *timestamps, *key_start, *key_size, *value_start, *value_size;
} Out;

static int taken(const uint8_t *first, Cursor c, Py_ssize_t count, int64_t base, int64_t last, int64_t base_ms,
                 int64_t most_headers, const Out *out)
{
    int64_t headers_left = most_headers, before = base - 1;
    const uint8_t *end = c.end, *at;
    if (base_ms < -MAX_MS || base_ms > MAX_MS) return 0;
    for (Py_ssize_t row = 0; row < count; row++) {
        int64_t length, delta_ms, delta, headers, size;
        c.end = end;
        if (!varint(&c, &length) || length < 1 || length > end - c.p) return 0;
        c.end = c.p + length;
        if (*c.p++ != 0) return 0; /* attributes: none are defined */
        if (!varint(&c, &delta_ms) || !varint(&c, &delta)) return 0;
        if (delta_ms < -MAX_MS || delta_ms > MAX_MS || delta < 0 || delta > last - base) return 0;
        out->timestamps[row] = base_ms + delta_ms;
        out->offsets[row] = base + delta;
        if (base + delta <= before) return 0;
        before = base + delta;
        if (!bytes(&c, &at, &out->key_size[row])) return 0;
        out->key_start[row] = at - first;
        if (!bytes(&c, &at, &out->value_size[row])) return 0;
        out->value_start[row] = at - first;
        if (!varint(&c, &headers) || headers < 0 || headers > headers_left) return 0;
        headers_left -= headers;
        for (; headers > 0; headers--) {
            if (!bytes(&c, &at, &size) || size < 0 || !ascii(at, size) || !bytes(&c, &at, &size)) return 0;
        }
        if (c.p != c.end) return 0;
    }
    return c.p == end;
}

static PyObject *take_apart(PyObject *module, PyObject *args)
{
    Py_buffer block, buffers[6];
    Py_ssize_t start, end;
    long long base, last, base_ms, most_headers;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*nnLLLLw*w*w*w*w*w*", &block, &start, &end, &base, &last, &base_ms, &most_headers,
                          &buffers[0], &buffers[1], &buffers[2], &buffers[3], &buffers[4], &buffers[5]))
        return NULL;
    Py_ssize_t count = buffers[0].len / 8;
    int fits = start >= 0 && start <= end && end <= block.len && base >= 0 && last >= base;
    for (int i = 0; i < 6; i++) {
        fits = fits && buffers[i].len == 8 * count && buffers[i].itemsize == 8 && (uintptr_t)buffers[i].buf % 8 == 0;
    }
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the arguments do not fit each other");
    } else {
        const uint8_t *first = block.buf;
        Cursor cursor = {first + start, first + end};
        Out out = {buffers[0].buf, buffers[1].buf, buffers[2].buf, buffers[3].buf, buffers[4].buf, buffers[5].buf};
        int all;
        Py_BEGIN_ALLOW_THREADS
        all = taken(first, cursor, count, base, last, base_ms, most_headers, &out);
        Py_END_ALLOW_THREADS
        result = PyBool_FromLong(all);
    }
    PyBuffer_Release(&block);
    for (int i = 0; i < 6; i++) PyBuffer_Release(&buffers[i]);
    return result;
}

static PyMethodDef METHODS[] = {{"take_apart", take_apart, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_records, METHODS, 1)
