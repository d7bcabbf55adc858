/* Parses lines of calls into columns and keys: what `schemas.codec`, `monitor.core.calls.columns` and
 * `monitor.core.calls.keys` do, in one pass over the bytes.
 *
 * A line is taken only if it surely is the call that `schemas.codec` would read from it; any other line, valid or not,
 * is left to the caller. So this parser may be strict: it refuses whatever is rare (escaped names, repeated fields,
 * exponents, deep nesting), and never explains why.
 *
 * Nothing is allocated for a line. All output goes to buffers of the caller, whose sizes are checked before the first
 * row; lengths are those of the buffers, never read from the input. The GIL is released while rows are parsed.
 */
#include "../core/calls/mix.h"
#include "../extension.h"
#include <string.h>

#define MAX_LINE (1 << 20) /* bytes; longer lines are left to the caller */
#define MAX_DEPTH 32       /* of arrays and objects in fields that are not read; `codec.MAX_DEPTH` is larger */
#define MAX_ID 128         /* code points of an id; schemas.inputs.Id */
#define MAX_PARTY 64       /* schemas.inputs.Party */
#define MAX_TEXT 4096      /* schemas.inputs.Text */
#define ID_BYTES (4 * MAX_ID)
#define MIN_MS INT64_C(631152000000)
#define END_MS INT64_C(4102444800000)

typedef struct {
    const uint8_t *at;
    Py_ssize_t size;
} Text;

/* ---- The fields of a call ----------------------------------------------------------------------------------- */

enum { TYPE, CALL_ID, TENANT_ID, DIRECTION, CALLER, CALLEE, START_MS, END_MS_, OUTCOME, RING_MS, ANSWER_MS, HANGUP_BY,
       ANSWERED_BY, AGENT_ID, CAMPAIGN_ID, RECORDING_ID, CONSENT_ID, SOURCE, SIP_CODE, Q850, ATTESTATION, FIELDS };

static const char *const NAMES[FIELDS] = {
    "type", "call_id", "tenant_id", "direction", "caller", "callee", "start_ms", "end_ms", "outcome", "ring_ms",
    "answer_ms", "hangup_by", "answered_by", "agent_id", "campaign_id", "recording_id", "consent_id", "source",
    "sip_code", "q850", "attestation"};
static const uint8_t NAME_SIZES[FIELDS] = {4, 7, 9, 9, 6, 6, 8, 6, 7, 7, 9, 9, 11, 8, 11, 12, 10, 6, 8, 4, 11};
#define REQUIRED ((1u << (OUTCOME + 1)) - 1) /* the fields up to the outcome */

static const char *const DIRECTIONS[] = {"inbound", "outbound", NULL}; /* in the order of their codes */
static const char *const OUTCOMES[] = {"answered", "no_answer", "busy", "rejected", "invalid_number", "unreachable",
                                       "carrier_blocked", "policy_blocked", "cancelled", "failed", NULL};
static const char *const RELEASERS[] = {"", "caller", "callee", "system", NULL};
static const char *const ANSWERERS[] = {"", "human", "machine", NULL};
static const char *const ATTESTATIONS[] = {"", "A", "B", "C", NULL};
#define ANSWERED 0
#define BY_CALLEE 2
#define OUTCOME_COUNT 10

typedef struct {
    Text call_id, tenant_id, caller, callee, consent_id;
    int64_t start_ms, end_ms, ring_ms, answer_ms; /* 0: absent */
    int outbound, outcome, by_callee;
} Call;

/* Where a parser is. `limit` is the end of the readable bytes, behind the end of the line. */
typedef struct {
    const uint8_t *p, *end, *limit;
    uint8_t order[FIELDS]; /* the fields of the line before, in its order: the next line has them likewise */
    int ordered;
    uint8_t unescaped[5][ID_BYTES + 4]; /* the texts of `Call` that were written with escapes */
} Parser;

/* ---- Strings ------------------------------------------------------------------------------------------------ */

/* Eight bytes are read as a word whose lowest byte is the first. Other compilers, and other machines, read bytes. */
#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define WORDS_AT_ONCE
#endif

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define TOP EACH(0x80)

/* The bytes of a word (its top bits) that end a run of plain characters: a quote, a backslash, a control character, or
 * a byte that is not ASCII. The lowest one is exact; those above it may be false. */
static inline uint64_t special(uint64_t word)
{
    uint64_t quote = word ^ EACH('"'), backslash = word ^ EACH('\\');
    return (((quote - EACH(1)) & ~quote) | ((backslash - EACH(1)) & ~backslash) | ((word - EACH(0x20)) & ~word) | word)
           & TOP;
}

