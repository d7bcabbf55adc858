/* The bound of `wilson.bound`, in its order of operations. Needs a compiler that contracts none to fused ones. */
#ifndef CALLWARDEN_WILSON_H
#define CALLWARDEN_WILSON_H

#include <math.h>

static inline double wilson(double numerator, double n, double z, double sign)
{
    double p = numerator / n;
    if (p > 1.0) p = 1.0;
    double centre = p + z * z / (2.0 * n);
    double spread = z * sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n));
    return (centre - sign * spread) / (1.0 + z * z / n);
}

#endif
