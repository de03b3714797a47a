/* wasi-libc has no sys/statfs.h. */
#ifndef CRASHPROOF_SYS_STATFS_H
#define CRASHPROOF_SYS_STATFS_H

#include "crashproof_posix.h"

struct statfs {
    unsigned long f_type, f_bsize;
    unsigned long long f_blocks, f_bfree, f_bavail, f_files, f_ffree;
    struct {
        int __val[2];
    } f_fsid;
    unsigned long f_namelen, f_frsize, f_flags, f_spare[4];
};

#endif
