/* Finds the calls that tenants need before they may break rules: what `breach_bounds.py` does with numpy in some eighty calls,
 * which are the cost for a few tenants.
 *
 * Numbers are computed in the same order of operations, and need the same options of the compiler: no contraction to
 * fused operations. Integers wrap around as in numpy. All memory is the caller's, except a pointer for each count of
 * complaints. All sizes and indices are checked before the first write. The GIL is released for many tenants.
 */
#include "../../extension.h"
#include "../rules/wilson.h"

#define NEVER 1e15           /* `breach_lines.NEVER` */
#define CALLS_PER_USE 8.0    /* `breach_bounds._CALLS_PER_USE` */
#define MOST_ESTIMATE 2      /* `early_distinct_counts._MOST_ESTIMATE` */
#define NOT_KNOWN (INT64_C(1) << 40) /* `early_distinct_counts._NOT_KNOWN` */
#define CHANGED 0            /* `early_distinct_counts.CHANGED` */
#define ROW_BITS 32          /* `native_bounds.ROW_BITS` */
#define MOST_PROBE 64.0      /* the last of `sure_bounds._PROBES`, each twice the one before */
#define MANY_TENANTS 100     /* the GIL is released for more: each takes as long as numpy with hundreds of rows */

enum { SETS = 3 }; /* `key_uses.SETS` */

/* The columns of `native_bounds.BoundsPlan`, of 8 bytes each. `LARGEST` is 0 if the count is not that of one key. Else, in a
 * sample, the count is scaled if it is larger than that. `WHOLE` is 0 if keys are not counted by block. Else, a block has so
 * many keys at least, and no group that is none yet has more than those in the column `UNFINISHED`. */
enum { SUM,
       COUNT, ATTEMPTS, BEFORE, LEFT, EXTRA, USED, STEP, EACH, FLOOR, LARGEST, SET, UNFINISHED, WHOLE,
       LOW, HIGH, LOW_FACTOR, HIGH_FACTOR, RATE, COUNTED, PACE, SLOWER, ROUNDING,
       CONDITION, START,
       SURE, NUMERATOR, DENOMINATOR, QUANTILE, SIGN, LIMIT, RARER,
       WAITING, WAITING_FOR, WAITING_LIMIT, COLUMNS };

/* What a column has an item for, and what its items are: below the number of these, at least 1, or anything. */
enum { SUMS, DISTINCT, LINES, CONDITIONS, EVALUATIONS, BOUNDS, WAITS, SET_NUMBERS, TABLE_COLUMNS, TERMS, GROUPS };
enum { POSITIVE = GROUPS, ANY };
static const struct { uint8_t of, item; } KIND[COLUMNS] = {
    {SUMS, TABLE_COLUMNS},
    {DISTINCT, TABLE_COLUMNS}, {DISTINCT, TABLE_COLUMNS}, {DISTINCT, TABLE_COLUMNS}, {DISTINCT, TABLE_COLUMNS},
    {DISTINCT, TABLE_COLUMNS}, {DISTINCT, TABLE_COLUMNS}, {DISTINCT, ANY}, {DISTINCT, POSITIVE}, {DISTINCT, ANY},
    {DISTINCT, ANY}, {DISTINCT, SET_NUMBERS}, {DISTINCT, TABLE_COLUMNS}, {DISTINCT, ANY},
    {LINES, TERMS}, {LINES, TERMS}, {LINES, ANY}, {LINES, ANY}, {LINES, ANY}, {LINES, ANY}, {LINES, ANY}, {LINES, ANY},
    {LINES, ANY},
    {CONDITIONS, LINES}, {EVALUATIONS, CONDITIONS},
    {BOUNDS, EVALUATIONS}, {BOUNDS, TERMS}, {BOUNDS, TERMS}, {BOUNDS, ANY}, {BOUNDS, ANY}, {BOUNDS, ANY}, {BOUNDS, ANY},
    {WAITS, EVALUATIONS}, {WAITS, DISTINCT}, {WAITS, ANY},
};

typedef struct {
    Py_buffer columns[COLUMNS];
    Py_ssize_t size[GROUPS];
} Plan;

typedef struct {
    const int64_t *values, *before, *largest; /* [tenant, column], [set, tenant], [set, tenant] */
    Py_ssize_t width, rows, users;            /* of the table; tenants whose uses are counted */
    const int64_t **complaints;               /* [count][tenant] */
    Py_buffer *blocks;
    Py_ssize_t held, tenants;                 /* the blocks that are held; the tenants of whom everything is given */
} Counts;

