/* Encodes the measures of an hour: what `monitor.core.rules.measure_encoding` does, in one pass over the counts.
 *
 * A tenant is encoded only if the result is surely the bytes that msgspec and numpy make of the same counts; any other
 * tenant is left to the caller. The numbers are computed in the same order of operations, and need the same options of
 * the compiler: no contraction to fused operations.
 *
 * What a text takes is known before it is written, and all indices are checked before the first one.
 */
#include "../../extension.h"
#include "wilson.h"
#include <math.h>
#include <string.h>

#define FAR_OVER 10.0   /* `batch_evaluator.FAR_OVER` */
#define NOT_ENOUGH -1.0 /* `batch_evaluator.NOT_ENOUGH` */
#define DECIMALS 1e6
#define MOST 999999999999999.0 /* of millionths, and of counts: numbers of 15 digits have only one decimal form */
#define NUMBERS_BYTES 96       /* four numbers of at most 20 bytes, and their commas */
#define HEAD_BYTES 64          /* what stands between the parts of a record, and the share */

enum { IS_COUNT = 1, IS_SURE = 2 };

/* The columns of all rules, `measure_encoding.RULE_COLUMNS`, `[rule]`, and those of one call. */
enum { NUMERATOR, DENOMINATOR, DIVISOR, PRESENT, FLAGS, SCALE, SIGN, THRESHOLD, LEAST, QUANTILE, BEFORE_END, AFTER_END,
       RULE_COLUMNS };
static const int SIZES[RULE_COLUMNS] = {4, 4, 4, 4, 1, 8, 8, 8, 8, 8, 8, 8};

typedef struct {
    Py_buffer columns[RULE_COLUMNS];
    Py_buffer texts; /* for each rule what stands before and after its numbers */
    Py_ssize_t rules;
} Rules;

static inline int32_t int_at(const Rules *rules, int column, Py_ssize_t rule)
{
    return ((const int32_t *)rules->columns[column].buf)[rule];
}

static inline double float_at(const Rules *rules, int column, Py_ssize_t rule)
{
    return ((const double *)rules->columns[column].buf)[rule];
}

static inline int64_t end_at(const Rules *rules, int column, Py_ssize_t rule)
{
    return ((const int64_t *)rules->columns[column].buf)[rule];
}

static inline int flags_at(const Rules *rules, Py_ssize_t rule)
{
    return ((const uint8_t *)rules->columns[FLAGS].buf)[rule];
}

/* ---- Text --------------------------------------------------------------------------------------------------- */

static char *put_text(char *out, const void *text, int64_t size)
{
    memcpy(out, text, (size_t)size);
    return out + size;
}

static char *put_number(char *out, uint64_t number)
{
    if (number < 10) { /* most counts are */
        *out++ = (char)('0' + number);
        return out;
    }
    char digits[20];
    int first = 20;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return put_text(out, digits + first, 20 - first);
}

static inline char *put_three(char *out, uint32_t number)
{
    out[0] = (char)('0' + number / 100);
    out[1] = (char)('0' + number / 10 % 10);
    out[2] = (char)('0' + number % 10);
    return out + 3;
}

/* A number of millionths, as msgspec writes the double nearest to it. */
static char *put_millionths(char *out, uint64_t millionths)
{
    if (millionths > 0 && millionths < 10) {
        *out++ = (char)('0' + millionths);
        return put_text(out, "e-6", 3);
    }
    out = put_number(out, millionths / 1000000);
    uint32_t rest = (uint32_t)(millionths % 1000000);
    *out++ = '.';
    if (rest == 0) {
        *out++ = '0';
        return out;
    }
    out = put_three(out, rest / 1000);
    if (rest % 1000) out = put_three(out, rest % 1000);
    while (out[-1] == '0') out--; /* ends, for a digit is not 0 */
    return out;
}

/* ---- Numbers ------------------------------------------------------------------------------------------------ */

/* `batch_evaluator.shares` */
static double share_of(double judged, double threshold, double sign)
{
    double share;
    if (threshold > 0.0) share = sign > 0.0 ? judged / threshold : threshold / judged;
    else share = sign > 0.0 && judged > threshold ? FAR_OVER : 0.0;
    return share < 0.0 ? 0.0 : share > FAR_OVER ? FAR_OVER : share;
}

