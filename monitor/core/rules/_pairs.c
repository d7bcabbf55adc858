/* Compares the counts of tenants with the conditions of rules: what `batch_evaluator.py` does with numpy on a copy of the
 * counts, where they are. With thin traffic few tenants change between two window ends, and the calls are the cost.
 *
 * Numbers are computed in the same order of operations, and need the same options of the compiler: no contraction to
 * fused operations. All memory is the caller's, except a pointer for each count. All indices are checked
 * before the first use. The GIL is released for many pairs.
 */
#include "counts.h"
#include "wilson.h"
#include <math.h>

#define TENANT_BITS 32
#define TENANT_MASK INT64_C(0xFFFFFFFF)

/* The columns of all rules, `native_pairs.RuleConditions`: of `[rule, line]` the first, of `[rule]` the others. */
enum { NUMERATOR, DENOMINATOR, DIVISOR, SCALE, SIGN, LIMIT, LINE_COLUMNS,
       GATE = LINE_COLUMNS, GATE_SIGN, GATE_LIMIT, LEAST, PRESENT, QUANTILE, IS_SURE, RULE_COLUMNS };
static const int SIZES[RULE_COLUMNS] = {4, 4, 4, 8, 8, 8, 4, 8, 8, 8, 4, 8, 1};

typedef struct {
    Py_buffer columns[RULE_COLUMNS];
    Py_ssize_t rules, lines;
} Rules;

static inline int32_t index_at(const Rules *rules, int column, Py_ssize_t at)
{
    return ((const int32_t *)rules->columns[column].buf)[at];
}

static inline double float_at(const Rules *rules, int column, Py_ssize_t at)
{
    return ((const double *)rules->columns[column].buf)[at];
}

static inline double value_of(const Counts *counts, int32_t index, Py_ssize_t tenant)
{
    return (double)count_at(&counts->count[index], tenant);
}

/* ---- Conditions ------------------------------------------------------------------------------------------------ */

static inline int line_beyond(const Rules *rules, const Counts *counts, Py_ssize_t line, double limit, Py_ssize_t tenant)
{
    double divisor = float_at(rules, SCALE, line) * value_of(counts, index_at(rules, DIVISOR, line), tenant);
    double value = value_of(counts, index_at(rules, NUMERATOR, line), tenant) / divisor;
    return float_at(rules, SIGN, line) * value > limit;
}

/* `BatchEvaluator._holds` */
static int holds(const Rules *rules, const Counts *counts, Py_ssize_t rule, double limit, Py_ssize_t tenant)
{
    Py_ssize_t first = rule * rules->lines;
    return line_beyond(rules, counts, first, limit, tenant)
           && value_of(counts, index_at(rules, DENOMINATOR, first), tenant) >= float_at(rules, LEAST, rule)
           && value_of(counts, index_at(rules, PRESENT, rule), tenant) > 0.0;
}

