/* Which part of a request costs what: an eval-frame hook (PEP 523) that knows the stage of every Python frame.

A code object belongs to the stage of the first rule that its file and qualified name match, and to its caller's if there is none, so that
what C functions and libraries cost is their caller's. Two ways to count, chosen when it is installed:

  time          nanoseconds by thread and stage, added up in the shared file;
  instructions  under callgrind: only while frames of the stage in question run is anything collected. The driver asks for
                one stage after another and has callgrind dump what was collected, so one process gives them all.

Frames are counted by thread and stage too: what the probe itself costs goes by the frame.

The driver (profile.py) writes the stage in question into the shared file and waits for `seen` to become the same. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#if PY_VERSION_HEX < 0x030C0000
#define Py_BUILD_CORE
#include "internal/pycore_frame.h"
#endif
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_CALLGRIND
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT
#define CALLGRIND_START_INSTRUMENTATION
#endif

#define STAGES 64
#define THREADS 64
#define RULES 512
enum { NOTHING = -1, EVERYTHING = 63, INHERITED = 255 };

struct shared {
    volatile int32_t wanted, seen; /* NOTHING, EVERYTHING or a stage */
    volatile int32_t threads, unused;
    volatile uint64_t ns[THREADS][STAGES], frames[THREADS][STAGES];
};
struct rule {
    char *file, *name;
    int stage;
};

static struct shared *shared;
static struct rule rules[RULES];
static int rule_count, counts_instructions;
static Py_ssize_t extra;
static __thread int slot = -1, current, collects;
static __thread int32_t told = NOTHING; /* the stage in question, as far as this thread has heard */
static __thread uint64_t since;

static int stage_of(PyCodeObject *code) {
    void *known = NULL;
    _PyCode_GetExtra((PyObject *)code, extra, &known);
    if (known != NULL) return (int)(intptr_t)known - 1;
    int stage = INHERITED;
    const char *file = PyUnicode_AsUTF8(code->co_filename), *name = PyUnicode_AsUTF8(code->co_qualname);
    if (file != NULL && name != NULL) {
        for (int i = 0; i < rule_count; i++) {
            if (strstr(file, rules[i].file) != NULL && strncmp(name, rules[i].name, strlen(rules[i].name)) == 0) {
                stage = rules[i].stage;
                break;
            }
        }
    } else {
        PyErr_Clear();
    }
    _PyCode_SetExtra((PyObject *)code, extra, (void *)(intptr_t)(stage + 1));
    return stage;
}

static uint64_t now_ns(void) {
    struct timespec at; /* the main thread changes stage too often for the clock that costs a system call */
    clock_gettime(slot == 0 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void begin_thread(void) {
    slot = shared->threads < THREADS - 1 ? shared->threads++ : THREADS - 1;
    since = now_ns();
}

static void change(int stage) {
    if (counts_instructions) {
        int32_t wanted = told = shared->wanted;
        if (wanted != shared->seen) {
            if (wanted != NOTHING) CALLGRIND_START_INSTRUMENTATION;
            shared->seen = wanted;
        }
        int collect = wanted == EVERYTHING || wanted == stage;
        if (collect != collects) {
            CALLGRIND_TOGGLE_COLLECT;
            collects = collect;
        }
    } else {
        uint64_t now = now_ns();
        shared->ns[slot][current] += now - since;
        since = now;
    }
    current = stage;
}

static PyObject *evaluate(PyThreadState *tstate, struct _PyInterpreterFrame *frame, int throwing) {
#if PY_VERSION_HEX < 0x030C0000
    int stage = stage_of(frame->f_code);
#else
    PyCodeObject *code = (PyCodeObject *)PyUnstable_InterpreterFrame_GetCode(frame);
    int stage = stage_of(code);
    Py_DECREF(code);
#endif
    int before = current;
    if (stage == INHERITED) stage = before;
    if (slot < 0) begin_thread();
    shared->frames[slot][stage]++;
    if (stage == before && shared->wanted == told) return _PyEval_EvalFrameDefault(tstate, frame, throwing);
    change(stage);
    PyObject *result = _PyEval_EvalFrameDefault(tstate, frame, throwing);
    change(before);
    return result;
}

static PyObject *install(PyObject *self, PyObject *args) {
    const char *file;
    PyObject *given;
    if (!PyArg_ParseTuple(args, "sOp", &file, &given, &counts_instructions)) return NULL;
    int descriptor = open(file, O_RDWR);
    if (descriptor < 0) return PyErr_SetFromErrnoWithFilename(PyExc_OSError, file);
    shared = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (shared == MAP_FAILED) return PyErr_SetFromErrno(PyExc_OSError);
    for (Py_ssize_t i = 0; i < PyList_Size(given) && rule_count < RULES; i++) {
        const char *path, *name;
        int stage;
        if (!PyArg_ParseTuple(PyList_GetItem(given, i), "ssi", &path, &name, &stage)) return NULL;
        rules[rule_count++] = (struct rule){strdup(path), strdup(name), stage};
    }
    extra = _PyEval_RequestCodeExtraIndex(NULL);
    begin_thread();
    _PyInterpreterState_SetEvalFrameFunc(PyInterpreterState_Get(), evaluate);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"install", install, METH_VARARGS, "install(shared_file, rules, counts_instructions)"}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "bench_probe", NULL, -1, methods};
PyMODINIT_FUNC PyInit_bench_probe(void) { return PyModule_Create(&module); }