/* The number of bytes of the UTF-8 sequence at `p`, which is not ASCII; 0 if it is none. */
static int sequence(const uint8_t *p, const uint8_t *end)
{
    uint8_t lead = p[0];
    Py_ssize_t left = end - p;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (lead < 0xF0) {
        if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return 0;
        if (lead == 0xE0 && p[1] < 0xA0) return 0; /* overlong */
        if (lead == 0xED && p[1] > 0x9F) return 0; /* a surrogate */
        return 3;
    }
    if (lead > 0xF4) return 0;
    if (left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return 0;
    if (lead == 0xF0 && p[1] < 0x90) return 0; /* overlong */
    if (lead == 0xF4 && p[1] > 0x8F) return 0; /* beyond Unicode */
    return 4;
}

/* Four hexadecimal digits; -1 if they are none. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t value = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        if (c >= '0' && c <= '9') c -= '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') c = (uint8_t)((c | 0x20) - 'a' + 10);
        else return -1;
        value = value << 4 | c;
    }
    return value;
}

/* The code point of the escape at `*p`, a backslash, and the position behind it; -1 if it is none. */
static int32_t escape(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *q = *p;
    if (end - q < 2) return -1;
    *p = q + 2;
    switch (q[1]) {
    case '"': case '\\': case '/': return q[1];
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u': break;
    default: return -1;
    }
    int32_t high = hex4(q + 2, end);
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) return -1;
    *p = q + 6;
    if (high < 0xD800 || high > 0xDBFF) return high;
    if (end - q < 12 || q[6] != '\\' || q[7] != 'u') return -1;
    int32_t low = hex4(q + 8, end);
    if (low < 0xDC00 || low > 0xDFFF) return -1;
    *p = q + 12;
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static int put(uint8_t *out, int32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

/* Reads a string from behind its opening quote to behind its closing one. Gives the bytes between, its number of code
 * points, and whether it has escapes. False if it is no string, or not UTF-8. */
static inline int string(Parser *s, Text *raw, Py_ssize_t *points, int *escaped)
{
    const uint8_t *p = s->p, *first = p;
    Py_ssize_t beyond = 0; /* bytes that are not code points of their own */
    *escaped = 0;
    for (;;) {
#ifdef WORDS_AT_ONCE
        while (s->limit - p >= 8) {
            uint64_t word, found;
            memcpy(&word, p, 8);
            found = special(word);
            if (found) {
                p += __builtin_ctzll(found) >> 3;
                break;
            }
            p += 8;
        }
#endif
        while (p < s->end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
        if (p >= s->end) return 0;
        if (*p == '"') break;
        if (*p >= 0x80) {
            int size = sequence(p, s->end);
            if (!size) return 0;
            p += size;
            beyond += size - 1;
        } else if (*p == '\\') {
            const uint8_t *before = p;
            if (escape(&p, s->end) < 0) return 0;
            beyond += p - before - 1;
            *escaped = 1;
        } else {
            return 0;
        }
    }
    raw->at = first;
    raw->size = p - first;
    *points = p - first - beyond;
    s->p = p + 1;
    return 1;
}

/* The text of a string with escapes, of at most MAX_ID code points. */
static Text unescaped(Text raw, uint8_t *out)
{
    const uint8_t *p = raw.at, *end = raw.at + raw.size;
    Text text = {out, 0};
    while (p < end && text.size <= ID_BYTES) {
        if (*p == '\\') {
            int32_t c = escape(&p, end);
            if (c < 0) break; /* `string` has read it before */
            text.size += put(out + text.size, c);
        } else {
            out[text.size++] = *p++;
        }
    }
    return text;
}

/* ---- Values ------------------------------------------------------------------------------------------------- */

static inline void spaces(Parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n')) s->p++;
}

static inline int is(Parser *s, const char *word, Py_ssize_t size)
{
    if (s->end - s->p < size || memcmp(s->p, word, (size_t)size) != 0) return 0;
    s->p += size;
    return 1;
}

static inline int is_null(Parser *s)
{
    return is(s, "null", 4);
}

/* A string of `least` to `most` code points, without its escapes if `out` is given. */
static inline int text(Parser *s, Py_ssize_t least, Py_ssize_t most, Text *found, uint8_t *out)
{
    Py_ssize_t points;
    int escaped;
    if (s->p >= s->end || *s->p != '"') return 0;
    s->p++;
    if (!string(s, found, &points, &escaped) || points < least || points > most) return 0;
    if (escaped && out) *found = unescaped(*found, out);
    return 1;
}

/* One of these words, written without escapes: its number, else -1. */
static inline int word(Parser *s, const char *const *words)
{
    Text found;
    if (!text(s, 0, 32, &found, NULL)) return -1;
    for (int i = 0; words[i]; i++) {
        if ((Py_ssize_t)strlen(words[i]) == found.size && memcmp(words[i], found.at, (size_t)found.size) == 0) return i;
    }
    return -1;
}

/* An integer of `least` to `most`, neither negative, without fraction and exponent. */
static inline int integer(Parser *s, int64_t least, int64_t most, int64_t *found)
{
    const uint8_t *p = s->p, *first = p;
    int64_t value = 0;
    while (p < s->end && p - first < 14 && (uint8_t)(*p - '0') <= 9) value = value * 10 + (*p++ - '0');
    if (p == first || p - first > 13 || (*first == '0' && p - first > 1) || value < least || value > most) return 0;
    s->p = p; /* what follows must be a comma or a brace */
    *found = value;
    return 1;
}

/* As `integer`; 0 for null and "". */
static inline int optional_integer(Parser *s, int64_t least, int64_t most, int64_t *found)
{
    *found = 0;
    return is_null(s) || is(s, "\"\"", 2) || integer(s, least, most, found);
}

/* A number in a field that is not read. Those that may be out of range for `codec` are left to it. */
static int number(Parser *s)
{
    const uint8_t *p = s->p, *first;
    if (p < s->end && *p == '-') p++;
    first = p;
    while (p < s->end && (uint8_t)(*p - '0') <= 9) p++;
    if (p == first || p - first > 17 || (*first == '0' && p - first > 1)) return 0;
    if (p < s->end && *p == '.') {
        first = ++p;
        while (p < s->end && (uint8_t)(*p - '0') <= 9) p++;
        if (p == first || p - first > 17) return 0;
    }
    if (p < s->end && (*p | 0x20) == 'e') return 0;
    s->p = p;
    return 1;
}

/* Any value of a field that is not read. */
static int any(Parser *s)
{
    uint64_t objects = 0; /* a bit for each open bracket: whether it is an object */
    int depth = 0, escaped;
    Text found;
    Py_ssize_t points;
    for (;;) {
        spaces(s);
        if (s->p >= s->end) return 0;
        uint8_t c = *s->p;
        int opened = 0;
        if (c == '"') {
            s->p++;
            if (!string(s, &found, &points, &escaped)) return 0;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH) return 0;
            objects = objects << 1 | (c == '{');
            s->p++;
            opened = 1;
        } else if (c == 't') {
            if (!is(s, "true", 4)) return 0;
        } else if (c == 'f') {
            if (!is(s, "false", 5)) return 0;
        } else if (c == 'n') {
            if (!is_null(s)) return 0;
        } else if (!number(s)) {
            return 0;
        }
        /* To the next value: out of what ends here, over a comma, over a name. */
        for (;;) {
            if (!depth) return 1;
            spaces(s);
            if (s->p >= s->end) return 0;
            c = *s->p;
            if (c == ((objects & 1) ? '}' : ']')) {
                s->p++;
                depth--;
                objects >>= 1;
                opened = 0;
                continue;
            }
            if (!opened) {
                if (c != ',') return 0;
                s->p++;
                spaces(s);
            }
            break;
        }
        if (objects & 1) {
            if (!is(s, "\"", 1) || !string(s, &found, &points, &escaped)) return 0;
            spaces(s);
            if (!is(s, ":", 1)) return 0;
        }
    }
}

/* The value of a field. */
static inline int value(Parser *s, int field, Call *call)
{
    Text ignored;
    int64_t number;
    int found;
    switch (field) {
    case TYPE: return is(s, "\"cdr\"", 5);
    case CALL_ID: return text(s, 1, MAX_ID, &call->call_id, s->unescaped[0]);
    case TENANT_ID: return text(s, 1, MAX_ID, &call->tenant_id, s->unescaped[1]);
    case CALLER: return text(s, 1, MAX_PARTY, &call->caller, s->unescaped[2]);
    case CALLEE: return text(s, 1, MAX_PARTY, &call->callee, s->unescaped[3]);
    case CONSENT_ID: return is_null(s) || text(s, 0, MAX_ID, &call->consent_id, s->unescaped[4]);
    case AGENT_ID: case CAMPAIGN_ID: case RECORDING_ID: return is_null(s) || text(s, 0, MAX_ID, &ignored, NULL);
    case SOURCE: return is_null(s) || text(s, 0, MAX_TEXT, &ignored, NULL);
    case DIRECTION: return (call->outbound = word(s, DIRECTIONS)) >= 0;
    case OUTCOME: return (call->outcome = word(s, OUTCOMES)) >= 0;
    case HANGUP_BY:
        if (is_null(s)) return 1;
        found = word(s, RELEASERS);
        call->by_callee = found == BY_CALLEE;
        return found >= 0;
    case ANSWERED_BY: return is_null(s) || word(s, ANSWERERS) >= 0;
    case ATTESTATION: return is_null(s) || word(s, ATTESTATIONS) >= 0;
    case START_MS: return integer(s, MIN_MS, END_MS - 1, &call->start_ms);
    case END_MS_: return integer(s, MIN_MS, END_MS - 1, &call->end_ms);
    case RING_MS: return optional_integer(s, MIN_MS, END_MS - 1, &call->ring_ms);
    case ANSWER_MS: return optional_integer(s, MIN_MS, END_MS - 1, &call->answer_ms);
    case SIP_CODE: return optional_integer(s, 100, 699, &number);
    case Q850: return optional_integer(s, 0, 127, &number);
    default: return any(s);
    }
}

/* The field whose name is next, from behind its opening quote, and read to behind its closing one. FIELDS if it is of no
 * call, -1 if it is no name that is taken. `place` is its place in the line. */
static inline int name(Parser *s, int place)
{
    Text raw;
    Py_ssize_t points;
    int escaped;
    if (place < s->ordered) {
        int likely = s->order[place];
        Py_ssize_t size = NAME_SIZES[likely];
        if (s->end - s->p > size && s->p[size] == '"' && memcmp(s->p, NAMES[likely], (size_t)size) == 0) {
            s->p += size + 1;
            return likely;
        }
    }
    if (!string(s, &raw, &points, &escaped) || escaped) return -1;
    for (int field = 0; field < FIELDS; field++) {
        if (raw.size == NAME_SIZES[field] && memcmp(raw.at, NAMES[field], (size_t)raw.size) == 0) return field;
    }
    return FIELDS;
}

/* The call of one line. False if the line is left to the caller. */
static int parse(Parser *s, Call *call)
{
    uint32_t seen = 0;
    int known = 0;
    memset(call, 0, sizeof *call);
    spaces(s);
    if (!is(s, "{", 1)) return 0;
    spaces(s);
    for (;;) {
        if (!is(s, "\"", 1)) return 0;
        int field = name(s, known);
        if (field < 0) return 0;
        spaces(s);
        if (!is(s, ":", 1)) return 0;
        spaces(s);
        if (!value(s, field, call)) return 0;
        if (field < FIELDS) {
            if (seen & 1u << field) return 0; /* repeated */
            seen |= 1u << field;
            s->order[known++] = (uint8_t)field;
            if (known > s->ordered) s->ordered = known;
        }
        spaces(s);
        if (is(s, ",", 1)) {
            spaces(s);
            continue;
        }
        if (!is(s, "}", 1)) return 0;
        break;
    }
    spaces(s);
    if (s->p != s->end || (seen & REQUIRED) != REQUIRED) return 0;
    int64_t ring_ms = call->ring_ms ? call->ring_ms : call->start_ms;
    int64_t answer_ms = call->answer_ms ? call->answer_ms : ring_ms;
    return call->start_ms <= ring_ms && ring_ms <= answer_ms && answer_ms <= call->end_ms
           && (call->outcome == ANSWERED) == (call->answer_ms != 0);
}

/* ---- Keys: monitor.core.calls.keys -------------------------------------------------------------------------- */

#define A UINT64_C(0x9E3779B97F4A7C15)
#define BLOCK_SALT UINT64_C(0xA0761D6478BD642F)
#define CONSENT_SALT UINT64_C(0x8EBC6AF09C88C6E3)
#define ALONE 127
#define MOST_DIGITS 19

static inline uint64_t text_key(Text text, uint64_t salt)
{
    uint64_t state = salt ^ (uint64_t)text.size * A;
    for (Py_ssize_t at = 0; at < text.size; at += 8) {
        uint64_t word = 0;
        Py_ssize_t left = text.size - at;
#ifdef WORDS_AT_ONCE
        memcpy(&word, text.at + at, (size_t)(left < 8 ? left : 8));
#else
        for (int i = 0; i < (left < 8 ? left : 8); i++) word |= (uint64_t)text.at[at + i] << 8 * i;
#endif
        state = mix(state ^ word) * A + (word >> 32);
    }
    return mix(state);
}

static inline uint64_t number_key(Text text, uint64_t salt, uint64_t modulus, int *numeric)
{
    int plus = text.at[0] == '+';
    Py_ssize_t digits = text.size - plus;
    uint64_t value = 0;
    *numeric = digits > 0;
    for (Py_ssize_t i = plus; i < text.size; i++) {
        uint8_t digit = (uint8_t)(text.at[i] - '0');
        if (digit > 9) {
            *numeric = 0;
            break;
        }
        if (i - plus == MOST_DIGITS) value %= modulus;
        value = value * 10 + digit;
        if (i - plus >= MOST_DIGITS) value %= modulus;
    }
    if (*numeric) return value + mix(salt ^ (uint64_t)(2 * digits + plus) * A);
    return mix(text_key(text, 0) ^ salt);
}

/* Of a number with that key. */
static inline uint64_t block_key(uint64_t key, Text text)
{
    uint64_t ending = ALONE, less = 0;
    if (text.size > 2 && (text.at[0] != '+' || text.size > 3)) {
        less = ending = (uint64_t)(text.at[text.size - 2] - '0') * 10 + (uint64_t)(text.at[text.size - 1] - '0');
    }
    return (mix((key - less) ^ BLOCK_SALT) & ~UINT64_C(127)) | ending;
}

/* SipHash-1-3 (Aumasson, Bernstein 2012), of the names in the table of tenants: with a public hash, tenants could craft
 * names that fall on each other. */
#define ROTATED(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))
#define ROUND                                                                                                          \
    do {                                                                                                               \
        a += b, b = ROTATED(b, 13), b ^= a, a = ROTATED(a, 32);                                                        \
        c += d, d = ROTATED(d, 16), d ^= c;                                                                            \
        a += d, d = ROTATED(d, 21), d ^= a;                                                                            \
        c += b, b = ROTATED(b, 17), b ^= c, c = ROTATED(c, 32);                                                        \
    } while (0)

static inline uint64_t sip(Text text, const uint64_t secret[2])
{
    uint64_t a = secret[0] ^ UINT64_C(0x736f6d6570736575), b = secret[1] ^ UINT64_C(0x646f72616e646f6d);
    uint64_t c = secret[0] ^ UINT64_C(0x6c7967656e657261), d = secret[1] ^ UINT64_C(0x7465646279746573);
    uint64_t last = (uint64_t)text.size << 56, word;
    Py_ssize_t at = 0;
    for (; text.size - at >= 8; at += 8) {
        memcpy(&word, text.at + at, 8);
        d ^= word;
        ROUND;
        a ^= word;
    }
    for (int i = 0; at < text.size; at++, i++) last |= (uint64_t)text.at[at] << 8 * i;
    d ^= last;
    ROUND;
    a ^= last;
    c ^= 0xff;
    ROUND;
    ROUND;
    ROUND;
    return a ^ b ^ c ^ d;
}

/* ---- The plan: how calls become columns --------------------------------------------------------------------- */

#define MAX_LIMITS 64 /* a word has that many bits */

typedef struct {
    int64_t limit;
    int bit;
} Limit;

/* The bits of a layout that depend on a limit, for calls that end at `from_ms` or later. */
typedef struct {
    int64_t from_ms;
    int shorts, rings;
    Limit short_call[MAX_LIMITS], short_ring[MAX_LIMITS];
} Layout;

/* See `_calls.pyi`. */
typedef struct {
    uint64_t salt, modulus, secret[2];
    uint64_t words[2][OUTCOME_COUNT];
    int attempts, answered, cancelled, rang, zero_second, long_call, callee_hangup, consented; /* bits */
    int64_t long_ms, hangup_ms;
    int layouts;
    Layout layout[];
} Plan;

#define CAPSULE "monitor.decoding._calls.plan"

static void plan_freed(PyObject *capsule)
{
    PyMem_Free(PyCapsule_GetPointer(capsule, CAPSULE));
}

static int bit_of(PyObject *bits, const char *name, int *bit)
{
    PyObject *found = PyDict_GetItemString(bits, name); /* borrowed */
    if (!found) {
        PyErr_Format(PyExc_ValueError, "no bit is given for %s", name);
        return 0;
    }
    long number = PyLong_AsLong(found);
    if (number < 0 || number > 63) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "the bit of %s is none of a word", name);
        return 0;
    }
    *bit = (int)number;
    return 1;
}

