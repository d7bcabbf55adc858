/* Encodes records for a record batch of Kafka's format 2, as aiokafka's builder does one by one.
 *
 * What is encoded is a list of `OutputRecord`, tuples of (topic, partition, key, value, headers), or columns of keys and
 * values. Sizes are computed before the first byte is written. All timestamps are that of the batch.
 */
#include "../../../monitor/extension.h"
#include <string.h>

enum { KEY = 2, VALUE, HEADERS, FIELDS }; /* of `OutputRecord` */

/* Bytes, or none: then `data` is NULL. */
typedef struct {
    const char *data;
    Py_ssize_t size;
} Text;

static int bytes_of(PyObject *given, Text *text)
{
    char *data = NULL;
    *text = (Text){NULL, 0};
    if (given == Py_None) return 1;
    if (!PyBytes_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "expected bytes or None");
        return 0;
    }
    if (PyBytes_AsStringAndSize(given, &data, &text->size) < 0) return 0;
    text->data = data;
    return 1;
}

/* ---- Sizes ------------------------------------------------------------------------------------------------------ */

/* The bytes of a number that is not negative, in zigzag encoding. */
static Py_ssize_t size_of_number(uint64_t number)
{
    Py_ssize_t size = 1;
    for (number <<= 1; number >= 0x80; number >>= 7) size++;
    return size;
}

static Py_ssize_t size_of_text(const Text *text)
{
    return text->data ? size_of_number((uint64_t)text->size) + text->size : 1;
}

/* One header: its name and value. */
static int header_of(PyObject *header, Text *name, Text *value)
{
    if (!PyTuple_Check(header) || PyTuple_Size(header) != 2 || !PyUnicode_Check(PyTuple_GetItem(header, 0))) {
        PyErr_SetString(PyExc_TypeError, "expected headers of a name and a value");
        return 0;
    }
    name->data = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(header, 0), &name->size);
    return name->data != NULL && bytes_of(PyTuple_GetItem(header, 1), value);
}

typedef struct {
    Text key, value;
    PyObject *headers; /* NULL: none */
    Py_ssize_t body; /* bytes after the length */
} Record;

