/* Copies and hashes the strings of a column: what `string_column.py` and `keys.py` do with numpy, which needs an index for
 * each byte, and a matrix for each size.
 *
 * Each string is compared with its block before any is read. The GIL is released for many strings.
 */
#include "strings.h"
#include <string.h>

/* pack(block, start, size) -> the bytes of all strings, one after the other. */
static PyObject *pack(PyObject *module, PyObject *args)
{
    Strings strings;
    int64_t bytes;
    PyObject *packed = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*", &strings.block, &strings.start, &strings.size)) return NULL;
    if (strings_of(&strings, &bytes) && (packed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)bytes))) {
        char *out = PyBytes_AsString(packed);
        PyThreadState *thread = strings.count > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t at = 0; at < strings.count; at++) {
            size_t size = (size_t)size_at(&strings, at);
            memcpy(out, string_at(&strings, at), size);
            out += size;
        }
        if (thread) PyEval_RestoreThread(thread);
    }
    strings_released(&strings);
    return packed;
}

/* ---- Hashes ------------------------------------------------------------------------------------------------------ */

#define A UINT64_C(0x9E3779B97F4A7C15) /* `keys._A` */
#define B UINT64_C(0xBF58476D1CE4E5B9)
#define C UINT64_C(0x94D049BB133111EB)

/* `keys.mix` */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * B;
    x = (x ^ (x >> 27)) * C;
    return x ^ (x >> 31);
}

/* Up to eight bytes as a little-endian number. */
static inline uint64_t word_of(const uint8_t *at, int32_t size)
{
    uint64_t word = 0;
    for (int32_t i = 0; i < size; i++) word |= (uint64_t)at[i] << (8 * i);
    return word;
}

/* `keys._hash_rows`, without a salt. */
static uint64_t hash_of(const uint8_t *text, int32_t size)
{
    uint64_t state = (uint64_t)size * A;
    for (int64_t at = 0; at < size; at += 8) {
        uint64_t word = word_of(text + at, size - at < 8 ? (int32_t)(size - at) : 8);
        state = mix(state ^ word) * A + (word >> 32);
    }
    return mix(state);
}

/* hashes(block, start, size, found): the hash of each string into `found`. */
static PyObject *hashes(PyObject *module, PyObject *args)
{
    Strings strings;
    Py_buffer found;
    int64_t bytes;
    PyObject *done = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*w*", &strings.block, &strings.start, &strings.size, &found)) return NULL;
    if (strings_of(&strings, &bytes) && column_of(&found, 8, strings.count)) {
        PyThreadState *thread = strings.count > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t at = 0; at < strings.count; at++) {
            ((uint64_t *)found.buf)[at] = hash_of(string_at(&strings, at), size_at(&strings, at));
        }
        if (thread) PyEval_RestoreThread(thread);
        done = Py_NewRef(Py_None);
    }
    strings_released(&strings);
    PyBuffer_Release(&found);
    return done;
}

static PyMethodDef METHODS[] = {{"pack", pack, METH_VARARGS, NULL}, {"hashes", hashes, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_strings, METHODS, 1)
