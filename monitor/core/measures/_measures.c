/* Encodes the measures of an hour: what `monitor.core.measures.measure_encoding` does, in one pass over the counts.
 *
 * A tenant is encoded only if the result is surely the bytes that msgspec and numpy make of the same counts; any other
 * tenant is left to the caller. The numbers are computed in the same order of operations, and need the same options of
 * the compiler: no contraction to fused operations.
 *
 * What a rule writes depends on two counts alone, and most of them recur: its texts are kept in `memo`, by these counts.
 *
 * The most that a text can take is known before it is written, and all indices are checked before the first one.
 */
#include "../rules/counts.h"
#include "../rules/wilson.h"
#include <math.h>
#include <string.h>

#define FAR_OVER 10.0   /* `measure_columns.FAR_OVER` */
#define NOT_ENOUGH -1.0 /* `measure_columns.NOT_ENOUGH` */
#define DECIMALS 1e6
#define MOST 999999999999999.0 /* of millionths, and of counts: numbers of 15 digits have only one decimal form */
#define WHOLE 4503599627370496.0 /* 2^52: a double from there on is whole, and the sum with it is rounded half to even */
#define NUMBERS_BYTES 96       /* four numbers of at most 20 bytes, and their commas; and what is copied too much */
#define HEAD_BYTES 128         /* what stands between the parts of a record, the share, and what is copied too much */
#define BEFORE_BYTES 32        /* of a text that is copied at once, which costs less than copying its size */
#define KEPT_BYTES 47
#define AHEAD 1 /* tenants whose texts are fetched; their counts before that */
#define FAR_AHEAD 3

enum { IS_COUNT = 1, IS_SURE = 2, IS_DIVIDED = 4 };

/* The columns of all rules, `native_measures.NativeRules`, `[rule]`. */
enum { NUMERATOR, DENOMINATOR, PRESENT, FLAGS, SCALE, SIGN, THRESHOLD, LEAST, QUANTILE, BEFORE_END, AFTER_END,
       RULE_COLUMNS };
static const int SIZES[RULE_COLUMNS] = {4, 4, 4, 1, 8, 8, 8, 8, 8, 8, 8};

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

/* `measure_columns._shares` */
static double share_of(double judged, double threshold, double sign)
{
    double share;
    if (threshold > 0.0) share = sign > 0.0 ? judged / threshold : threshold / judged;
    else share = sign > 0.0 && judged > threshold ? FAR_OVER : 0.0;
    return share < 0.0 ? 0.0 : share > FAR_OVER ? FAR_OVER : share;
}

/* Whether it has at most 15 digits, and no sign. */
static inline int is_plain(int64_t number)
{
    return number >= 0 && number <= (int64_t)MOST;
}

/* The number in millionths, rounded half to even, as `rint` does; -1 if it is not to be written here. */
static inline int64_t millionths_of(double number)
{
    double millionths = number * DECIMALS;
    if (!(millionths > -0.5 && millionths <= MOST)) return -1;
    return (int64_t)((millionths + WHOLE) - WHOLE);
}

/* ---- Records ------------------------------------------------------------------------------------------------ */

/* What a rule wrote of two counts, in a line of the processor's cache. None has a denominator of 0, as all have at first. */
typedef struct {
    uint64_t counts; /* the numerator, and the denominator in the lower half */
    double share;
    uint8_t size;
    char text[KEPT_BYTES];
} Kept;

/* A rule that is due, with all that its part of a record depends on. */
typedef struct {
    Count numerator, denominator, present;
    int flags;
    double scale, sign, threshold, least, quantile;
    const char *before, *after; /* what stands before and after its numbers: the id, and the limits */
    Py_ssize_t before_size, after_size;
    char before_start[BEFORE_BYTES];
    const uint8_t *skipped; /* `[who]`: those to whom it does not apply; NULL: it applies to all */
    Kept *kept;
} Due;