/* The numbers of one tenant. */
typedef struct {
    double *low, *high, *calls_a_step;      /* [term] */
    double *largest, *line, *calls, *wait; /* [distinct], [line], [evaluation], [waiting] */
    int64_t used[SETS], spread;
} Tenant;

static inline const int64_t *integers(const Plan *plan, int column) { return plan->columns[column].buf; }
static inline const double *floats(const Plan *plan, int column) { return plan->columns[column].buf; }

/* ---- As numpy computes ----------------------------------------------------------------------------------------- */

static inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static inline int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t times(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static inline int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* `np.clip(np.floor(calls) + 1.0, 1.0, NEVER)` */
static inline double one_more(double calls)
{
    calls = calls > 0.0 ? calls : 0.0;
    calls = calls < NEVER - 1.0 ? calls : NEVER - 1.0;
    return (double)(int64_t)calls + 1.0;
}

/* `breach_bounds._calls_per_unit` */
static inline double calls_per_unit(double rate)
{
    if (!(rate > 0.0)) return NEVER;
    double calls = 1.0 / rate;
    return calls < NEVER ? calls : NEVER;
}

/* ---- The terms of a tenant: `BreachBounds._bounds` and `_spread` ----------------------------------------------- */

/* `early_distinct_counts.largest_after` */
static inline int64_t largest_after(const Plan *plan, Py_ssize_t one, const int64_t *row, int64_t used, int64_t spread)
{
    if (spread == CHANGED) return NOT_KNOWN;
    int64_t after = plus(row[integers(plan, COUNT)[one]], minus(used, row[integers(plan, USED)[one]]));
    return spread != 1 && after > integers(plan, LARGEST)[one] ? times(after, spread) : after;
}

/* `early_distinct_counts.keys_to_finish` */
static inline int64_t keys_to_finish(const Plan *plan, Py_ssize_t one, const int64_t *row, int64_t spread)
{
    int64_t whole = integers(plan, WHOLE)[one];
    if (whole <= 0 || spread != 1 || row[integers(plan, LEFT)[one]]) return 1;
    return minus(whole, lesser(larger(row[integers(plan, UNFINISHED)[one]], 0), minus(whole, 1)));
}

/* `early_distinct_counts.bounds` */
static void bounds_of(const Plan *plan, Py_ssize_t one, const int64_t *row, Py_ssize_t term, Tenant *tenant)
{
    int64_t count = row[integers(plan, COUNT)[one]], attempts = row[integers(plan, ATTEMPTS)[one]], step = integers(plan, STEP)[one];
    int64_t rise = times(step, minus(attempts, row[integers(plan, BEFORE)[one]])), lost = times(step, row[integers(plan, LEFT)[one]]);
    int64_t spread = plus(row[integers(plan, EXTRA)[one]], 1), least, most;
    int64_t to_finish = keys_to_finish(plan, one, row, spread);
    if (integers(plan, WHOLE)[one] > 0) { /* `early_distinct_counts.rise_of_blocks` */
        int64_t came = larger(minus(attempts, row[integers(plan, BEFORE)[one]]), 0);
        rise = times(integers(plan, WHOLE)[one], came) / to_finish;
    }
    tenant->calls_a_step[term] = (double)to_finish;
    if (spread == 1) {
        least = larger(minus(count, lost), 0);
        most = lesser(lesser(plus(count, rise), attempts), attempts / integers(plan, EACH)[one]);
    } else if (spread == CHANGED) {
        least = 0;
        most = times(MOST_ESTIMATE, attempts);
    } else {
        least = larger(minus(count, times(spread, lost)), 0);
        most = plus(count, times(spread, rise));
    }
    tenant->largest[one] = 0.0;
    if (integers(plan, LARGEST)[one]) {
        int64_t after = largest_after(plan, one, row, tenant->used[integers(plan, SET)[one]], spread);
        tenant->largest[one] = (double)after;
        most = lesser(most, after);
    }
    tenant->low[term] = (double)larger(least, integers(plan, FLOOR)[one]);
    tenant->high[term] = (double)most;
    tenant->spread = larger(tenant->spread, spread == CHANGED ? 2 * MOST_ESTIMATE : spread);
}

static void terms_of(const Plan *plan, const Counts *counts, int64_t who, Tenant *tenant)
{
    const int64_t *row = counts->values + who * counts->width;
    Py_ssize_t term = 0;
    tenant->spread = plan->size[DISTINCT] ? INT64_MIN : 1;
    for (int set = 0; set < SETS; set++)
        tenant->used[set] = plus(counts->before[set * counts->users + who], counts->largest[set * counts->users + who]);
    for (Py_ssize_t one = 0; one < plan->size[TERMS]; one++) tenant->calls_a_step[one] = 1.0;
    tenant->low[term] = tenant->high[term] = 1.0;
    term++;
    for (Py_ssize_t one = 0; one < plan->size[SUMS]; one++, term++)
        tenant->low[term] = tenant->high[term] = (double)row[integers(plan, SUM)[one]];
    for (Py_ssize_t one = 0; one < plan->size[DISTINCT]; one++, term++) bounds_of(plan, one, row, term, tenant);
    for (Py_ssize_t one = 0; one < counts->held; one++, term++)
        tenant->low[term] = tenant->high[term] = (double)counts->complaints[one][who];
}

/* ---- The calls that a tenant needs: `BreachBounds._calls_of_each` ---------------------------------------------- */

static void lines_of(const Plan *plan, Tenant *tenant)
{
    const int64_t *low = integers(plan, LOW), *high = integers(plan, HIGH);
    const double *low_factor = floats(plan, LOW_FACTOR), *high_factor = floats(plan, HIGH_FACTOR), *pace = floats(plan, PACE);
    const double *slower = floats(plan, SLOWER), *rounding = floats(plan, ROUNDING);
    double extra = (double)minus(tenant->spread, 1);
    for (Py_ssize_t line = 0; line < plan->size[LINES]; line++) {
        double below = low_factor[line] * tenant->low[low[line]];
        double need = below - high_factor[line] * tenant->high[high[line]];
        double calls = tenant->spread == 1 ? pace[line] : calls_per_unit(floats(plan, RATE)[line] + floats(plan, COUNTED)[line] * extra);
        calls *= tenant->calls_a_step[high[line]];
        tenant->line[line] = need < rounding[line] * below ? 0.0 : one_more(need * calls - slower[line]);
    }
}

static void calls_of(const Plan *plan, Tenant *tenant)
{
    const int64_t *condition = integers(plan, CONDITION), *start = integers(plan, START);
    for (Py_ssize_t number = 0; number < plan->size[EVALUATIONS]; number++) {
        Py_ssize_t at = (Py_ssize_t)start[number];
        Py_ssize_t stop = number + 1 < plan->size[EVALUATIONS] ? (Py_ssize_t)start[number + 1] : plan->size[CONDITIONS];
        double most = tenant->line[condition[at]];
        for (at++; at < stop; at++) most = tenant->line[condition[at]] > most ? tenant->line[condition[at]] : most;
        tenant->calls[number] = most;
    }
}

/* ---- Rules with a confidence: `SureBounds` --------------------------------------------------------------------- */

static double calls_until_sure(const Plan *plan, Py_ssize_t one, double numerator, double denominator)
{
    double z = floats(plan, QUANTILE)[one], sign = floats(plan, SIGN)[one], limit = floats(plan, LIMIT)[one];
    if (sign * wilson(numerator, denominator, z, sign) > limit) return 0.0;
    if (integers(plan, RARER)[one]) return numerator < denominator ? NEVER : 1.0;
    double waits = 1.0;
    for (double probe = 1.0; probe <= MOST_PROBE; probe *= 2.0) {
        if (sign * wilson(numerator + (sign > 0.0 ? probe : 0.0), denominator + probe, z, sign) > limit) break;
        waits = probe + 1.0;
    }
    return waits;
}

static void wait_until_sure(const Plan *plan, Tenant *tenant)
{
    const int64_t *number = integers(plan, SURE), *numerator = integers(plan, NUMERATOR), *denominator = integers(plan, DENOMINATOR);
    for (Py_ssize_t one = 0; one < plan->size[BOUNDS]; one++)
        if (tenant->calls[number[one]] == 0.0)
            tenant->calls[number[one]] = calls_until_sure(plan, one, tenant->low[numerator[one]], tenant->low[denominator[one]]);
}

/* ---- Rules that wait for uses of a key: `BreachBounds._wait_by_uses` ------------------------------------------- */

/* The uses, `[set]`. All rules are compared before the first one waits: several conditions may be of one. */
static void wait_for_uses(const Plan *plan, Tenant *tenant, double *uses)
{
    const int64_t *number = integers(plan, WAITING), *term = integers(plan, WAITING_FOR);
    for (int set = 0; set < SETS; set++) uses[set] = NEVER;
    for (Py_ssize_t one = 0; one < plan->size[WAITS]; one++) {
        double wait = floor(floats(plan, WAITING_LIMIT)[one] - tenant->largest[term[one]]) + 1.0;
        int waits = wait >= 1.0 && wait * CALLS_PER_USE > tenant->calls[number[one]];
        tenant->wait[one] = waits ? wait : 0.0;
    }
    for (Py_ssize_t one = 0; one < plan->size[WAITS]; one++) {
        if (tenant->wait[one] == 0.0) continue;
        int64_t set = integers(plan, SET)[term[one]];
        if (tenant->wait[one] < uses[set]) uses[set] = tenant->wait[one];
        tenant->calls[number[one]] = NEVER;
    }
}

/* ---- All tenants ----------------------------------------------------------------------------------------------- */

/* Writes what the tenant in each row needs; the number of pairs with a rule that it may break now. */
static Py_ssize_t all_needed(const Plan *plan, const Counts *counts, const int64_t *who, Py_ssize_t size, Tenant *tenant,
                             int64_t *calls, int64_t *uses_at, int64_t *now)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t row = 0; row < size; row++) {
        double uses[SETS], fewest = NEVER;
        terms_of(plan, counts, who[row], tenant);
        lines_of(plan, tenant);
        calls_of(plan, tenant);
        wait_until_sure(plan, tenant);
        wait_for_uses(plan, tenant, uses);
        for (Py_ssize_t number = 0; number < plan->size[EVALUATIONS]; number++) {
            if (tenant->calls[number] == 0.0) now[found++] = (int64_t)number << ROW_BITS | row;
            else if (tenant->calls[number] < fewest) fewest = tenant->calls[number];
        }
        calls[row] = (int64_t)fewest;
        for (int set = 0; set < SETS; set++) uses_at[set * size + row] = plus(tenant->used[set], (int64_t)uses[set]);
    }
    return found;
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

