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
    char digits[20];
    int first = 20;
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return put_text(out, digits + first, 20 - first);
}

/* A number of millionths, as msgspec writes the double nearest to it. */
static char *put_millionths(char *out, uint64_t millionths)
{
    if (millionths > 0 && millionths < 10) {
        *out++ = (char)('0' + millionths);
        return put_text(out, "e-6", 3);
    }
    out = put_number(out, millionths / 1000000);
    *out++ = '.';
    uint32_t rest = (uint32_t)(millionths % 1000000);
    int places = 6;
    while (places > 1 && rest % 10 == 0) {
        rest /= 10;
        places--;
    }
    for (int place = places - 1; place >= 0; place--) {
        out[place] = (char)('0' + rest % 10);
        rest /= 10;
    }
    return out + places;
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

typedef struct {
    const double *counts; /* `[tenant, count]` */
    Py_ssize_t tenants, width;
    const int32_t *due;
    Py_ssize_t due_count;
    const uint8_t *skipped; /* `[due, tenant]`: rules that do not apply; NULL: all apply */
} Hour;

/* The rule with the largest share so far, -1 without one. */
typedef struct {
    Py_ssize_t rule;
    double share;
} Nearest;

/* Write what the rules measured of a tenant; NULL if it is left to the caller. */
static char *put_rules(char *out, const Rules *rules, const Hour *hour, Py_ssize_t tenant, Nearest *nearest)
{
    const double *counts = hour->counts + tenant * hour->width;
    const char *texts = rules->texts.buf;
    for (Py_ssize_t line = 0; line < hour->due_count; line++) {
        Py_ssize_t rule = hour->due[line];
        if (hour->skipped && hour->skipped[line * hour->tenants + tenant]) continue;
        double denominator = counts[int_at(rules, DENOMINATOR, rule)];
        if (!(denominator > 0.0) || !(counts[int_at(rules, PRESENT, rule)] > 0.0)) continue;
        double numerator = counts[int_at(rules, NUMERATOR, rule)];
        double divisor = counts[int_at(rules, DIVISOR, rule)];
        double sign = float_at(rules, SIGN, rule);
        int flags = flags_at(rules, rule);
        int64_t written = millionths_of(numerator / (float_at(rules, SCALE, rule) * divisor)), bound = 0;
        /* The lower bound of nothing is 0: most counts are. */
        if (flags & IS_SURE && (numerator > 0.0 || sign < 0.0))
            bound = millionths_of(wilson(numerator, denominator, float_at(rules, QUANTILE, rule), sign));
        if (!is_plain(numerator) || !is_plain(denominator) || written < 0 || bound < 0) return NULL;
        if (denominator >= float_at(rules, LEAST, rule)) {
            double judged = (double)(flags & IS_SURE ? bound : written) / DECIMALS;
            double share = share_of(judged, float_at(rules, THRESHOLD, rule), sign);
            if (share > nearest->share) *nearest = (Nearest){rule, share};
        }
        int64_t before = rule ? end_at(rules, AFTER_END, rule - 1) : 0, middle = end_at(rules, BEFORE_END, rule);
        out = put_text(out, texts + before, middle - before);
        out = put_number(out, (uint64_t)numerator);
        *out++ = ',';
        if (flags & IS_COUNT) {
            out = put_text(out, "null,", 5);
            out = put_number(out, (uint64_t)numerator);
        } else {
            out = put_number(out, (uint64_t)denominator);
            *out++ = ',';
            out = put_millionths(out, (uint64_t)written);
        }
        *out++ = ',';
        if (flags & IS_SURE) out = put_millionths(out, (uint64_t)bound);
        else out = put_text(out, "null", 4);
        out = put_text(out, texts + middle, end_at(rules, AFTER_END, rule) - middle);
    }
    return out;
}

/* The record of a tenant from its parts; None if it is left to the caller; NULL with an exception. */
static PyObject *record_of(const Rules *rules, const Hour *hour, Py_ssize_t tenant, PyObject *name, const char *middle,
                           Py_ssize_t middle_size, char *scratch)
{
    Nearest nearest = {-1, NOT_ENOUGH};
    char share[32], *end = put_rules(scratch, rules, hour, tenant, &nearest), *name_at;
    Py_ssize_t name_size;
    if (!end) return Py_NewRef(Py_None);
    if (PyBytes_AsStringAndSize(name, &name_at, &name_size) < 0) return NULL;
    if (end > scratch) end--; /* the last comma */
    double thousandths = rint((nearest.share > 0.0 ? nearest.share : 0.0) * 1e3);
    Py_ssize_t share_size = put_millionths(share, (uint64_t)thousandths * 1000) - share;
    const char *worst = "null";
    int64_t worst_size = 4;
    if (nearest.rule >= 0) { /* its id stands between "[" and "," */
        int64_t before = nearest.rule ? end_at(rules, AFTER_END, nearest.rule - 1) : 0;
        worst = (const char *)rules->texts.buf + before + 1;
        worst_size = end_at(rules, BEFORE_END, nearest.rule) - before - 2;
    }
    static const char START[] = "{\"tenant_id\":", SHARE[] = ",\"share\":", RULES[] = ",\"rules\":[", END[] = "]}";
    Py_ssize_t size = (Py_ssize_t)(sizeof START + sizeof SHARE + sizeof RULES + sizeof END) - 4 + name_size + middle_size
                      + (Py_ssize_t)worst_size + share_size + (end - scratch);
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

/* The most bytes that the rules of a record take; -1 with an exception if there is no such rule. */
static Py_ssize_t most_bytes(const Rules *rules, const Hour *hour)
{
    int64_t most = HEAD_BYTES;
    for (Py_ssize_t line = 0; line < hour->due_count; line++) {
        Py_ssize_t rule = hour->due[line];
        if (rule < 0 || rule >= rules->rules) {
            refused("there is no such rule");
            return -1;
        }
        most += end_at(rules, AFTER_END, rule) - (rule ? end_at(rules, AFTER_END, rule - 1) : 0) + NUMBERS_BYTES;
    }
    return (Py_ssize_t)most;
}

static PyObject *records_of(const Rules *rules, const Hour *hour, const int64_t *rows, PyObject *names, Py_buffer *middle)
{
    Py_ssize_t count = PyList_Size(names), most = most_bytes(rules, hour);
    if (most < 0) return NULL;
    char *scratch = PyMem_Malloc((size_t)most);
    if (!scratch) return PyErr_NoMemory();
    PyObject *records = PyList_New(count);
    for (Py_ssize_t at = 0; records && at < count; at++) {
        PyObject *record = NULL;
        if (rows[at] < 0 || rows[at] >= hour->tenants) refused("there is no such tenant");
        else record = record_of(rules, hour, (Py_ssize_t)rows[at], PyList_GetItem(names, at), middle->buf, middle->len, scratch);
        if (!record || PyList_SetItem(records, at, record) < 0) Py_CLEAR(records);
    }
    PyMem_Free(scratch);
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