/* Whether it is a whole number that is written as one, with at most 15 digits. */
static inline int is_plain(double number)
{
    return number >= 0.0 && number <= MOST && number == (double)(int64_t)number;
}

/* The number in millionths, rounded half to even; -1 if it is not to be written here. */
static inline int64_t millionths_of(double number)
{
    double millionths = rint(number * DECIMALS);
    return millionths >= 0.0 && millionths <= MOST ? (int64_t)millionths : -1;
}

/* ---- Records ------------------------------------------------------------------------------------------------ */

/* A rule that is due, with all that its part of a record depends on but the counts. */
typedef struct {
    int32_t numerator, denominator, divisor, present; /* indices of counts */
    int flags;
    double scale, sign, threshold, least, quantile;
    const char *before, *after; /* what stands before and after its numbers: the id, and the limits */
    Py_ssize_t before_size, after_size;
    const uint8_t *skipped; /* `[tenant]`: those to whom it does not apply; NULL: it applies to all */
} Due;

typedef struct {
    const double *counts; /* `[tenant, count]` */
    Py_ssize_t tenants, width;
    const int32_t *due;
    Py_ssize_t due_count;
    const uint8_t *skipped; /* `[due, tenant]`: rules that do not apply; NULL: all apply */
} Hour;

/* The rule with the largest share so far, NULL without one. */
typedef struct {
    const Due *rule;
    double share;
} Nearest;

/* Write what a rule measured of a tenant; NULL if the tenant is left to the caller. */
static inline char *put_rule(char *out, const Due *rule, const double *counts, double denominator, Nearest *nearest)
{
    double numerator = counts[rule->numerator], divisor = counts[rule->divisor];
    int64_t written = 0, bound = 0;
    /* The value of nothing, and its lower bound, are 0: most counts are. */
    if (numerator != 0.0 || !(rule->scale * divisor > 0.0)) written = millionths_of(numerator / (rule->scale * divisor));
    if (rule->flags & IS_SURE && (numerator > 0.0 || rule->sign < 0.0))
        bound = millionths_of(wilson(numerator, denominator, rule->quantile, rule->sign));
    if (!is_plain(numerator) || !is_plain(denominator) || written < 0 || bound < 0) return NULL;
    if (denominator >= rule->least) {
        double judged = (double)(rule->flags & IS_SURE ? bound : written) / DECIMALS;
        double share = share_of(judged, rule->threshold, rule->sign);
        if (share > nearest->share) *nearest = (Nearest){rule, share};
    }
    out = put_text(out, rule->before, rule->before_size);
    out = put_number(out, (uint64_t)numerator);
    *out++ = ',';
    if (rule->flags & IS_COUNT) {
        out = put_text(out, "null,", 5);
        out = put_number(out, (uint64_t)numerator);
    } else {
        out = put_number(out, (uint64_t)denominator);
        *out++ = ',';
        out = put_millionths(out, (uint64_t)written);
    }
    *out++ = ',';
    if (rule->flags & IS_SURE) out = put_millionths(out, (uint64_t)bound);
    else out = put_text(out, "null", 4);
    return put_text(out, rule->after, rule->after_size);
}

/* Write what the rules measured of a tenant; NULL if it is left to the caller. */
static char *put_rules(char *out, const Due *due, const Hour *hour, Py_ssize_t tenant, Nearest *nearest)
{
    const double *counts = hour->counts + tenant * hour->width;
    for (const Due *rule = due, *end = due + hour->due_count; out && rule < end; rule++) {
        double denominator = counts[rule->denominator];
        if (rule->skipped && rule->skipped[tenant]) continue;
        if (denominator > 0.0 && counts[rule->present] > 0.0) out = put_rule(out, rule, counts, denominator, nearest);
    }
    return out;
}

