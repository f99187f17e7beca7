/* Slice.cpp includes it by a name that is no longer on the include path. */
#include <Python.h>
