/* wasi-libc has no sys/statvfs.h, or only since 2023. */
#ifndef CRASHPROOF_SYS_STATVFS_H
#define CRASHPROOF_SYS_STATVFS_H

#include "crashproof_posix.h"

struct statvfs {
    unsigned long f_bsize, f_frsize;
    unsigned long long f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail;
    unsigned long f_fsid, f_flag, f_namemax;
};

#define ST_RDONLY 1
#define ST_NOSUID 2

#ifdef __cplusplus
extern "C" {
#endif

int statvfs(const char *, struct statvfs *);
int fstatvfs(int, struct statvfs *);

#ifdef __cplusplus
}
#endif

#endif
