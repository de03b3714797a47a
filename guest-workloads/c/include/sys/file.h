/* wasi-libc has no sys/file.h; what programs want of it is in the header that is included first. */
#include "crashproof_posix.h"
