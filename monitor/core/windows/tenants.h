/* Tenants as indices of the counts of windows. */
#ifndef CALLWARDEN_TENANTS_H
#define CALLWARDEN_TENANTS_H

#include "../../extension.h"

static inline int tenants_below(const int32_t *tenant, Py_ssize_t rows, Py_ssize_t tenants)
{
    for (Py_ssize_t row = 0; row < rows; row++)
        if (tenant[row] < 0 || tenant[row] >= tenants) return refused("there is no such tenant");
    return 1;
}

#endif
