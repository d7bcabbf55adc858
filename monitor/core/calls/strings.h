/* The strings of a column, as `string_column.py` stores them. */
#ifndef CALLWARDEN_STRINGS_H
#define CALLWARDEN_STRINGS_H

#include "../../extension.h"

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

static inline const uint8_t *string_at(const Strings *strings, Py_ssize_t at)
{
    return (const uint8_t *)strings->block.buf + start_at(strings, at);
}

/* Whether the columns fit each other and all strings lie in the block; the bytes of all into `bytes`. */
static inline int strings_of(Strings *strings, int64_t *bytes)
{
    strings->count = strings->size.len / 4;
    if (!column_of(&strings->size, 4, strings->count)
        || !column_of(&strings->start, strings->start.itemsize == 8 ? 8 : 4, strings->count))
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

static inline void strings_released(Strings *strings)
{
    PyBuffer_Release(&strings->block);
    PyBuffer_Release(&strings->start);
    PyBuffer_Release(&strings->size);
}

#endif
