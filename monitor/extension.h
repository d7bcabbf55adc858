/* What all extensions share: the stable ABI, checks of arguments, and the definition of a module. */
#ifndef CALLWARDEN_EXTENSION_H
#define CALLWARDEN_EXTENSION_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define MANY_ROWS 500 /* the GIL is released for more, as by numpy */

/* Has the processor fetch what is needed soon. */
#if defined(__GNUC__) || defined(__clang__)
#define FETCH(address) __builtin_prefetch(address)
#else
#define FETCH(address) ((void)(address))
#endif

/* 0, with a ValueError. */
static inline int refused(const char *why)
{
    PyErr_SetString(PyExc_ValueError, why);
    return 0;
}

/* Whether a buffer holds items of `size` bytes, aligned for their largest member, which has at most 8. */
static inline int items_of(const Py_buffer *buffer, Py_ssize_t size)
{
    if (buffer->itemsize == size && (uintptr_t)buffer->buf % (uintptr_t)(size > 8 ? 8 : size) == 0) return 1;
    return refused("a column does not fit: expected aligned items of its size");
}

/* `items_of`, and whether they are `count`. */
static inline int column_of(const Py_buffer *buffer, Py_ssize_t size, Py_ssize_t count)
{
    return items_of(buffer, size) && (buffer->len / size == count || refused("the columns do not fit each other"));
}

static inline void all_released(Py_buffer *buffers, int count)
{
    for (int i = 0; i < count; i++) PyBuffer_Release(&buffers[i]);
}

/* Defines the module `name`; `filled` adds its constants. */
#define DEFINE_MODULE(name, functions, filled) \
    static PyModuleDef_Slot SLOTS_OF_MODULE[] = {{Py_mod_exec, (void *)(filled)}, {0, NULL}}; \
    static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, #name, NULL, 0, functions, SLOTS_OF_MODULE, NULL, NULL, NULL}; \
    PyMODINIT_FUNC PyInit_##name(void) { return PyModuleDef_Init(&MODULE); }

/* Defines the module `name`. `interface` is raised with every change of what Python passes or gets, in form or meaning:
 * `monitor.extensions` does not use an extension of other sources. */
#define EXTENSION(name, functions, interface) \
    static int with_interface(PyObject *module) { return PyModule_AddIntConstant(module, "INTERFACE", interface); } \
    DEFINE_MODULE(name, functions, with_interface)

#endif