static int items_exist(const Plan *plan, int column)
{
    const int64_t *item = integers(plan, column);
    Py_ssize_t size = plan->size[KIND[column].of];
    if (KIND[column].item == ANY) return 1;
    for (Py_ssize_t at = 0; at < size; at++) {
        if (KIND[column].item == POSITIVE ? item[at] < 1 : item[at] < 0 || item[at] >= plan->size[KIND[column].item])
            return refused("there is no such column, count, condition or rule");
    }
    return 1;
}

/* Whether the conditions of each evaluation begin after those of the one before. */
static int starts_ascend(const Plan *plan)
{
    const int64_t *start = integers(plan, START);
    for (Py_ssize_t number = 0; number < plan->size[EVALUATIONS]; number++)
        if (number ? start[number] <= start[number - 1] : start[0] != 0) return refused("expected conditions of each rule");
    return 1;
}

static int plan_of(PyObject *columns, Py_ssize_t width, Py_ssize_t complaints, Plan *plan)
{
    if (!PyTuple_Check(columns) || PyTuple_Size(columns) != COLUMNS) return refused("expected the columns of a plan");
    for (int column = 0; column < COLUMNS; column++) {
        Py_buffer *buffer = &plan->columns[column];
        if (PyObject_GetBuffer(PyTuple_GetItem(columns, column), buffer, PyBUF_C_CONTIGUOUS) < 0) return 0;
        int of = KIND[column].of;
        if (column == 0 || of != KIND[column - 1].of) plan->size[of] = buffer->len / 8;
        if (!column_of(buffer, 8, plan->size[of])) return 0;
    }
    plan->size[SET_NUMBERS] = SETS;
    plan->size[TABLE_COLUMNS] = width;
    plan->size[TERMS] = 1 + plan->size[SUMS] + plan->size[DISTINCT] + complaints;
    for (int column = 0; column < COLUMNS; column++)
        if (!items_exist(plan, column)) return 0;
    return starts_ascend(plan);
}

