/* Copies and hashes the strings of a column: what `string_column.py` and `keys.py` do with numpy, which needs an index for
 * each byte, and a matrix for each size.
 *
 * Each string is compared with its block before any is read. The GIL is released for many strings.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define MANY_STRINGS 500 /* the GIL is released for more */

typedef struct {
    Py_buffer block, start, size;
    Py_ssize_t count;
} Strings;

static inline int64_t start_at(const Strings *strings, Py_ssize_t at)
{
    return strings->start.itemsize == 4 ? ((const int32_t *)strings->start.buf)[at] : ((const int64_t *)strings->start.buf)[at];
}

static inline int32_t size_at(const Strings *strings, Py_ssize_t at)
{
    return ((const int32_t *)strings->size.buf)[at];
}

static int refused(const char *why)
{
    PyErr_SetString(PyExc_ValueError, why);
    return 0;
}

static int items_of(const Py_buffer *buffer, Py_ssize_t size, Py_ssize_t count)
{
    if (buffer->itemsize != size || (uintptr_t)buffer->buf % (uintptr_t)size)
        return refused("a column does not fit: expected aligned items of its size");
    if (buffer->len / size != count) return refused("the columns do not fit each other");
    return 1;
}

/* Whether the columns fit each other and all strings lie in the block; the bytes of all into `bytes`. */
static int strings_of(Strings *strings, int64_t *bytes)
{
    strings->count = strings->size.len / 4;
    if (!items_of(&strings->size, 4, strings->count)
        || !items_of(&strings->start, strings->start.itemsize == 8 ? 8 : 4, strings->count))
        return 0;
    *bytes = 0;
    for (Py_ssize_t at = 0; at < strings->count; at++) {
        int64_t start = start_at(strings, at), size = size_at(strings, at);
        if (start < 0 || size < 0 || start > strings->block.len || size > strings->block.len - start)
            return refused("a string lies beyond its block");
        *bytes += size;
    }
    return 1;
}

static void released(Strings *strings)
{
    PyBuffer_Release(&strings->block);
    PyBuffer_Release(&strings->start);
    PyBuffer_Release(&strings->size);
}

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
        PyThreadState *thread = strings.count > MANY_STRINGS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t at = 0; at < strings.count; at++) {
            size_t size = (size_t)size_at(&strings, at);
            memcpy(out, (const char *)strings.block.buf + start_at(&strings, at), size);
            out += size;
        }
        if (thread) PyEval_RestoreThread(thread);
    }
    released(&strings);
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
    for (int32_t at = 0; at < size; at += 8) {
        uint64_t word = word_of(text + at, size - at < 8 ? size - at : 8);
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
    if (strings_of(&strings, &bytes) && items_of(&found, 8, strings.count)) {
        PyThreadState *thread = strings.count > MANY_STRINGS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t at = 0; at < strings.count; at++) {
            const uint8_t *text = (const uint8_t *)strings.block.buf + start_at(&strings, at);
            ((uint64_t *)found.buf)[at] = hash_of(text, size_at(&strings, at));
        }
        if (thread) PyEval_RestoreThread(thread);
        done = Py_NewRef(Py_None);
    }
    released(&strings);
    PyBuffer_Release(&found);
    return done;
}

static PyMethodDef METHODS[] = {{"pack", pack, METH_VARARGS, NULL}, {"hashes", hashes, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

/* Raised with every change of what Python passes or gets, in form or meaning: an extension of other sources is not used. */
#define INTERFACE 1

static int filled(PyObject *module)
{
    return PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

static PyModuleDef_Slot SLOTS_OF_MODULE[] = {{Py_mod_exec, (void *)filled}, {0, NULL}};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_strings", NULL, 0, METHODS, SLOTS_OF_MODULE, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__strings(void)
{
    return PyModuleDef_Init(&MODULE);
}