typedef struct {
    Due *due;
    Py_ssize_t due_count, most, longest; /* the most bytes of all rules, and of the id of one */
    uint64_t kept_mask;                  /* the number of texts that are kept for each rule, less 1 */
    const char *middle;                  /* what stands between name and worst rule */
    Py_ssize_t middle_size;
} Hour;

/* The rule with the largest share so far, NULL without one. */
typedef struct {
    const Due *rule;
    double share;
} Nearest;

static inline void is_nearer(Nearest *nearest, const Due *rule, double share)
{
    if (share > nearest->share) *nearest = (Nearest){rule, share};
}

/* Write the numbers and limits of a rule, and find its share; NULL if the tenant is left to the caller. */
static char *put_numbers(char *out, const Due *rule, int64_t counted, int64_t of, double *share)
{
    if (!is_plain(counted) || !is_plain(of)) return NULL;
    double numerator = (double)counted, denominator = (double)of;
    double divisor = rule->flags & IS_DIVIDED ? denominator : 1.0;
    int64_t bound = 0, written = millionths_of(numerator / (rule->scale * divisor));
    if (rule->flags & IS_SURE) bound = millionths_of(wilson(numerator, denominator, rule->quantile, rule->sign));
    if (written < 0 || bound < 0) return NULL;
    *share = NOT_ENOUGH;
    if (denominator >= rule->least) {
        double judged = (double)(rule->flags & IS_SURE ? bound : written) / DECIMALS;
        *share = share_of(judged, rule->threshold, rule->sign);
    }
    out = put_number(out, (uint64_t)counted);
    *out++ = ',';
    if (rule->flags & IS_COUNT) {
        out = put_text(out, "null,", 5);
        out = put_number(out, (uint64_t)counted);
    } else {
        out = put_number(out, (uint64_t)of);
        *out++ = ',';
        out = put_millionths(out, (uint64_t)written);
    }
    *out++ = ',';
    if (rule->flags & IS_SURE) out = put_millionths(out, (uint64_t)bound);
    else out = put_text(out, "null", 4);
    return put_text(out, rule->after, rule->after_size);
}

/* Where a text of these counts is kept. */
static inline Kept *kept_at(const Due *rule, uint64_t mask, int64_t numerator, int64_t denominator)
{
    return &rule->kept[((uint64_t)denominator + 31 * (uint64_t)numerator) & mask];
}

/* Write what a rule measured of a tenant; NULL if the tenant is left to the caller. */
static inline char *put_rule(char *out, const Due *rule, uint64_t mask, int64_t numerator, int64_t denominator,
                             Nearest *nearest)
{
    memcpy(out, rule->before_start, BEFORE_BYTES);
    if (rule->before_size > BEFORE_BYTES) memcpy(out, rule->before, (size_t)rule->before_size);
    out += rule->before_size;
    uint64_t n = (uint64_t)numerator, d = (uint64_t)denominator, counts = n << 32 | d;
    Kept *kept = kept_at(rule, mask, numerator, denominator);
    int may_keep = !((n | d) >> 32);
    if (may_keep && kept->counts == counts) {
        memcpy(out, kept->text, KEPT_BYTES);
        is_nearer(nearest, rule, kept->share);
        return out + kept->size;
    }
    double share;
    char *end = put_numbers(out, rule, numerator, denominator, &share);
    if (!end) return NULL;
    is_nearer(nearest, rule, share);
    if (may_keep && end - out <= KEPT_BYTES) {
        kept->counts = counts, kept->share = share, kept->size = (uint8_t)(end - out);
        memcpy(kept->text, out, KEPT_BYTES); /* all at once: what lies behind the end is never read */
    }
    return end;
}

