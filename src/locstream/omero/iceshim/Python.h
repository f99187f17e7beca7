/* What Ice 3.6's Python extension expects of CPython and newer ones no longer have. Found before the real Python.h
   through -I, so that Ice's sources stay as they were published. */
#include_next <Python.h>
#ifndef LOCSTREAM_ICESHIM_H
#define LOCSTREAM_ICESHIM_H

#if PY_VERSION_HEX >= 0x030B0000
/* Util.cpp reads PyThreadState_GET()->frame, a member that went in 3.11. */
struct iceshim_thread_state { PyFrameObject* frame; };
static inline struct iceshim_thread_state* iceshim_thread(void)
{
    static __thread struct iceshim_thread_state state;
    state.frame = PyEval_GetFrame(); /* borrowed, as the member was */
    return &state;
}
#undef PyThreadState_GET
#define PyThreadState_GET() iceshim_thread()
#endif

#if PY_VERSION_HEX >= 0x030D0000
#define PyEval_CallObject(callable, args) PyObject_CallObject((callable), (args))
#define PyEval_InitThreads() ((void)0)
static inline int PyObject_AsReadBuffer(PyObject* object, const void** data, Py_ssize_t* length)
{
    Py_buffer view;
    if(PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) != 0) return -1;
    *data = view.buf;
    *length = view.len;
    PyBuffer_Release(&view);
    return 0;
}
#endif

#endif