static int limits_of(PyObject *pairs, Limit *limits, int *count)
{
    Py_ssize_t size = PySequence_Size(pairs);
    if (size < 0) return 0;
    if (size > MAX_LIMITS) {
        PyErr_SetString(PyExc_ValueError, "a layout has too many limits");
        return 0;
    }
    for (*count = 0; *count < size; ++*count) {
        PyObject *pair = PySequence_GetItem(pairs, *count);
        long long limit;
        int bit, read = pair && PyArg_ParseTuple(pair, "Li", &limit, &bit);
        Py_XDECREF(pair);
        if (!read) return 0;
        if (bit < 0 || bit > 63) {
            PyErr_SetString(PyExc_ValueError, "the bit of a limit is none of a word");
            return 0;
        }
        limits[*count] = (Limit){limit, bit};
    }
    return 1;
}

static int words_of(PyObject *given, Plan *plan)
{
    for (Py_ssize_t i = 0; i < 2; i++) {
        PyObject *row = PySequence_GetItem(given, i);
        for (Py_ssize_t k = 0; row && k < OUTCOME_COUNT; k++) {
            PyObject *one = PySequence_GetItem(row, k);
            plan->words[i][k] = one ? PyLong_AsUnsignedLongLong(one) : 0;
            Py_XDECREF(one);
            if (PyErr_Occurred()) break;
        }
        Py_XDECREF(row);
        if (PyErr_Occurred()) return 0;
    }
    return 1;
}