/* The record of a tenant from its parts; None if it is left to the caller; NULL with an exception. */
static PyObject *record_of(const Due *due, const Hour *hour, Py_ssize_t tenant, PyObject *name, const char *middle,
                           Py_ssize_t middle_size, char *scratch)
{
    Nearest nearest = {NULL, NOT_ENOUGH};
    char share[32], *end = put_rules(scratch, due, hour, tenant, &nearest), *name_at;
    Py_ssize_t name_size;
    if (!end) return Py_NewRef(Py_None);
    if (PyBytes_AsStringAndSize(name, &name_at, &name_size) < 0) return NULL;
    if (end > scratch) end--; /* the last comma */
    double thousandths = rint((nearest.share > 0.0 ? nearest.share : 0.0) * 1e3);
    Py_ssize_t share_size = put_millionths(share, (uint64_t)thousandths * 1000) - share;
    const char *worst = "null";
    Py_ssize_t worst_size = 4;
    if (nearest.rule) { /* its id stands between "[" and "," */
        worst = nearest.rule->before + 1;
        worst_size = nearest.rule->before_size - 2;
    }
    static const char START[] = "{\"tenant_id\":", SHARE[] = ",\"share\":", RULES[] = ",\"rules\":[", END[] = "]}";
    Py_ssize_t size = (Py_ssize_t)(sizeof START + sizeof SHARE + sizeof RULES + sizeof END) - 4 + name_size + middle_size
                      + worst_size + share_size + (end - scratch);
    PyObject *record = PyBytes_FromStringAndSize(NULL, size);
    if (!record) return NULL;
    char *out = PyBytes_AsString(record);
    out = put_text(out, START, sizeof START - 1);
    out = put_text(out, name_at, name_size);
    out = put_text(out, middle, middle_size);
    out = put_text(out, worst, worst_size);
    out = put_text(out, SHARE, sizeof SHARE - 1);
    out = put_text(out, share, share_size);
    out = put_text(out, RULES, sizeof RULES - 1);
    out = put_text(out, scratch, end - scratch);
    put_text(out, END, sizeof END - 1);
    return record;
}

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static void rules_released(Rules *rules)
{
    for (int column = 0; column < RULE_COLUMNS; column++)
        if (rules->columns[column].obj) PyBuffer_Release(&rules->columns[column]);
    if (rules->texts.obj) PyBuffer_Release(&rules->texts);
}

/* Whether the columns have one length, their indices are those of `width` counts, and their texts lie in the block. */
static int rules_of(PyObject *columns, Py_ssize_t width, Rules *rules)
{
    if (!PyTuple_Check(columns) || PyTuple_Size(columns) != RULE_COLUMNS + 1) return refused("expected the columns of rules");
    for (int column = 0; column < RULE_COLUMNS; column++) {
        Py_buffer *found = &rules->columns[column];
        if (PyObject_GetBuffer(PyTuple_GetItem(columns, column), found, PyBUF_C_CONTIGUOUS) < 0) return 0;
        if (!items_of(found, SIZES[column])) return 0;
        Py_ssize_t rows = found->len / SIZES[column];
        if (column > 0 && rows != rules->rules) return refused("the columns do not fit each other");
        rules->rules = rows;
    }
    if (PyObject_GetBuffer(PyTuple_GetItem(columns, RULE_COLUMNS), &rules->texts, PyBUF_C_CONTIGUOUS) < 0) return 0;
    int64_t at = 0;
    for (Py_ssize_t rule = 0; rule < rules->rules; rule++) {
        for (int column = NUMERATOR; column <= PRESENT; column++)
            if (int_at(rules, column, rule) < 0 || int_at(rules, column, rule) >= width) return refused("there is no such count");
        int64_t before = end_at(rules, BEFORE_END, rule), after = end_at(rules, AFTER_END, rule);
        if (before < at + 2 || after < before || after > rules->texts.len) return refused("a text lies beyond its block");
        at = after;
    }
    return 1;
}

/* The rules that are due, for PyMem_Free, and the most bytes that they take in a record; NULL with an exception if there
 * is no such rule. */
