/* Copies the strings of a column: what `string_column.py` does with numpy, which needs an index for each byte.
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

static PyMethodDef METHODS[] = {{"pack", pack, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_strings, METHODS, 2)
