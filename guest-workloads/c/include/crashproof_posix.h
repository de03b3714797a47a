/* POSIX and Linux names that wasi-libc lacks, for C and C++ sources that are built unchanged.
 *
 * Included ahead of each source by the compiler, with the folder it lies in searched first, and
 * with one object linked in:
 *
 *     cc --target=wasm32-wasip1 -I c/include -include crashproof_posix.h app.c c/crashproof_posix.c
 *
 * It includes nothing, so that a source's own feature macros still count, and therefore spells
 * size_t, ssize_t and off_t as the compiler's own types. Where wasi-libc defines a function that
 * does another thing (its mmap loses every store), or may define it one day, the name is renamed;
 * where it has none, the object defines the name itself.
 *
 * What the host does not have ends the run, as unsupported; it is never an errno.
 */
#ifndef CRASHPROOF_POSIX_H
#define CRASHPROOF_POSIX_H

#define CRASHPROOF_PAGE_SIZE 4096

/* Its own sys/mman.h is good once its mmap is not used. */
#ifndef _WASI_EMULATED_MMAN
#define _WASI_EMULATED_MMAN
#endif

#define mmap crashproof_mmap
#define munmap crashproof_munmap
#define msync crashproof_msync
#define mprotect crashproof_mprotect
#define madvise crashproof_madvise
#define posix_madvise crashproof_posix_madvise
#define getpagesize crashproof_getpagesize
#define sysconf crashproof_sysconf
#define fcntl crashproof_fcntl
#define ioctl crashproof_ioctl
#define linkat crashproof_linkat
#define chmod crashproof_chmod
#define fchmod crashproof_fchmod
#define fchmodat crashproof_fchmodat
#define access crashproof_access
#define faccessat crashproof_faccessat
#define umask crashproof_umask
#define mkdir crashproof_mkdir
#define mkdirat crashproof_mkdirat
/* Only where they are called: structures have these names too. */
#define stat(name, result) crashproof_stat(name, result)
#define lstat(name, result) crashproof_lstat(name, result)
#define fstat(fd, result) crashproof_fstat(fd, result)
#define fstatat(fd, name, result, flags) crashproof_fstatat(fd, name, result, flags)
/* Streams of C++ have members of that name; there, a file is made with the ordinary bits. */
#ifndef __cplusplus
#define open crashproof_open
#define openat crashproof_openat
#define creat crashproof_creat
#endif
#define statvfs crashproof_statvfs
#define fstatvfs crashproof_fstatvfs
#define dup crashproof_dup
#define dup2 crashproof_dup2

/* lseek */
#define SEEK_DATA 3
#define SEEK_HOLE 4

/* open: bits of preview1's descriptor flags that it does not use. */
#define O_DIRECT 0x100
#define O_NOATIME 0x200
#define O_TMPFILE 0x400

/* fallocate */
#define FALLOC_FL_KEEP_SIZE 0x01
#define FALLOC_FL_PUNCH_HOLE 0x02
#define FALLOC_FL_COLLAPSE_RANGE 0x08
#define FALLOC_FL_ZERO_RANGE 0x10
#define FALLOC_FL_INSERT_RANGE 0x20
#define FALLOC_FL_UNSHARE_RANGE 0x40

/* sync_file_range */
#define SYNC_FILE_RANGE_WAIT_BEFORE 1
#define SYNC_FILE_RANGE_WRITE 2
#define SYNC_FILE_RANGE_WAIT_AFTER 4

/* renameat2 */
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2

/* linkat */
#define AT_EMPTY_PATH 0x1000

/* flock */
#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

/* fcntl */
#define F_DUPFD 0
#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#define F_DUPFD_CLOEXEC 1030
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

/* lockf */
#define F_ULOCK 0
#define F_LOCK 1
#define F_TLOCK 2
#define F_TEST 3

/* extended attributes; preview1 has no number for ENODATA */
#ifndef ENODATA
#define ENODATA 77
#endif
#ifndef ENOATTR
#define ENOATTR ENODATA
#endif
#define XATTR_CREATE 1
#define XATTR_REPLACE 2