static Due *due_of(const Rules *rules, const Hour *hour, Py_ssize_t *most)
{
    Due *due = PyMem_Calloc((size_t)hour->due_count + 1, sizeof *due);
    if (!due) return (Due *)PyErr_NoMemory();
    *most = HEAD_BYTES;
    for (Py_ssize_t line = 0; line < hour->due_count; line++) {
        Py_ssize_t rule = hour->due[line];
        if (rule < 0 || rule >= rules->rules) {
            refused("there is no such rule");
            PyMem_Free(due);
            return NULL;
        }
        int64_t before = rule ? end_at(rules, AFTER_END, rule - 1) : 0, middle = end_at(rules, BEFORE_END, rule);
        const char *texts = rules->texts.buf;
        due[line] = (Due){
            .numerator = int_at(rules, NUMERATOR, rule),
            .denominator = int_at(rules, DENOMINATOR, rule),
            .divisor = int_at(rules, DIVISOR, rule),
            .present = int_at(rules, PRESENT, rule),
            .flags = flags_at(rules, rule),
            .scale = float_at(rules, SCALE, rule),
            .sign = float_at(rules, SIGN, rule),
            .threshold = float_at(rules, THRESHOLD, rule),
            .least = float_at(rules, LEAST, rule),
            .quantile = float_at(rules, QUANTILE, rule),
            .before = texts + before,
            .after = texts + middle,
            .before_size = (Py_ssize_t)(middle - before),
            .after_size = (Py_ssize_t)(end_at(rules, AFTER_END, rule) - middle),
            .skipped = hour->skipped ? hour->skipped + line * hour->tenants : NULL,
        };
        *most += due[line].before_size + due[line].after_size + NUMBERS_BYTES;
    }
    return due;
}

static PyObject *records_of(const Rules *rules, const Hour *hour, const int64_t *rows, PyObject *names, Py_buffer *middle)
{
    Py_ssize_t count = PyList_Size(names), most = 0;
    Due *due = due_of(rules, hour, &most);
    if (!due) return NULL;
    char *scratch = PyMem_Malloc((size_t)most);
    PyObject *records = scratch ? PyList_New(count) : PyErr_NoMemory();
    for (Py_ssize_t at = 0; records && at < count; at++) {
        PyObject *record = NULL;
        if (rows[at] < 0 || rows[at] >= hour->tenants) refused("there is no such tenant");
        else record = record_of(due, hour, (Py_ssize_t)rows[at], PyList_GetItem(names, at), middle->buf, middle->len, scratch);
        if (!record || PyList_SetItem(records, at, record) < 0) Py_CLEAR(records);
    }
    PyMem_Free(scratch);
    PyMem_Free(due);
    return records;
}

static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *columns, *names, *skipped_of, *records = NULL;
    Py_buffer counts = {0}, due = {0}, rows = {0}, middle = {0}, skipped = {0};
    Py_ssize_t tenants;
    Rules rules = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*ny*Oy*O!y*", &columns, &counts, &tenants, &due, &skipped_of, &rows, &PyList_Type,
                          &names, &middle))
        return NULL;
    Hour hour = {counts.buf, tenants, 0, due.buf, due.len / 4, NULL};
    if (!items_of(&counts, 8) || !items_of(&due, 4) || !items_of(&rows, 8)) {
        /* refused */
    } else if (tenants <= 0 || counts.len / 8 % tenants || rows.len / 8 != PyList_Size(names)) {
        refused("the columns do not fit each other");
    } else if (skipped_of == Py_None || PyObject_GetBuffer(skipped_of, &skipped, PyBUF_C_CONTIGUOUS) == 0) {
        hour.skipped = skipped.buf;
        hour.width = counts.len / 8 / tenants;
        if (skipped.obj && skipped.len != hour.due_count * tenants)
            refused("the columns do not fit each other");
        else if (rules_of(columns, hour.width, &rules))
            records = records_of(&rules, &hour, rows.buf, names, &middle);
        rules_released(&rules);
    }
    if (skipped.obj) PyBuffer_Release(&skipped);
    PyBuffer_Release(&counts);
    PyBuffer_Release(&due);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&middle);
    return records;
}

static PyMethodDef METHODS[] = {{"encode", encode, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_measures, METHODS, 2)
