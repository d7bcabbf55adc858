/* Encodes records for a record batch of Kafka's format 2, as aiokafka's builder does one by one.
 *
 * What is encoded is a list of `OutputRecord`, tuples of (topic, partition, key, value, headers). Sizes are computed
 * before the first byte is written. All timestamps are that of the batch.
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
    PyObject *headers;
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
    Py_ssize_t headers = PyTuple_Size(record->headers);
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

static PyMethodDef METHODS[] = {{"encode", encode, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};

EXTENSION(_batches, METHODS, 1)