static PyObject *make_plan(PyObject *module, PyObject *args)
{
    unsigned long long salt, modulus, secret0, secret1;
    long long long_ms, hangup_ms;
    PyObject *words, *bits, *layouts;
    (void)module;
    if (!PyArg_ParseTuple(args, "KK(KK)OO!LLO", &salt, &modulus, &secret0, &secret1, &words, &PyDict_Type, &bits,
                          &long_ms, &hangup_ms, &layouts))
        return NULL;
    Py_ssize_t count = PySequence_Size(layouts);
    if (count < 0) return NULL;
    if (count < 1 || count > 100000 || modulus == 0 || modulus >> 60) {
        PyErr_SetString(PyExc_ValueError, "expected a layout, and a modulus below 2**60");
        return NULL;
    }
    Plan *plan = PyMem_Calloc(1, sizeof(Plan) + (size_t)count * sizeof(Layout));
    if (!plan) return PyErr_NoMemory();
    plan->salt = salt, plan->modulus = modulus, plan->secret[0] = secret0, plan->secret[1] = secret1;
    plan->long_ms = long_ms, plan->hangup_ms = hangup_ms, plan->layouts = (int)count;
    int read = words_of(words, plan) && bit_of(bits, "attempts", &plan->attempts)
               && bit_of(bits, "answered", &plan->answered) && bit_of(bits, "cancelled", &plan->cancelled)
               && bit_of(bits, "rang", &plan->rang) && bit_of(bits, "zero_second", &plan->zero_second)
               && bit_of(bits, "long", &plan->long_call) && bit_of(bits, "callee_hangup", &plan->callee_hangup)
               && bit_of(bits, "consented", &plan->consented);
    for (Py_ssize_t i = 0; read && i < count; i++) {
        PyObject *one = PySequence_GetItem(layouts, i), *shorts, *rings;
        long long from_ms;
        Layout *layout = &plan->layout[i];
        read = one && PyArg_ParseTuple(one, "LOO", &from_ms, &shorts, &rings)
               && limits_of(shorts, layout->short_call, &layout->shorts)
               && limits_of(rings, layout->short_ring, &layout->rings);
        if (read) layout->from_ms = from_ms;
        Py_XDECREF(one);
    }
    PyObject *capsule = read ? PyCapsule_New(plan, CAPSULE, plan_freed) : NULL;
    if (!capsule) PyMem_Free(plan);
    return capsule;
}

