/* Counts how often keys are used: what `key_uses.py` does with numpy, which sorts the calls first.
 *
 * All memory is the caller's. Sizes, alignment and indices are checked before the first write. The GIL is released for
 * many calls.
 */
#include "../../../extension.h"
#include "../../calls/placement.h"
#include "../tenants.h"

enum { SETS = 3 }; /* `key_uses.SETS` */

typedef struct {
    uint8_t *few;       /* [set, tenant, 1 << few_bits] */
    uint16_t *many;     /* [set, row, 1 << many_bits] */
    int64_t *largest;   /* [set, tenant] */
    const int64_t *row; /* of each tenant in `many`, -1 if it has few counters */
    Py_ssize_t tenants, rows;
    int few_bits, many_bits;
    Placement placement;
} Uses;

/* The number of bits of an index of the counters of a set and one of `lines`; 0, with a ValueError, if they do not fit. */
static int bits_of(Py_ssize_t counters, Py_ssize_t lines)
{
    Py_ssize_t width = lines > 0 ? counters / SETS / lines : 0;
    if (width < 2 || width & (width - 1) || counters != SETS * lines * width) return refused("the counters do not fit");
    int bits = 0;
    while (width >>= 1) bits++;
    return bits;
}

#define COUNT(counter, most)                       \
    do {                                           \
        if (*(counter) < (most)) {                 \
            int64_t times = ++*(counter);          \
            if (*largest < times) *largest = times; \
        } else {                                   \
            ++*largest;                            \
            overflows = 1;                         \
        }                                          \
    } while (0)

/* Counts a use of a key; whether its counter cannot count it, so that the largest rises instead. */
static inline int used(const Uses *uses, Py_ssize_t set, Py_ssize_t tenant, uint64_t key)
{
    int64_t *largest = &uses->largest[set * uses->tenants + tenant], row = uses->row[tenant];
    uint64_t digest = spread(&uses->placement, key);
    int overflows = 0;
    if (row < 0) {
        uint8_t *few = &uses->few[((set * uses->tenants + tenant) << uses->few_bits) + (Py_ssize_t)(digest >> (64 - uses->few_bits))];
        COUNT(few, UINT8_MAX);
    } else {
        uint16_t *many = &uses->many[((set * uses->rows + row) << uses->many_bits) + (Py_ssize_t)(digest >> (64 - uses->many_bits))];
        COUNT(many, UINT16_MAX);
    }
    return overflows;
}

static int rows_exist(const Uses *uses, const int32_t *tenant, Py_ssize_t calls)
{
    for (Py_ssize_t call = 0; call < calls; call++)
        if (uses->row[tenant[call]] >= uses->rows) return refused("there is no such row of counters");
    return 1;
}

/* count(words, word, tenant, callee, caller, consent, attempt, answered, few, many, rows, row, largest) -> whether a counter
 * overflowed: count the callees and callers of calls whose word has the bit `attempt`, and the consents of those with
 * `answered`. */
static PyObject *count(PyObject *module, PyObject *args)
{
    enum { WORDS, WORD, TENANT, CALLEE, CALLER, CONSENT, FEW, MANY, ROW, LARGEST, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *found = NULL;
    unsigned long long attempt, answered;
    Py_ssize_t rows;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*KKw*w*ny*w*", &of[WORDS], &of[WORD], &of[TENANT], &of[CALLEE], &of[CALLER],
                          &of[CONSENT], &attempt, &answered, &of[FEW], &of[MANY], &rows, &of[ROW], &of[LARGEST]))
        return NULL;
    Py_ssize_t calls = of[WORD].len / 8, tenants = of[ROW].len / 8;
    Uses uses = {of[FEW].buf, of[MANY].buf, of[LARGEST].buf, of[ROW].buf, tenants, rows, 0, 0, {0, 0, 0}};
    const uint64_t *word = of[WORD].buf, *callee = of[CALLEE].buf, *caller = of[CALLER].buf, *consent = of[CONSENT].buf;
    const int32_t *tenant = of[TENANT].buf;
    if (placement_of(&of[WORDS], &uses.placement) && column_of(&of[WORD], 8, calls) && column_of(&of[TENANT], 4, calls)
        && column_of(&of[CALLEE], 8, calls) && column_of(&of[CALLER], 8, calls) && column_of(&of[CONSENT], 8, calls)
        && items_of(&of[FEW], 1) && items_of(&of[MANY], 2) && column_of(&of[ROW], 8, tenants) && column_of(&of[LARGEST], 8, SETS * tenants) && tenants_below(tenant, calls, tenants)
        && (uses.few_bits = bits_of(of[FEW].len, tenants)) && (uses.many_bits = bits_of(of[MANY].len / 2, rows))
        && rows_exist(&uses, tenant, calls)) {
        int overflows = 0;
        PyThreadState *thread = calls > MANY_ROWS ? PyEval_SaveThread() : NULL;
        for (Py_ssize_t call = 0; call < calls; call++) {
            if (word[call] & attempt)
                overflows |= used(&uses, 0, tenant[call], callee[call]) | used(&uses, 1, tenant[call], caller[call]);
            if (word[call] & answered) overflows |= used(&uses, 2, tenant[call], consent[call]);
        }
        if (thread) PyEval_RestoreThread(thread);
        found = PyBool_FromLong(overflows);
    }
    all_released(of, BUFFERS);
    return found;
}

static PyMethodDef METHODS[] = {{"count", count, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_uses, METHODS, 2)
