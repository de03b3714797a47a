/* wasi-libc has no sys/xattr.h; what programs want of it is in the header that is included first. */
#include "crashproof_posix.h"