/* ---- Columns ------------------------------------------------------------------------------------------------ */

/* The output, in the order of `monitor.decoding.native.COLUMNS`; in brackets the number of entries. */
enum { COUNTS, /* [4] int64: calls, bytes of their ids, tenants, bytes of their names */
       ROW, TENANT, WORD, START, END, TALK, RING_DELAY, CALLEE_KEY, CALLEE_NUMERIC, CALLER_KEY, ID_KEY, ID_SIZE, /* [n] */
       BLOCK_KEY, CONSENT_KEY, /* [n], or [0] if not wanted */
       IDS, /* bytes */
       NAME_END, SALTS, /* [n] */
       NAMES_, /* bytes */
       SLOTS, /* a power of two above n: the table of tenants, -1 where a slot is free */
       COLUMNS };

static const uint8_t ITEM_SIZES[COLUMNS] = {8, 8, 4, 8, 8, 8, 8, 8, 8, 1, 8, 8, 4, 8, 8, 1, 8, 8, 1, 4};

typedef struct {
    Py_buffer buffers[COLUMNS];
    Py_ssize_t sizes[COLUMNS]; /* entries */
    int held;
} Columns;

#define COLUMN(kind, number) ((kind *)columns->buffers[number].buf)

static void columns_released(Columns *columns)
{
    while (columns->held) PyBuffer_Release(&columns->buffers[--columns->held]);
}

