/* Encodes columns of integers for storage: what `codec.py` does with numpy. With thin traffic a pane has a few rows of many
 * columns, and the calls of numpy are the cost.
 *
 * Numbers are not negative, so all are read as unsigned. They are written as little-endian at the smallest width that fits
 * the largest of them. The GIL is released for many rows.
 */
#include "../extension.h"

typedef struct {
    const void *first;
    Py_ssize_t size, count, stride; /* bytes of a number; numbers; from one to the next, in numbers */
} Numbers;

#define LARGEST(kind)                                                  \
    do {                                                               \
        const kind *from = numbers->first;                             \
        for (Py_ssize_t at = 0; at < numbers->count; at++)             \
            if (from[at * numbers->stride] > largest) largest = from[at * numbers->stride]; \
    } while (0)

static uint64_t largest_of(const Numbers *numbers)
{
    uint64_t largest = 0;
    switch (numbers->size) {
    case 1: LARGEST(uint8_t); break;
    case 2: LARGEST(uint16_t); break;
    case 4: LARGEST(uint32_t); break;
    default: LARGEST(uint64_t);
    }
    return largest;
}

static inline void put(uint8_t *out, uint64_t number, int width)
{
    for (int byte = 0; byte < width; byte++) out[byte] = (uint8_t)(number >> (8 * byte));
}

#define WRITE(kind, width) \
    for (Py_ssize_t at = 0; at < numbers->count; at++) put(out + at * (width), ((const kind *)numbers->first)[at * numbers->stride], width)

#define WRITE_AT_WIDTH(kind)                \
    switch (width) {                        \
    case 1: WRITE(kind, 1); break;          \
    case 2: WRITE(kind, 2); break;          \
    case 4: WRITE(kind, 4); break;          \
    default: WRITE(kind, 8);                \
    }

static void write_all(const Numbers *numbers, uint8_t *out, int width)
{
    switch (numbers->size) {
    case 1: WRITE_AT_WIDTH(uint8_t); break;
    case 2: WRITE_AT_WIDTH(uint16_t); break;
    case 4: WRITE_AT_WIDTH(uint32_t); break;
    default: WRITE_AT_WIDTH(uint64_t);
    }
}

/* The name of a dtype and the bytes of these numbers. */
static PyObject *encoded(const Numbers *numbers)
{
    PyThreadState *thread = numbers->count > MANY_ROWS ? PyEval_SaveThread() : NULL;
    uint64_t largest = largest_of(numbers);
    if (thread) PyEval_RestoreThread(thread);
    int width = largest <= UINT8_MAX ? 1 : largest <= UINT16_MAX ? 2 : largest <= UINT32_MAX ? 4 : 8;
    if (numbers->count > PY_SSIZE_T_MAX / width) return PyErr_NoMemory();
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, numbers->count * width);
    if (!bytes) return NULL;
    uint8_t *out = (uint8_t *)PyBytes_AsString(bytes);
    thread = numbers->count > MANY_ROWS ? PyEval_SaveThread() : NULL;
    write_all(numbers, out, width);
    if (thread) PyEval_RestoreThread(thread);
    return Py_BuildValue("sN", width == 1 ? "|u1" : width == 2 ? "<u2" : width == 4 ? "<u4" : "<u8", bytes);
}

/* Whether a buffer holds integers; their size. */
static int integers_of(const Py_buffer *buffer, Py_ssize_t *size)
{
    *size = buffer->itemsize;
    return items_of(buffer, *size == 1 || *size == 2 || *size == 4 ? *size : 8);
}

/* column(values) -> (dtype, bytes). */
static PyObject *column(PyObject *module, PyObject *values)
{
    Py_buffer buffer;
    Numbers numbers = {0};
    PyObject *found = NULL;
    (void)module;
    if (PyObject_GetBuffer(values, &buffer, PyBUF_SIMPLE)) return NULL;
    if (integers_of(&buffer, &numbers.size)) {
        numbers.first = buffer.buf, numbers.count = buffer.len / numbers.size, numbers.stride = 1;
        found = encoded(&numbers);
    }
    PyBuffer_Release(&buffer);
    return found;
}

/* columns(values, count) -> a list of (dtype, bytes): each of the `count` columns of `values`, `[row, column]`. */
static PyObject *columns(PyObject *module, PyObject *args)
{
    Py_buffer buffer;
    Py_ssize_t count, size;
    PyObject *list = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*n", &buffer, &count)) return NULL;
    if (integers_of(&buffer, &size)
        && ((count > 0 && buffer.len / size % count == 0) || (count == 0 && !buffer.len) || refused("the columns do not fit each other")))
        list = PyList_New(count);
    for (Py_ssize_t one = 0; list && one < count; one++) {
        Numbers numbers = {(const char *)buffer.buf + one * size, size, buffer.len / size / count, count};
        PyObject *found = encoded(&numbers);
        if (!found || PyList_SetItem(list, one, found)) Py_CLEAR(list);
    }
    PyBuffer_Release(&buffer);
    return list;
}

static PyMethodDef METHODS[] = {{"column", column, METH_O, NULL}, {"columns", columns, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_codec, METHODS, 1)