/* Write what the rules measured of the tenant, who is at `at` in `who`; NULL if it is left to the caller. */
static char *put_rules(char *out, const Hour *hour, Py_ssize_t at, Py_ssize_t tenant, Nearest *nearest)
{
    for (const Due *rule = hour->due, *end = rule + hour->due_count; out && rule < end; rule++) {
        if (rule->skipped && rule->skipped[at]) continue;
        int64_t denominator = count_at(&rule->denominator, tenant);
        if (denominator <= 0 || count_at(&rule->present, tenant) <= 0) continue;
        out = put_rule(out, rule, hour->kept_mask, count_at(&rule->numerator, tenant), denominator, nearest);
    }
    return out;
}

/* Between two hours all memory is cold, and waiting for it would be most of the cost: it is fetched for the next tenants. */

static void fetch_counts(const Hour *hour, Py_ssize_t tenant)
{
    for (const Due *rule = hour->due, *end = rule + hour->due_count; rule < end; rule++) {
        FETCH(rule->numerator.first + tenant * rule->numerator.step);
        FETCH(rule->denominator.first + tenant * rule->denominator.step);
    }
}

static void fetch_kept(const Hour *hour, Py_ssize_t tenant)
{
    for (const Due *rule = hour->due, *end = rule + hour->due_count; rule < end; rule++)
        FETCH(kept_at(rule, hour->kept_mask, count_at(&rule->numerator, tenant), count_at(&rule->denominator, tenant)));
}

static const char START[] = "{\"tenant_id\":\"", SHARE[] = ",\"share\":", RULES[] = ",\"rules\":[", END[] = "]}";
enum { START_SIZE = sizeof START - 1, SHARE_SIZE = sizeof SHARE - 1, RULES_SIZE = sizeof RULES - 1, END_SIZE = sizeof END - 1 };

static inline void fetch_name(const PyObject *name)
{
    FETCH(name);
    FETCH((const char *)name + 64);
}

/* Whether JSON has these bytes as they are. */
static int is_unescaped(const char *text, Py_ssize_t size)
{
    int as_is = 1;
    for (Py_ssize_t at = 0; at < size; at++) as_is &= (uint8_t)text[at] >= 0x20 && text[at] != '"' && text[at] != '\\';
    return as_is;
}

typedef struct {
    const char *at;
    Py_ssize_t size;
} Name;

/* Write what stands before the rules so that it ends at `end`, and return where it begins. */
static char *put_head(char *end, const Hour *hour, const Name *name, const Nearest *nearest)
{
    char share[32];
    double thousandths = rint((nearest->share > 0.0 ? nearest->share : 0.0) * 1e3);
    Py_ssize_t share_size = put_millionths(share, (uint64_t)thousandths * 1000) - share;
    const char *worst = "null";
    Py_ssize_t worst_size = 4;
    if (nearest->rule) { /* its id stands between "[" and "," */
        worst = nearest->rule->before + 1;
        worst_size = nearest->rule->before_size - 2;
    }
    char *begin = end - (START_SIZE + name->size + hour->middle_size + worst_size + SHARE_SIZE + share_size + RULES_SIZE);
    char *out = put_text(begin, START, START_SIZE);
    out = put_text(out, name->at, name->size);
    out = put_text(out, hour->middle, hour->middle_size);
    out = put_text(out, worst, worst_size);
    out = put_text(out, SHARE, SHARE_SIZE);
    out = put_text(out, share, share_size);
    put_text(out, RULES, RULES_SIZE);
    return begin;
}

/* The most bytes before the rules. */
static Py_ssize_t most_of_head(const Hour *hour, const Name *name)
{
    return START_SIZE + name->size + hour->middle_size + hour->longest + SHARE_SIZE + 32 + RULES_SIZE;
}

/* Where the records are to be written, and where they lie, `[who]`. */
typedef struct {
    char *block;
    Py_ssize_t size, used;
    int64_t *start, *length, *name_size;
} Records;