static int columns_of(PyObject *tuple, Columns *columns)
{
    columns->held = 0;
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != COLUMNS) {
        PyErr_Format(PyExc_ValueError, "expected a tuple of %d columns", COLUMNS);
        return 0;
    }
    for (int i = 0; i < COLUMNS; i++) {
        if (PyObject_GetBuffer(PyTuple_GetItem(tuple, i), &columns->buffers[i], PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
            return 0;
        columns->held++;
        if (!items_of(&columns->buffers[i], ITEM_SIZES[i])) return 0;
        columns->sizes[i] = columns->buffers[i].len / ITEM_SIZES[i];
    }
    const int64_t *counts = COLUMN(int64_t, COUNTS);
    Py_ssize_t n = columns->sizes[ROW], slots = columns->sizes[SLOTS];
    int fits = columns->sizes[COUNTS] == 4 && slots > n && (slots & (slots - 1)) == 0;
    for (int i = ROW; fits && i < IDS; i++) {
        fits = columns->sizes[i] == n || (columns->sizes[i] == 0 && (i == BLOCK_KEY || i == CONSENT_KEY));
    }
    fits = fits && columns->sizes[NAME_END] == n && columns->sizes[SALTS] == n;
    fits = fits && counts[0] >= 0 && counts[0] <= n && counts[1] >= 0 && counts[1] <= columns->sizes[IDS];
    fits = fits && counts[2] >= 0 && counts[2] <= counts[0] && counts[3] >= 0 && counts[3] <= columns->sizes[NAMES_];
    if (!fits) PyErr_SetString(PyExc_ValueError, "the columns do not fit each other");
    return fits;
}

/* The number of a tenant, added to the table if it is new; -1 if there is no room for it. */
static int64_t tenant_of(Text name, Columns *columns, const Plan *plan)
{
    int64_t *counts = COLUMN(int64_t, COUNTS), *ends = COLUMN(int64_t, NAME_END);
    uint8_t *names = COLUMN(uint8_t, NAMES_);
    int32_t *slots = COLUMN(int32_t, SLOTS);
    uint64_t mask = (uint64_t)columns->sizes[SLOTS] - 1, slot = sip(name, plan->secret) & mask;
    for (Py_ssize_t tried = 0; tried < columns->sizes[SLOTS]; tried++, slot = (slot + 1) & mask) {
        int64_t number = slots[slot];
        if (number < 0) {
            number = counts[2];
            if (number >= columns->sizes[NAME_END] || name.size > columns->sizes[NAMES_] - counts[3]) return -1;
            memcpy(names + counts[3], name.at, (size_t)name.size);
            ends[number] = counts[3] += name.size;
            COLUMN(uint64_t, SALTS)[number] = text_key(name, plan->salt);
            slots[slot] = (int32_t)number;
            counts[2]++;
            return number;
        }
        if (number >= counts[2]) return -1; /* the caller has changed the table */
        int64_t first = number ? ends[number - 1] : 0;
        if (ends[number] - first == name.size && first >= 0 && ends[number] <= counts[3]
            && memcmp(names + first, name.at, (size_t)name.size) == 0)
            return number;
    }
    return -1;
}

/* The word of a call but for the hours of time zones. */
static uint64_t word_of(const Plan *plan, const Call *call, int64_t talk_ms, int rang)
{
    uint64_t word = plan->words[call->outbound][call->outcome];
    int answered = word >> plan->answered & 1;
    uint64_t one = 1;
    if (rang) word |= one << plan->rang;
    if (answered && talk_ms == 0) word |= one << plan->zero_second;
    if (talk_ms >= plan->long_ms) word |= one << plan->long_call;
    if (answered && call->by_callee && talk_ms <= plan->hangup_ms) word |= one << plan->callee_hangup;
    if (answered && call->consent_id.size) word |= one << plan->consented;
    const Layout *layout = &plan->layout[0];
    for (int i = plan->layouts - 1; i > 0; i--) {
        if (call->end_ms >= plan->layout[i].from_ms) {
            layout = &plan->layout[i];
            break;
        }
    }
    for (int i = 0; i < layout->shorts; i++) {
        if (talk_ms > 0 && talk_ms <= layout->short_call[i].limit) word |= one << layout->short_call[i].bit;
    }
    if (layout->rings && word >> plan->cancelled & 1 && call->ring_ms) {
        for (int i = 0; i < layout->rings; i++) {
            if (call->end_ms - call->ring_ms <= layout->short_ring[i].limit) word |= one << layout->short_ring[i].bit;
        }
    }
    return word;
}

/* Writes a call to the columns; false if there is no room. */
static int written(const Call *call, int64_t row, Columns *columns, const Plan *plan)
{
    int64_t *counts = COLUMN(int64_t, COUNTS), at = counts[0];
    if (at >= columns->sizes[ROW] || call->call_id.size > columns->sizes[IDS] - counts[1]) return 0;
    int64_t tenant = tenant_of(call->tenant_id, columns, plan);
    if (tenant < 0) return 0;
    uint64_t salt = COLUMN(uint64_t, SALTS)[tenant];
    uint64_t bare = plan->words[call->outbound][call->outcome];
    int64_t talk_ms = bare >> plan->answered & 1 ? call->end_ms - call->answer_ms : 0;
    int rang = (bare >> plan->attempts & 1) && call->ring_ms, numeric, ignored;
    uint64_t word = word_of(plan, call, talk_ms, rang);
    uint64_t callee = number_key(call->callee, salt, plan->modulus, &numeric);
    COLUMN(int64_t, ROW)[at] = row;
    COLUMN(int32_t, TENANT)[at] = (int32_t)tenant;
    COLUMN(uint64_t, WORD)[at] = word;
    COLUMN(int64_t, START)[at] = call->start_ms;
    COLUMN(int64_t, END)[at] = call->end_ms;
    COLUMN(int64_t, TALK)[at] = talk_ms;
    COLUMN(int64_t, RING_DELAY)[at] = rang ? call->ring_ms - call->start_ms : 0;
    COLUMN(uint64_t, CALLEE_KEY)[at] = callee;
    COLUMN(uint8_t, CALLEE_NUMERIC)[at] = (uint8_t)numeric;
    COLUMN(uint64_t, CALLER_KEY)[at] = number_key(call->caller, salt, plan->modulus, &ignored);
    COLUMN(uint64_t, ID_KEY)[at] = text_key(call->call_id, salt);
    COLUMN(int32_t, ID_SIZE)[at] = (int32_t)call->call_id.size;
    if (columns->sizes[BLOCK_KEY]) COLUMN(uint64_t, BLOCK_KEY)[at] = numeric ? block_key(callee, call->callee) : 0;
    if (columns->sizes[CONSENT_KEY]) {
        int consented = word >> plan->consented & 1;
        COLUMN(uint64_t, CONSENT_KEY)[at] = consented ? text_key(call->consent_id, salt ^ CONSENT_SALT) : 0;
    }
    memcpy(COLUMN(uint8_t, IDS) + counts[1], call->call_id.at, (size_t)call->call_id.size);
    counts[1] += call->call_id.size;
    counts[0]++;
    return 1;
}

/* ---- Rows of bytes ------------------------------------------------------------------------------------------- */

/* Rows in a block: `starts` and `sizes` are int64, a negative size is a row without bytes. */
typedef struct {
    Py_buffer block, starts, sizes;
    Py_ssize_t count;
} Rows;

static void rows_released(Rows *rows)
{
    PyBuffer_Release(&rows->block);
    PyBuffer_Release(&rows->starts);
    PyBuffer_Release(&rows->sizes);
}

static int rows_fit(Rows *rows)
{
    if (!items_of(&rows->starts, 8) || !items_of(&rows->sizes, 8)) return 0;
    rows->count = rows->starts.len / 8;
    if (rows->sizes.len / 8 == rows->count) return 1;
    PyErr_SetString(PyExc_ValueError, "starts and sizes do not fit each other");
    return 0;
}

/* The bytes of a row; false if they are none of the block. */
static inline int row_of(const Rows *rows, Py_ssize_t row, Text *text)
{
    int64_t start, size;
    memcpy(&start, (const char *)rows->starts.buf + 8 * row, 8);
    memcpy(&size, (const char *)rows->sizes.buf + 8 * row, 8);
    text->at = (const uint8_t *)rows->block.buf;
    text->size = size;
    if (size < 0) return 1;
    if (start < 0 || start > rows->block.len || size > rows->block.len - start) return 0;
    text->at += start;
    return 1;
}

static PyObject *parse_calls(PyObject *module, PyObject *args)
{
    PyObject *capsule, *tuple, *result = NULL;
    Rows rows = {{0}};
    Columns columns;
    Py_ssize_t row;
    long long base;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*y*y*nLO", &capsule, &rows.block, &rows.starts, &rows.sizes, &row, &base, &tuple))
        return NULL;
    const Plan *plan = PyCapsule_GetPointer(capsule, CAPSULE);
    columns.held = 0;
    if (plan && rows_fit(&rows) && columns_of(tuple, &columns)) {
        if (row < 0 || row > rows.count) {
            PyErr_SetString(PyExc_ValueError, "there is no such row");
        } else {
            const char *wrong = NULL;
            Py_BEGIN_ALLOW_THREADS
            Parser parser;
            Call call;
            parser.limit = (const uint8_t *)rows.block.buf + rows.block.len;
            parser.ordered = 0;
            for (; row < rows.count; row++) {
                Text line;
                if (!row_of(&rows, row, &line)) {
                    wrong = "a row lies beyond its block";
                    break;
                }
                if (line.size <= 0 || line.size > MAX_LINE) break;
                parser.p = line.at;
                parser.end = line.at + line.size;
                if (!parse(&parser, &call)) break;
                if (!written(&call, base + row, &columns, plan)) {
                    wrong = "the columns have no room for a call";
                    break;
                }
            }
            Py_END_ALLOW_THREADS
            if (wrong) PyErr_SetString(PyExc_ValueError, wrong);
            else result = PyLong_FromSsize_t(row);
        }
    }
    columns_released(&columns);
    rows_released(&rows);
    return result;
}

static PyObject *first_difference(PyObject *module, PyObject *args)
{
    PyObject *result = NULL;
    Rows rows = {{0}}, names = {{0}};
    Py_buffer chosen, numbers;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*y*", &rows.block, &rows.starts, &rows.sizes, &chosen, &names.block,
                          &names.starts, &names.sizes, &numbers))
        return NULL;
    Py_ssize_t count = chosen.len / 8, i = 0;
    if (rows_fit(&rows) && rows_fit(&names) && items_of(&chosen, 8) && items_of(&numbers, 4)) {
        if (numbers.len / 4 != count) {
            PyErr_SetString(PyExc_ValueError, "the columns do not fit each other");
        } else {
            const char *wrong = NULL;
            for (; i < count; i++) {
                int64_t row;
                int32_t number;
                Text text, name;
                memcpy(&row, (const char *)chosen.buf + 8 * i, 8);
                memcpy(&number, (const char *)numbers.buf + 4 * i, 4);
                if (row < 0 || row >= rows.count || number < 0 || number >= names.count
                    || !row_of(&rows, (Py_ssize_t)row, &text) || !row_of(&names, number, &name)) {
                    wrong = "there is no such row";
                    break;
                }
                if (text.size != name.size || (name.size > 0 && memcmp(text.at, name.at, (size_t)name.size) != 0)) break;
            }
            if (wrong) PyErr_SetString(PyExc_ValueError, wrong);
            else result = PyLong_FromSsize_t(i);
        }
    }
    PyBuffer_Release(&chosen);
    PyBuffer_Release(&numbers);
    rows_released(&rows);
    rows_released(&names);
    return result;
}

static PyMethodDef METHODS[] = {
    {"make_plan", make_plan, METH_VARARGS, NULL},
    {"parse_calls", parse_calls, METH_VARARGS, NULL},
    {"first_difference", first_difference, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};

/* Raised with every change of what Python passes or gets, in form or meaning: an extension of other sources is not used. */
#define INTERFACE 2

static int filled(PyObject *module)
{
    PyObject *names = PyTuple_New(FIELDS);
    for (int field = 0; names && field < FIELDS; field++) {
        PyObject *one = PyUnicode_FromString(NAMES[field]);
        if (!one || PyTuple_SetItem(names, field, one) < 0) {
            Py_DECREF(names);
            return -1;
        }
    }
    int added = names ? PyModule_AddObjectRef(module, "FIELDS", names) : -1;
    Py_XDECREF(names);
    return added < 0 ? -1 : PyModule_AddIntConstant(module, "INTERFACE", INTERFACE);
}

DEFINE_MODULE(_calls, METHODS, filled)