/* `BatchEvaluator._conditions` */
static int meets_all(const Rules *rules, const Counts *counts, Py_ssize_t rule, Py_ssize_t tenant)
{
    Py_ssize_t first = rule * rules->lines;
    for (Py_ssize_t line = first; line < first + rules->lines; line++)
        if (!line_beyond(rules, counts, line, float_at(rules, LIMIT, line), tenant)
            || !(value_of(counts, index_at(rules, DENOMINATOR, line), tenant) > 0.0))
            return 0;
    if (!((const uint8_t *)rules->columns[IS_SURE].buf)[rule]) return 1;
    double numerator = value_of(counts, index_at(rules, NUMERATOR, first), tenant);
    double denominator = value_of(counts, index_at(rules, DENOMINATOR, first), tenant), sign = float_at(rules, SIGN, first);
    return sign * wilson(numerator, denominator, float_at(rules, QUANTILE, rule), sign) > float_at(rules, LIMIT, first);
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

static int rules_of(PyObject *columns, Py_ssize_t width, Rules *rules)
{
    if (!PyTuple_Check(columns) || PyTuple_Size(columns) != RULE_COLUMNS) return refused("expected the columns of rules");
    for (int column = 0; column < RULE_COLUMNS; column++)
        if (PyObject_GetBuffer(PyTuple_GetItem(columns, column), &rules->columns[column], PyBUF_C_CONTIGUOUS) < 0) return 0;
    rules->rules = rules->columns[GATE].len / 4;
    rules->lines = rules->rules ? rules->columns[NUMERATOR].len / 4 / rules->rules : 0;
    for (int column = 0; column < RULE_COLUMNS; column++) {
        Py_ssize_t count = column < LINE_COLUMNS ? rules->rules * rules->lines : rules->rules;
        if (!column_of(&rules->columns[column], SIZES[column], count)) return 0;
        if (SIZES[column] != 4) continue;
        for (Py_ssize_t at = 0; at < count; at++)
            if (index_at(rules, column, at) < 0 || index_at(rules, column, at) >= width) return refused("there is no such count");
    }
    return rules->lines > 0 || refused("expected the columns of rules");
}

static void released(Rules *rules, Counts *counts)
{
    for (int column = 0; column < RULE_COLUMNS; column++)
        if (rules->columns[column].obj) PyBuffer_Release(&rules->columns[column]);
    counts_released(counts);
}

/* Whether all counts of a rule are given. */
static int all_given(const Rules *rules, const Counts *counts, Py_ssize_t rule)
{
    for (Py_ssize_t line = rule * rules->lines; line < (rule + 1) * rules->lines; line++)
        if (!is_given(counts, index_at(rules, NUMERATOR, line)) || !is_given(counts, index_at(rules, DENOMINATOR, line))
            || !is_given(counts, index_at(rules, DIVISOR, line)))
            return refused("a count is not given");
    return is_given(counts, index_at(rules, PRESENT, rule)) || refused("a count is not given");
}

/* ---- Functions ------------------------------------------------------------------------------------------------- */

static int rules_exist(const int64_t *due, Py_ssize_t size, const Rules *rules, const Counts *counts)
{
    for (Py_ssize_t at = 0; at < size; at++) {
        if (due[at] < 0 || due[at] >= rules->rules) return refused("there is no such rule");
        if (!is_given(counts, index_at(rules, GATE, (Py_ssize_t)due[at]))) return refused("a count is not given");
    }
    return 1;
}

/* The pairs of a rule and these tenants that pass its gate, from `pairs` on; their number. */
static Py_ssize_t passed(const Rules *rules, const Counts *counts, Py_ssize_t rule, const int64_t *who, Py_ssize_t size,
                         int64_t *pairs)
{
    int32_t gate = index_at(rules, GATE, rule);
    double sign = float_at(rules, GATE_SIGN, rule), limit = float_at(rules, GATE_LIMIT, rule);
    Py_ssize_t found = 0;
    PyThreadState *thread = size > MANY_ROWS ? PyEval_SaveThread() : NULL;
    for (Py_ssize_t at = 0; at < size; at++)
        if (sign * value_of(counts, gate, (Py_ssize_t)who[at]) > limit) pairs[found++] = (int64_t)rule << TENANT_BITS | who[at];
    if (thread) PyEval_RestoreThread(thread);
    return found;
}

/* `BatchEvaluator._enough`: the pairs into `pairs`, and their number. The rules that have any into `with_any`; -1 with an
 * exception. */
static Py_ssize_t all_passed(const Rules *rules, const Counts *counts, const Py_buffer *due, const Py_buffer *who, int64_t *pairs,
                             PyObject *with_any)
{
    Py_ssize_t found = 0;
    for (Py_ssize_t at = 0; at < due->len / 8; at++) {
        int64_t rule = ((const int64_t *)due->buf)[at];
        Py_ssize_t more = passed(rules, counts, (Py_ssize_t)rule, who->buf, who->len / 8, pairs + found);
        if (!more) continue;
        found += more;
        PyObject *number = PyLong_FromLongLong((long long)rule);
        int added = number ? PyList_Append(with_any, number) : -1;
        Py_XDECREF(number);
        if (added < 0) return -1;
    }
    return found;
}

/* enough(rules, width, blocks, tenants, due, who, pairs) -> (number of pairs, rules with any) */
static PyObject *enough(PyObject *module, PyObject *args)
{
    PyObject *columns, *blocks, *with_any = NULL, *found = NULL;
    Py_buffer due = {0}, who = {0}, pairs = {0};
    Rules rules = {0};
    Counts counts = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnO!ny*y*w*", &columns, &counts.width, &PyList_Type, &blocks, &counts.tenants, &due, &who, &pairs))
        return NULL;
    Py_ssize_t dues = due.len / 8, size = who.len / 8;
    if (column_of(&due, 8, dues) && column_of(&who, 8, size) && column_of(&pairs, 8, dues * size) && counts_of(blocks, &counts)
        && rules_of(columns, counts.width, &rules) && tenants_exist(who.buf, size, counts.tenants)
        && rules_exist(due.buf, dues, &rules, &counts)) {
        with_any = PyList_New(0);
        Py_ssize_t count = with_any ? all_passed(&rules, &counts, &due, &who, pairs.buf, with_any) : -1;
        if (count >= 0) found = Py_BuildValue("nO", count, with_any);
        Py_XDECREF(with_any);
    }
    released(&rules, &counts);
    PyBuffer_Release(&due);
    PyBuffer_Release(&who);
    PyBuffer_Release(&pairs);
    return found;
}

static int pairs_exist(const Rules *rules, const Counts *counts, const int64_t *pairs, Py_ssize_t size)
{
    int64_t before = -1;
    for (Py_ssize_t at = 0; at < size; at++) {
        int64_t rule = pairs[at] >> TENANT_BITS;
        if (rule < 0 || rule >= rules->rules) return refused("there is no such rule");
        if ((pairs[at] & TENANT_MASK) >= counts->tenants) return refused("there is no such tenant");
        if (rule != before && !all_given(rules, counts, (Py_ssize_t)rule)) return 0;
        before = rule;
    }
    return 1;
}

/* For each pair whether its value is beyond the limit of its rule and, with `all`, it meets all conditions. */
static void compare(const Rules *rules, const Counts *counts, const int64_t *pairs, Py_ssize_t size, const double *limit, int all,
                    uint8_t *met)
{
    PyThreadState *thread = size > MANY_ROWS ? PyEval_SaveThread() : NULL;
    for (Py_ssize_t at = 0; at < size; at++) {
        Py_ssize_t rule = (Py_ssize_t)(pairs[at] >> TENANT_BITS), tenant = (Py_ssize_t)(pairs[at] & TENANT_MASK);
        met[at] = (uint8_t)(holds(rules, counts, rule, limit[rule], tenant) && (!all || meets_all(rules, counts, rule, tenant)));
    }
    if (thread) PyEval_RestoreThread(thread);
}

/* check(rules, width, blocks, tenants, pairs, limit, all, met) */
static PyObject *check(PyObject *module, PyObject *args)
{
    PyObject *columns, *blocks, *done = NULL;
    Py_buffer pairs = {0}, limit = {0}, met = {0};
    Rules rules = {0};
    Counts counts = {0};
    int all;
    (void)module;
    if (!PyArg_ParseTuple(args, "OnO!ny*y*pw*", &columns, &counts.width, &PyList_Type, &blocks, &counts.tenants, &pairs, &limit,
                          &all, &met))
        return NULL;
    Py_ssize_t size = pairs.len / 8;
    if (column_of(&pairs, 8, size) && column_of(&met, 1, size) && counts_of(blocks, &counts)
        && rules_of(columns, counts.width, &rules) && column_of(&limit, 8, rules.rules)
        && pairs_exist(&rules, &counts, pairs.buf, size)) {
        compare(&rules, &counts, pairs.buf, size, limit.buf, all, met.buf);
        done = Py_NewRef(Py_None);
    }
    released(&rules, &counts);
    PyBuffer_Release(&pairs);
    PyBuffer_Release(&limit);
    PyBuffer_Release(&met);
    return done;
}

static PyMethodDef METHODS[] = {{"enough", enough, METH_VARARGS, NULL}, {"check", check, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_pairs, METHODS, 2)