/* Write the record of a tenant, or mark it as left to the caller. 0: it may not fit, or with an exception. */
static int put_record(Records *records, const Hour *hour, Py_ssize_t at, Py_ssize_t tenant, PyObject *name)
{
    Name id;
    id.at = PyUnicode_AsUTF8AndSize(name, &id.size);
    if (!id.at) return 0;
    Py_ssize_t before = most_of_head(hour, &id);
    if (records->size - records->used < before + hour->most) return 0;
    Nearest nearest = {NULL, NOT_ENOUGH};
    char *rules = records->block + records->used + before, *end = NULL;
    if (is_unescaped(id.at, id.size)) end = put_rules(rules, hour, at, tenant, &nearest);
    records->start[at] = records->used;
    records->length[at] = -1;
    records->name_size[at] = id.size;
    if (!end) return 1;
    char *begin = put_head(rules, hour, &id, &nearest);
    if (end > rules) end--; /* the last comma */
    end = put_text(end, END, END_SIZE);
    records->start[at] = begin - records->block;
    records->length[at] = end - begin;
    records->used = end - records->block;
    return 1;
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

/* Whether the counts of a rule are given. */
static int all_given(const Rules *rules, const Counts *counts, Py_ssize_t rule)
{
    for (int column = NUMERATOR; column <= PRESENT; column++)
        if (!is_given(counts, int_at(rules, column, rule))) return refused("a count is not given");
    return 1;
}

/* A rule that is due, without what the call has of it. */
static Due due_rule(const Rules *rules, const Counts *counts, Py_ssize_t rule)
{
    int64_t before = rule ? end_at(rules, AFTER_END, rule - 1) : 0, middle = end_at(rules, BEFORE_END, rule);
    const char *texts = rules->texts.buf;
    Due due = {
        .numerator = counts->count[int_at(rules, NUMERATOR, rule)],
        .denominator = counts->count[int_at(rules, DENOMINATOR, rule)],
        .present = counts->count[int_at(rules, PRESENT, rule)],
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
    };
    memcpy(due.before_start, due.before, (size_t)(due.before_size < BEFORE_BYTES ? due.before_size : BEFORE_BYTES));
    return due;
}

/* What the call is given of the rules that are due. */
typedef struct {
    Py_buffer due, memo, skipped; /* `[due]`, `[rule, kept]`, and `[due, who]`, which may be without an object */
    Py_ssize_t who;
} Given;

/* Whether there is memory for as many texts of each rule, by a power of two. */
static int memo_of(const Given *given, const Rules *rules, Hour *hour)
{
    Py_ssize_t all = given->memo.len / (Py_ssize_t)sizeof(Kept), each = rules->rules ? all / rules->rules : 0;
    if (given->memo.itemsize != 1 || (uintptr_t)given->memo.buf % sizeof(uint64_t)) return refused("the memory does not fit");
    if (each < 1 || each & (each - 1)) return refused("the memory does not fit");
    hour->kept_mask = (uint64_t)each - 1;
    return 1;
}

/* The rules that are due, in `hour->due` for PyMem_Free, and the most bytes that they take. */
static int hour_of(const Given *given, const Rules *rules, const Counts *counts, Hour *hour)
{
    hour->due_count = given->due.len / 4;
    if (given->skipped.obj && (given->skipped.itemsize != 1 || given->skipped.len != hour->due_count * given->who))
        return refused("the columns do not fit each other");
    if (hour->due_count && !memo_of(given, rules, hour)) return 0;
    hour->due = PyMem_Calloc((size_t)hour->due_count + 1, sizeof *hour->due);
    if (!hour->due) return PyErr_NoMemory() != NULL;
    hour->most = HEAD_BYTES;
    hour->longest = 4; /* null */
    for (Py_ssize_t line = 0; line < hour->due_count; line++) {
        int32_t rule = ((const int32_t *)given->due.buf)[line];
        if (rule < 0 || rule >= rules->rules) return refused("there is no such rule");
        if (!all_given(rules, counts, rule)) return 0;
        Due *due = &hour->due[line];
        *due = due_rule(rules, counts, rule);
        due->kept = (Kept *)given->memo.buf + (Py_ssize_t)rule * (Py_ssize_t)(hour->kept_mask + 1);
        if (given->skipped.obj) due->skipped = (const uint8_t *)given->skipped.buf + line * given->who;
        hour->most += due->before_size + due->after_size + NUMBERS_BYTES;
        if (due->before_size > hour->longest) hour->longest = due->before_size;
    }
    return 1;
}

/* Write the records from `first` on that fit into the block, and return the number of the next one; -1 with an exception. */
static Py_ssize_t written(Records *records, const Hour *hour, const Py_buffer *who, Py_ssize_t first, PyObject *names)
{
    const int64_t *tenant = who->buf;
    Py_ssize_t at = first, end = who->len / 8;
    for (; at < end; at++) {
        if (at + FAR_AHEAD < end) fetch_counts(hour, (Py_ssize_t)tenant[at + FAR_AHEAD]);
        if (at + FAR_AHEAD < end) fetch_name(PyList_GetItem(names, (Py_ssize_t)tenant[at + FAR_AHEAD]));
        if (at + AHEAD < end) fetch_kept(hour, (Py_ssize_t)tenant[at + AHEAD]);
        if (!put_record(records, hour, at, (Py_ssize_t)tenant[at], PyList_GetItem(names, (Py_ssize_t)tenant[at]))) break;
    }
    return PyErr_Occurred() ? -1 : at;
}

enum { WHO, START_OF, LENGTH_OF, NAME_OF, COLUMNS };

/* encode(rules, width, blocks, tenants, due, skipped, memo, names, middle, first, block, who, start, length, name size)
 * -> (the next one, bytes written) */
static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *columns, *blocks, *names, *skipped;
    Py_buffer middle = {0}, block = {0}, of[COLUMNS] = {{0}};
    Py_ssize_t first, next = -1;
    Rules rules = {0};
    Counts counts = {0};
    Given given = {0};
    Hour hour = {0};
    Records records = {0};
    (void)module;
    if (!PyArg_ParseTuple(args, "OnO!ny*Ow*O!y*nw*y*w*w*w*", &columns, &counts.width, &PyList_Type, &blocks, &counts.tenants,
                          &given.due, &skipped, &given.memo, &PyList_Type, &names, &middle, &first, &block, &of[WHO],
                          &of[START_OF], &of[LENGTH_OF], &of[NAME_OF]))
        return NULL;
    given.who = of[WHO].len / 8;
    int fit = items_of(&given.due, 4) && items_of(&block, 1);
    for (int column = 0; fit && column < COLUMNS; column++) fit = column_of(&of[column], 8, given.who);
    if (fit && (first < 0 || first > given.who || counts.tenants > PyList_Size(names)))
        fit = refused("the columns do not fit each other");
    if (fit && skipped != Py_None) fit = PyObject_GetBuffer(skipped, &given.skipped, PyBUF_C_CONTIGUOUS) == 0;
    hour.middle = middle.buf, hour.middle_size = middle.len;
    records = (Records){block.buf, block.len, 0, of[START_OF].buf, of[LENGTH_OF].buf, of[NAME_OF].buf};
    if (fit && tenants_exist(of[WHO].buf, given.who, counts.tenants) && counts_of(blocks, &counts)
        && rules_of(columns, counts.width, &rules) && hour_of(&given, &rules, &counts, &hour))
        next = written(&records, &hour, &of[WHO], first, names);
    PyMem_Free(hour.due);
    rules_released(&rules);
    counts_released(&counts);
    if (given.skipped.obj) PyBuffer_Release(&given.skipped);
    PyBuffer_Release(&given.due);
    PyBuffer_Release(&given.memo);
    PyBuffer_Release(&middle);
    PyBuffer_Release(&block);
    all_released(of, COLUMNS);
    return next < 0 ? NULL : Py_BuildValue("nn", next, records.used);
}

static PyMethodDef METHODS[] = {{"encode", encode, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_measures, METHODS, 3)
