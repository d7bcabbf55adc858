/* The finaliser of splitmix64, `keys.mix`. */
#ifndef CALLWARDEN_MIX_H
#define CALLWARDEN_MIX_H

#include <stdint.h>

static inline uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

#endif