/* A record, and its size if it is at `place` in its batch. */
static int record_of(PyObject *given, Py_ssize_t place, Record *record)
{
    if (!PyTuple_Check(given) || PyTuple_Size(given) != FIELDS || !PyTuple_Check(PyTuple_GetItem(given, HEADERS))) {
        PyErr_SetString(PyExc_TypeError, "expected records of a topic, a partition, a key, a value and headers");
        return 0;
    }
    record->headers = PyTuple_GetItem(given, HEADERS);
    if (!bytes_of(PyTuple_GetItem(given, KEY), &record->key) || !bytes_of(PyTuple_GetItem(given, VALUE), &record->value)) return 0;
    Py_ssize_t headers = PyTuple_Size(record->headers);
    record->body = 1 + 1 + size_of_number((uint64_t)place) /* attributes, timestamp, offset */
                   + size_of_text(&record->key) + size_of_text(&record->value) + size_of_number((uint64_t)headers);
    for (Py_ssize_t at = 0; at < headers; at++) {
        Text name, value;
        if (!header_of(PyTuple_GetItem(record->headers, at), &name, &value)) return 0;
        record->body += size_of_text(&name) + size_of_text(&value);
    }
    return 1;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

static char *put_number(char *to, uint64_t number)
{
    for (number <<= 1; number >= 0x80; number >>= 7) *to++ = (char)(number | 0x80);
    *to++ = (char)number;
    return to;
}

static char *put_text(char *to, const Text *text)
{
    if (!text->data) {
        *to++ = 1; /* the length -1 */
        return to;
    }
    to = put_number(to, (uint64_t)text->size);
    memcpy(to, text->data, (size_t)text->size);
    return to + text->size;
}

static char *put_record(char *to, const Record *record, Py_ssize_t place)
{
    to = put_number(to, (uint64_t)record->body);
    *to++ = 0; /* attributes */
    *to++ = 0; /* the timestamp, less that of the batch */
    to = put_number(to, (uint64_t)place);
    to = put_text(put_text(to, &record->key), &record->value);
    Py_ssize_t headers = record->headers ? PyTuple_Size(record->headers) : 0;
    to = put_number(to, (uint64_t)headers);
    for (Py_ssize_t at = 0; at < headers; at++) {
        Text name, value;
        if (!header_of(PyTuple_GetItem(record->headers, at), &name, &value)) return NULL;
        to = put_text(put_text(to, &name), &value);
    }
    return to;
}

/* The record after the last from `start` on that fit into `most` bytes, but at least one; and their `size`. -1: an error. */
static Py_ssize_t fitting(PyObject *records, Py_ssize_t start, Py_ssize_t most, Py_ssize_t *size)
{
    Py_ssize_t at = start, count = PyList_Size(records);
    for (*size = 0; at < count; at++) {
        Record record;
        if (!record_of(PyList_GetItem(records, at), at - start, &record)) return -1;
        Py_ssize_t more = size_of_number((uint64_t)record.body) + record.body;
        if (at > start && *size + more > most) break;
        *size += more;
    }
    return at;
}

/* encode(records, start, most) -> (bytes, stop): the records from `start` on, as many as fit into `most` bytes, but at
 * least one; `stop` is the first that is left. */
static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *records;
    Py_ssize_t start, most, size;
    (void)module;
    if (!PyArg_ParseTuple(args, "Onn", &records, &start, &most)) return NULL;
    if (!PyList_Check(records) || start < 0 || start >= PyList_Size(records)) {
        refused("expected a list of records that go on at the start");
        return NULL;
    }
    Py_ssize_t stop = fitting(records, start, most, &size);
    PyObject *encoded = stop < 0 ? NULL : PyBytes_FromStringAndSize(NULL, size);
    if (!encoded) return NULL;
    char *to = PyBytes_AsString(encoded);
    for (Py_ssize_t at = start; to && at < stop; at++) {
        Record record;
        to = record_of(PyList_GetItem(records, at), at - start, &record) ? put_record(to, &record, at - start) : NULL;
    }
    return to ? Py_BuildValue("Nn", encoded, stop) : (Py_DecRef(encoded), NULL);
}

/* ---- Columns ---------------------------------------------------------------------------------------------------- */

/* Keys and values, each a `monitor.byte_rows.RowBlock`: a block, and offset and size of each row. */
enum { KEYS, KEY_START, KEY_SIZE, VALUES, VALUE_START, VALUE_SIZE, PAIR_COLUMNS };

typedef struct {
    Py_buffer columns[PAIR_COLUMNS];
    Py_ssize_t rows, held;
} Pairs;

static void pairs_released(Pairs *pairs, Py_ssize_t count)
{
    for (Py_ssize_t at = 0; at < count; at++) all_released(pairs[at].columns, (int)pairs[at].held);
    PyMem_Free(pairs);
}

static int pairs_of(PyObject *given, Pairs *pairs)
{
    if (!PyTuple_Check(given) || PyTuple_Size(given) != PAIR_COLUMNS) return refused("expected blocks of keys and values");
    for (; pairs->held < PAIR_COLUMNS; pairs->held++)
        if (PyObject_GetBuffer(PyTuple_GetItem(given, pairs->held), &pairs->columns[pairs->held], PyBUF_C_CONTIGUOUS) < 0) return 0;
    Py_buffer *columns = pairs->columns;
    pairs->rows = columns[KEY_START].len / 8;
    return items_of(&columns[KEYS], 1) && items_of(&columns[VALUES], 1) && column_of(&columns[KEY_START], 8, pairs->rows)
           && column_of(&columns[KEY_SIZE], 8, pairs->rows) && column_of(&columns[VALUE_START], 8, pairs->rows)
           && column_of(&columns[VALUE_SIZE], 8, pairs->rows);
}