/* The counts of complaints, `[tenant]` each. Lowers `tenants` to the fewest of any. */
static int complaints_of(PyObject *list, Counts *counts)
{
    Py_ssize_t size = PyList_Size(list);
    counts->complaints = PyMem_Calloc((size_t)(size ? size : 1), sizeof *counts->complaints);
    counts->blocks = PyMem_Calloc((size_t)(size ? size : 1), sizeof *counts->blocks);
    if (!counts->complaints || !counts->blocks) {
        PyErr_NoMemory();
        return 0;
    }
    for (Py_ssize_t at = 0; at < size; at++) {
        Py_buffer *block = &counts->blocks[at];
        if (PyObject_GetBuffer(PyList_GetItem(list, at), block, PyBUF_C_CONTIGUOUS) < 0) return 0;
        counts->held = at + 1;
        if (!items_of(block, 8)) return 0;
        counts->complaints[at] = block->buf;
        if (block->len / 8 < counts->tenants) counts->tenants = block->len / 8;
    }
    return 1;
}

static int tenants_exist(const int64_t *who, Py_ssize_t size, const Counts *counts)
{
    for (Py_ssize_t at = 0; at < size; at++)
        if (who[at] < 0 || who[at] >= counts->tenants) return refused("there is no such tenant");
    return 1;
}