/* ioctl; the numbers are Linux's. */
#define FS_COMPR_FL 0x4
#define FS_NOCOW_FL 0x800000
#define FS_IOC_GETFLAGS 0x80086601
#define FS_IOC_SETFLAGS 0x40086602
#define FICLONE 0x40049409
#define FICLONERANGE 0x4020940d
#define FIDEDUPERANGE 0xc0189436
#define FILE_DEDUPE_RANGE_SAME 0
#define FILE_DEDUPE_RANGE_DIFFERS 1

struct file_clone_range {
    long long src_fd;
    unsigned long long src_offset;
    unsigned long long src_length;
    unsigned long long dest_offset;
};

struct file_dedupe_range_info {
    long long dest_fd;
    unsigned long long dest_offset;
    unsigned long long bytes_deduped;
    int status;
    unsigned int reserved;
};

struct file_dedupe_range {
    unsigned long long src_offset;
    unsigned long long src_length;
    unsigned short dest_count;
    unsigned short reserved1;
    unsigned int reserved2;
    struct file_dedupe_range_info info[];
};

#ifdef __cplusplus
extern "C" {
#endif

struct stat;
struct statfs;

void *crashproof_mmap(void *, __SIZE_TYPE__, int, int, int, long long);
int crashproof_munmap(void *, __SIZE_TYPE__);
int crashproof_msync(void *, __SIZE_TYPE__, int);
int crashproof_mprotect(void *, __SIZE_TYPE__, int);
int crashproof_madvise(void *, __SIZE_TYPE__, int);
int crashproof_posix_madvise(void *, __SIZE_TYPE__, int);
int crashproof_getpagesize(void);
long crashproof_sysconf(int);
int crashproof_fcntl(int, int, ...);
int crashproof_ioctl(int, int, ...);
int crashproof_linkat(int, const char *, int, const char *, int);
int crashproof_chmod(const char *, unsigned);
int crashproof_fchmod(int, unsigned);
int crashproof_fchmodat(int, const char *, unsigned, int);
int crashproof_access(const char *, int);
int crashproof_faccessat(int, const char *, int, int);
unsigned crashproof_umask(unsigned);
int crashproof_mkdir(const char *, unsigned);
int crashproof_mkdirat(int, const char *, unsigned);
int crashproof_stat(const char *, struct stat *);
int crashproof_lstat(const char *, struct stat *);
int crashproof_fstat(int, struct stat *);
int crashproof_fstatat(int, const char *, struct stat *, int);
int crashproof_open(const char *, int, ...);
int crashproof_openat(int, const char *, int, ...);
int crashproof_creat(const char *, unsigned);
int crashproof_dup(int);
int crashproof_dup2(int, int);
int dup3(int, int, int);

int fallocate(int, int, long long, long long);
__INTPTR_TYPE__ copy_file_range(int, long long *, int, long long *, __SIZE_TYPE__, unsigned);
int syncfs(int);
void sync(void);
int sync_file_range(int, long long, long long, unsigned);
int renameat2(int, const char *, int, const char *, unsigned);
int flock(int, int);
int lockf(int, int, long long);
int statfs(const char *, struct statfs *);
int fstatfs(int, struct statfs *);
__INTPTR_TYPE__ fgetxattr(int, const char *, void *, __SIZE_TYPE__);
int fsetxattr(int, const char *, const void *, __SIZE_TYPE__, int);
__INTPTR_TYPE__ flistxattr(int, char *, __SIZE_TYPE__);
int fremovexattr(int, const char *);
__INTPTR_TYPE__ getxattr(const char *, const char *, void *, __SIZE_TYPE__);
int setxattr(const char *, const char *, const void *, __SIZE_TYPE__, int);
__INTPTR_TYPE__ listxattr(const char *, char *, __SIZE_TYPE__);
int removexattr(const char *, const char *);

/* What no system has: 0, or -1 and errno; a mark always succeeds. */
int crashproof_snapshot(const char *name);
int crashproof_snapshot_open(const char *name);
int crashproof_snapshot_delete(const char *name);
int crashproof_drop_caches(void);
int crashproof_fault(const char *rule);
void crashproof_note(int tag, long long value);

#ifdef __cplusplus
}
#endif

#endif