/* The bytes of a row; 0 with an exception if it does not lie in its block. */
static inline int row_of(const Py_buffer *rows, Py_ssize_t at, Text *text)
{
    int64_t start = ((const int64_t *)rows[1].buf)[at], size = ((const int64_t *)rows[2].buf)[at];
    *text = (Text){NULL, 0};
    if (size == -1) return 1;
    if (size < 0 || start < 0 || start > rows->len || size > rows->len - start) return refused("a row lies beyond its block");
    *text = (Text){(const char *)rows->buf + start, (Py_ssize_t)size};
    return 1;
}

/* A row, and its size if it is at `place` in its batch. */
static inline int pair_of(const Pairs *pairs, Py_ssize_t at, Py_ssize_t place, Record *record)
{
    if (!row_of(pairs->columns + KEYS, at, &record->key) || !row_of(pairs->columns + VALUES, at, &record->value)) return 0;
    record->headers = NULL;
    record->body = 1 + 1 + size_of_number((uint64_t)place) + size_of_text(&record->key) + size_of_text(&record->value) + 1;
    return 1;
}

/* As `fitting`, of rows: the number of those that fit, -1: an error. */
static Py_ssize_t rows_fitting(const Pairs *pairs, Py_ssize_t count, Py_ssize_t start, Py_ssize_t most, Py_ssize_t *size)
{
    Py_ssize_t place = 0;
    *size = 0;
    for (; count > 0; start = start > pairs->rows ? start - pairs->rows : 0, pairs++, count--)
        for (Py_ssize_t at = start; at < pairs->rows; at++, place++) {
            Record record;
            if (!pair_of(pairs, at, place, &record)) return -1;
            Py_ssize_t more = size_of_number((uint64_t)record.body) + record.body;
            if (place > 0 && *size + more > most) return place;
            *size += more;
        }
    return place;
}

static void put_rows(char *to, const Pairs *pairs, Py_ssize_t start, Py_ssize_t rows)
{
    for (Py_ssize_t place = 0; place < rows; start = start > pairs->rows ? start - pairs->rows : 0, pairs++)
        for (Py_ssize_t at = start; at < pairs->rows && place < rows; at++, place++) {
            Record record;
            if (pair_of(pairs, at, place, &record)) to = put_record(to, &record, place); /* it is: it was checked */
        }
}

/* encode_rows(blocks, start, most): as `encode`, of rows. */
static PyObject *encode_rows(PyObject *module, PyObject *args)
{
    PyObject *blocks, *encoded = NULL;
    Py_ssize_t start, most, size, rows = 0, held = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!nn", &PyList_Type, &blocks, &start, &most)) return NULL;
    Py_ssize_t count = PyList_Size(blocks);
    Pairs *pairs = PyMem_Calloc((size_t)count + 1, sizeof *pairs);
    if (!pairs) return PyErr_NoMemory();
    int fit = 1;
    for (; fit && held < count; held++) {
        fit = pairs_of(PyList_GetItem(blocks, held), &pairs[held]);
        rows += pairs[held].rows;
    }
    if (fit && (start < 0 || start >= rows)) fit = refused("expected rows that go on at the start");
    rows = fit ? rows_fitting(pairs, count, start, most, &size) : -1;
    if (rows >= 0) encoded = PyBytes_FromStringAndSize(NULL, size);
    if (encoded) put_rows(PyBytes_AsString(encoded), pairs, start, rows);
    pairs_released(pairs, held);
    return encoded ? Py_BuildValue("Nn", encoded, start + rows) : NULL;
}

static PyMethodDef METHODS[] = {{"encode", encode, METH_VARARGS, NULL}, {"encode_rows", encode_rows, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_batches, METHODS, 2)