/* The places in `room` of the numbers of a tenant. */
static int room_for(const Plan *plan, const Py_buffer *room, Tenant *tenant)
{
    const Py_ssize_t *size = plan->size;
    Py_ssize_t all = 3 * size[TERMS] + size[DISTINCT] + size[LINES] + size[EVALUATIONS] + size[WAITS];
    if (!items_of(room, 8)) return 0;
    if (room->len / 8 < all) return refused("there is too little room");
    tenant->low = room->buf;
    tenant->high = tenant->low + size[TERMS];
    tenant->calls_a_step = tenant->high + size[TERMS];
    tenant->largest = tenant->calls_a_step + size[TERMS];
    tenant->line = tenant->largest + size[DISTINCT];
    tenant->calls = tenant->line + size[LINES];
    tenant->wait = tenant->calls + size[EVALUATIONS];
    return 1;
}

static void released(Plan *plan, Counts *counts)
{
    for (int column = 0; column < COLUMNS; column++)
        if (plan->columns[column].obj) PyBuffer_Release(&plan->columns[column]);
    for (Py_ssize_t at = 0; at < counts->held; at++) PyBuffer_Release(&counts->blocks[at]);
    PyMem_Free(counts->complaints);
    PyMem_Free(counts->blocks);
}

/* needed(plan, values, width, who, before, largest, complaints, room, calls, uses_at, now) -> number of pairs in `now` */
static PyObject *needed(PyObject *module, PyObject *args)
{
    enum { VALUES, WHO, USES_BEFORE, USES_LARGEST, ROOM, CALLS, USES_AT, NOW, BUFFERS };
    Py_buffer of[BUFFERS] = {{0}};
    PyObject *columns, *complaints, *found = NULL;
    Plan plan = {0};
    Counts counts = {0};
    Tenant tenant = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*ny*y*y*O!w*w*w*w*", &columns, &of[VALUES], &counts.width, &of[WHO], &of[USES_BEFORE],
                          &of[USES_LARGEST], &PyList_Type, &complaints, &of[ROOM], &of[CALLS], &of[USES_AT], &of[NOW]))
        return NULL;
    Py_ssize_t size = of[WHO].len / 8;
    counts.values = of[VALUES].buf;
    counts.before = of[USES_BEFORE].buf;
    counts.largest = of[USES_LARGEST].buf;
    counts.rows = counts.width > 0 ? of[VALUES].len / 8 / counts.width : 0;
    counts.users = of[USES_BEFORE].len / 8 / SETS;
    counts.tenants = counts.rows < counts.users ? counts.rows : counts.users;
    if (column_of(&of[VALUES], 8, counts.rows * counts.width) && column_of(&of[USES_BEFORE], 8, SETS * counts.users)
        && column_of(&of[USES_LARGEST], 8, SETS * counts.users) && column_of(&of[WHO], 8, size) && column_of(&of[CALLS], 8, size)
        && column_of(&of[USES_AT], 8, SETS * size) && complaints_of(complaints, &counts)
        && plan_of(columns, counts.width, counts.held, &plan) && column_of(&of[NOW], 8, plan.size[EVALUATIONS] * size)
        && room_for(&plan, &of[ROOM], &tenant) && tenants_exist(of[WHO].buf, size, &counts)) {
        PyThreadState *thread = size > MANY_TENANTS ? PyEval_SaveThread() : NULL;
        Py_ssize_t pairs = all_needed(&plan, &counts, of[WHO].buf, size, &tenant, of[CALLS].buf, of[USES_AT].buf, of[NOW].buf);
        if (thread) PyEval_RestoreThread(thread);
        found = PyLong_FromSsize_t(pairs);
    }
    released(&plan, &counts);
    all_released(of, BUFFERS);
    return found;
}

static PyMethodDef METHODS[] = {{"needed", needed, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_bounds, METHODS, 2)
