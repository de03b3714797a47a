/* What stands behind crashproof_posix.h: the imports of crashproof_ext_v0 under POSIX's names.
 *
 * Compiled with the header included first, as every source is. One thread; errno is preview1's
 * number, which is wasi-libc's too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <wasi/libc-find-relpath.h>
#include <wasi/libc.h>

/* The real ones are called below: a renamed name here would call itself for ever. */
#undef fcntl
#undef ioctl
#undef linkat
#undef sysconf
#undef stat
#undef lstat
#undef fstat
#undef fstatat
#undef mkdir
#undef mkdirat
#undef open
#undef openat
int fcntl(int, int, ...);
int ioctl(int, int, ...);
int linkat(int, const char *, int, const char *, int);
long sysconf(int);
int stat(const char *restrict, struct stat *restrict);
int lstat(const char *restrict, struct stat *restrict);
int fstat(int, struct stat *);
int fstatat(int, const char *restrict, struct stat *restrict, int);
int mkdir(const char *, mode_t);
int mkdirat(int, const char *, mode_t);
int open(const char *, int, ...);
int openat(int, const char *, int, ...);

#define IMPORT(name)                                                                             \
    __attribute__((import_module("crashproof_ext_v0"), import_name(#name))) int ext_##name

IMPORT(fd_mmap)(int fd, void *start, size_t length, int protection, int flags, int64_t offset);
IMPORT(mem_munmap)(void *start, size_t length);
IMPORT(mem_msync)(void *start, size_t length, int flags);
IMPORT(mem_mprotect)(void *start, size_t length, int protection);
IMPORT(mem_madvise)(void *start, size_t length, int advice);
IMPORT(fd_fallocate)(int fd, int mode, int64_t offset, int64_t length);
IMPORT(fd_copy_range)
(int from, int64_t from_offset, int to, int64_t to_offset, int64_t length, int flags,
 uint32_t *copied);
IMPORT(fd_clone_range)(int from, int64_t from_offset, int64_t length, int to, int64_t to_offset);
IMPORT(fd_dedupe_range)
(int from, int64_t from_offset, int64_t length, int to, int64_t to_offset, uint32_t *differs);
IMPORT(fd_syncfs)(int fd);
IMPORT(fd_sync_range)(int fd, int64_t offset, int64_t length, int flags);
IMPORT(fd_statfs)(int fd, uint64_t space[8]);
IMPORT(fd_dup)(int fd, int *duplicate);
IMPORT(fd_flags_get)(int fd, uint32_t *flags);
IMPORT(fd_flags_set)(int fd, uint32_t flags);
IMPORT(fd_flock)(int fd, int operation);
IMPORT(fd_lock)(int fd, int command, int type, int64_t start, int64_t length, void *result);
IMPORT(fd_xattr_get)
(int fd, const char *name, size_t name_length, void *value, size_t length, uint32_t *used);
IMPORT(fd_xattr_set)
(int fd, const char *name, size_t name_length, const void *value, size_t length, int flags);
IMPORT(fd_xattr_list)(int fd, char *names, size_t length, uint32_t *used);
IMPORT(fd_xattr_remove)(int fd, const char *name, size_t name_length);
IMPORT(fd_link)(int fd, int directory, const char *name, size_t name_length);
IMPORT(path_rename2)
(int from, const char *from_name, size_t from_length, int to, const char *to_name,
 size_t to_length, int flags);
IMPORT(fd_chmod)(int fd, int mode);
IMPORT(fd_stat_ext)(int fd, uint64_t numbers[8]);
IMPORT(path_next_mode)(int mode);
IMPORT(path_stat_ext)
(int fd, int lookup, const char *name, size_t name_length, uint64_t numbers[8]);
IMPORT(path_chmod)(int fd, int lookup, const char *name, size_t name_length, int mode);
IMPORT(fs_snapshot)(const char *name, size_t name_length);
IMPORT(fs_snapshot_open)(const char *name, size_t name_length, int *fd);
IMPORT(fs_snapshot_delete)(const char *name, size_t name_length);
IMPORT(fs_drop_caches)(void);
IMPORT(fs_fault)(const char *rule, size_t rule_length);
IMPORT(note)(int tag, int64_t value);

/* The eight numbers of fd_statfs. */
enum {
    SPACE_BLOCK_SIZE,
    SPACE_BLOCKS,
    SPACE_FREE,
    SPACE_AVAILABLE,
    SPACE_FILES,
    SPACE_FILES_FREE,
    SPACE_NAME_LENGTH
};

/* Of the eight numbers of fd_stat_ext, those that wasi-libc does not tell. */
enum { STATUS_MODE = 0, STATUS_TELLS_MODE = 7 };

/* What fd_lock tells of a lock that is in the way. */
struct held {
    int64_t start;
    int64_t length;
    int32_t type;
    int32_t process;
};

/* On a machine of 32 bits the same requests have these numbers. */
#define FS_IOC32_GETFLAGS 0x80046601
#define FS_IOC32_SETFLAGS 0x40046602

enum {
    page_size = CRASHPROOF_PAGE_SIZE,
    unit_size = 65536, /* of memory.grow */
    first_preopen = 3,
    path_max = 4096
};

static int answer(int error) {
    if (error == 0) return 0;
    errno = error;
    return -1;
}

/* -- ranges of linear memory ------------------------------------------------------------------
 *
 * A region is what one mmap took: whole units that nothing else uses, from memory.grow, which
 * gives zeros; so a sparse mapping costs what its data costs. It is free again when its last page
 * is unmapped, and is zeroed when it is used again. Regions are never split or joined, and a free
 * one serves a shorter mapping.
 */

struct region {
    struct region *next;
    char *start;
    size_t page_count;  /* of the memory */
    size_t pages_mapped;
    unsigned char *use; /* for each page, one of the values below */
};

enum { use_none, use_file, use_anonymous };

static struct region *regions;

static size_t pages_of(size_t length) {
    return length / page_size + (length % page_size != 0);
}

static struct region *region_around(const char *start, size_t page_count) {
    for (struct region *region = regions; region; region = region->next) {
        size_t offset = (size_t)(start - region->start);
        if (start < region->start || offset / page_size >= region->page_count) continue;
        return page_count <= region->page_count - offset / page_size ? region : NULL;
    }
    return NULL;
}

static struct region *region_new(size_t page_count) {
    const size_t pages_per_unit = unit_size / page_size;
    size_t unit_count = page_count / pages_per_unit + (page_count % pages_per_unit != 0);
    struct region *region = calloc(1, sizeof *region);
    if (!region) return NULL;
    region->page_count = unit_count * pages_per_unit;
    region->use = calloc(region->page_count, 1);
    if (!region->use) {
        free(region);
        return NULL;
    }
    size_t before = __builtin_wasm_memory_grow(0, unit_count);
    if (before == SIZE_MAX) {
        free(region->use);
        free(region);
        return NULL;
    }
    region->start = (char *)(before * unit_size);
    region->next = regions;
    regions = region;
    return region;
}

/* The shortest free region that is long enough, or a new one: all zero, with nothing mapped. */
static struct region *region_take(size_t page_count) {
    struct region *found = NULL;
    for (struct region *region = regions; region; region = region->next) {
        if (region->pages_mapped != 0 || region->page_count < page_count) continue;
        if (!found || region->page_count < found->page_count) found = region;
    }
    if (!found) return region_new(page_count);
    memset(found->start, 0, found->page_count * page_size);
    return found;
}

static void region_mark(struct region *region, const char *start, size_t page_count, int use) {
    size_t first = (size_t)(start - region->start) / page_size;
    for (size_t page = first; page < first + page_count; page++) {
        region->pages_mapped -= region->use[page] != use_none;
        region->pages_mapped += use != use_none;
        region->use[page] = (unsigned char)use;
    }
}

static int region_has(struct region *region, const char *start, size_t page_count, int use) {
    size_t first = (size_t)(start - region->start) / page_size;
    return memchr(region->use + first, use, page_count) != NULL;
}

/* -- mappings -------------------------------------------------------------------------------- */

void *crashproof_mmap(void *wanted, size_t length, int protection, int flags, int fd,
                      off_t offset) {
    int use = flags & MAP_ANONYMOUS ? use_anonymous : use_file;
    size_t page_count = pages_of(length);
    struct region *region;
    char *start;
    if (length == 0) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    if (flags & MAP_FIXED) {
        /* Elsewhere lies the program's own memory. */
        start = wanted;
        region = region_around(start, page_count);
        if (!region || (size_t)start % page_size != 0) {
            errno = region ? EINVAL : ENOMEM;
            return MAP_FAILED;
        }
        /* Unmapped first: the zeros are no stores to the file that was mapped here. */
        if (munmap(start, length) != 0) return MAP_FAILED;
        memset(start, 0, page_count * page_size);
    } else {
        region = region_take(page_count);
        if (!region) {
            errno = ENOMEM;
            return MAP_FAILED;
        }
        start = region->start;
    }
    if (use == use_file) {
        int error = ext_fd_mmap(fd, start, length, protection, flags, offset);
        if (error != 0) {
            errno = error;
            return MAP_FAILED;
        }
    }
    region_mark(region, start, page_count, use);
    return start;
}

int crashproof_munmap(void *start, size_t length) {
    size_t page_count = pages_of(length);
    if (length == 0 || (size_t)start % page_size != 0) return answer(EINVAL);
    struct region *region = region_around(start, page_count);
    /* POSIX lets a range be unmapped that has no mappings. */
    if (!region) return 0;
    if (region_has(region, start, page_count, use_file)) {
        int error = ext_mem_munmap(start, length);
        if (error != 0) return answer(error);
    }
    region_mark(region, start, page_count, use_none);
    return 0;
}

/* Nothing but anonymous pages: the host knows nothing of them. */
static int is_anonymous(const char *start, size_t length) {
    size_t page_count = pages_of(length);
    struct region *region = region_around(start, page_count);
    return region && page_count != 0 && !region_has(region, start, page_count, use_file) &&
           !region_has(region, start, page_count, use_none);
}

int crashproof_msync(void *start, size_t length, int flags) {
    if (is_anonymous(start, length)) return 0;
    return answer(ext_mem_msync(start, length, flags));
}

int crashproof_mprotect(void *start, size_t length, int protection) {
    if (is_anonymous(start, length)) return 0;
    return answer(ext_mem_mprotect(start, length, protection));
}

int crashproof_madvise(void *start, size_t length, int advice) {
    if (is_anonymous(start, length)) return 0;
    return answer(ext_mem_madvise(start, length, advice));
}

int crashproof_posix_madvise(void *start, size_t length, int advice) {
    if (is_anonymous(start, length)) return 0;
    return ext_mem_madvise(start, length, advice);
}

int crashproof_getpagesize(void) {
    return page_size;
}

long crashproof_sysconf(int name) {
    return name == _SC_PAGESIZE ? page_size : sysconf(name);
}

/* -- bytes and space ------------------------------------------------------------------------- */

int fallocate(int fd, int mode, off_t offset, off_t length) {
    return answer(ext_fd_fallocate(fd, mode, offset, length));
}

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t length,
                        unsigned flags) {
    if ((from_offset && *from_offset < 0) || (to_offset && *to_offset < 0)) return answer(EINVAL);
    /* -1 is the descriptor's own offset, which moves. */
    int64_t from_at = from_offset ? *from_offset : -1;
    int64_t to_at = to_offset ? *to_offset : -1;
    uint32_t copied = 0;
    int error = ext_fd_copy_range(from, from_at, to, to_at, (int64_t)length, (int)flags, &copied);
    if (error != 0) return answer(error);
    if (from_offset) *from_offset = from_at + copied;
    if (to_offset) *to_offset = to_at + copied;
    return (ssize_t)copied;
}

int syncfs(int fd) {
    return answer(ext_fd_syncfs(fd));
}

void sync(void) {
    (void)ext_fd_syncfs(first_preopen);
}

int sync_file_range(int fd, off_t offset, off_t length, unsigned flags) {
    return answer(ext_fd_sync_range(fd, offset, length, (int)flags));
}

static int dedupe(int fd, struct file_dedupe_range *range) {
    for (unsigned at = 0; at < range->dest_count; at++) {
        struct file_dedupe_range_info *info = &range->info[at];
        uint32_t differs = 0;
        int error = ext_fd_dedupe_range(fd, (int64_t)range->src_offset,
                                        (int64_t)range->src_length, (int)info->dest_fd,
                                        (int64_t)info->dest_offset, &differs);
        info->status = error != 0 ? -error : (int)differs;
        info->bytes_deduped = info->status == 0 ? range->src_length : 0;
    }
    return 0;
}

static int clone_range(int fd, const struct file_clone_range *range) {
    return answer(ext_fd_clone_range((int)range->src_fd, (int64_t)range->src_offset,
                                     (int64_t)range->src_length, fd,
                                     (int64_t)range->dest_offset));
}

int crashproof_ioctl(int fd, int request, ...) {
    va_list arguments;
    va_start(arguments, request);
    unsigned long argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    switch ((unsigned)request) {
    case FICLONE: return answer(ext_fd_clone_range((int)argument, 0, 0, fd, 0));
    case FICLONERANGE: return clone_range(fd, (const struct file_clone_range *)argument);
    case FIDEDUPERANGE: return dedupe(fd, (struct file_dedupe_range *)argument);
    case FS_IOC_GETFLAGS:
    case FS_IOC32_GETFLAGS: return answer(ext_fd_flags_get(fd, (uint32_t *)argument));
    case FS_IOC_SETFLAGS:
    case FS_IOC32_SETFLAGS: return answer(ext_fd_flags_set(fd, *(const uint32_t *)argument));
    default: return ioctl(fd, request, (void *)argument);
    }
}

static int space_of(int fd, uint64_t space[8]) {
    return answer(ext_fd_statfs(fd, space));
}

int fstatfs(int fd, struct statfs *result) {
    uint64_t space[8] = {0};
    if (space_of(fd, space) != 0) return -1;
    memset(result, 0, sizeof *result);
    result->f_bsize = result->f_frsize = (unsigned long)space[SPACE_BLOCK_SIZE];
    result->f_blocks = space[SPACE_BLOCKS];
    result->f_bfree = space[SPACE_FREE];
    result->f_bavail = space[SPACE_AVAILABLE];
    result->f_files = space[SPACE_FILES];
    result->f_ffree = space[SPACE_FILES_FREE];
    result->f_namelen = (unsigned long)space[SPACE_NAME_LENGTH];
    return 0;
}

int crashproof_fstatvfs(int fd, struct statvfs *result) {
    uint64_t space[8] = {0};
    if (space_of(fd, space) != 0) return -1;
    memset(result, 0, sizeof *result);
    result->f_bsize = result->f_frsize = (unsigned long)space[SPACE_BLOCK_SIZE];
    result->f_blocks = space[SPACE_BLOCKS];
    result->f_bfree = space[SPACE_FREE];
    result->f_bavail = space[SPACE_AVAILABLE];
    result->f_files = space[SPACE_FILES];
    result->f_ffree = result->f_favail = space[SPACE_FILES_FREE];
    result->f_namemax = (unsigned long)space[SPACE_NAME_LENGTH];
    return 0;
}

/* Opens a name for the calls that take a name there and a descriptor here. */
static int opened(const char *name) {
    return open(name, O_RDONLY);
}

/* Closes, and keeps the errno of what was done with the descriptor. */
static ssize_t closed(int fd, ssize_t result) {
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

int statfs(const char *name, struct statfs *result) {
    int fd = opened(name);
    return fd < 0 ? -1 : (int)closed(fd, fstatfs(fd, result));
}

int crashproof_statvfs(const char *name, struct statvfs *result) {
    int fd = opened(name);
    return fd < 0 ? -1 : (int)closed(fd, fstatvfs(fd, result));
}

/* -- descriptors and locks ------------------------------------------------------------------- */

int crashproof_dup(int fd) {
    int duplicate = -1;
    int error = ext_fd_dup(fd, &duplicate);
    return error != 0 ? answer(error) : duplicate;
}

int crashproof_dup2(int fd, int target) {
    if (fd == target) return fcntl(fd, F_GETFL) < 0 ? -1 : fd;
    int duplicate = dup(fd);
    if (duplicate < 0) return -1;
    if (duplicate == target) return target;
    if (__wasilibc_fd_renumber(duplicate, target) == 0) return target;
    return (int)closed(duplicate, -1);
}

int dup3(int fd, int target, int flags) {
    (void)flags; /* O_CLOEXEC: nothing is ever executed. */
    return fd == target ? answer(EINVAL) : dup2(fd, target);
}

/* The lowest free descriptor from `least` on: takes what is lower, and gives it back. */
static int dup_from(int fd, int least) {
    int duplicate = dup(fd);
    if (duplicate < 0 || duplicate >= least) return duplicate;
    int found = dup_from(fd, least);
    return (int)closed(duplicate, found);
}

static int lock(int fd, int command, struct flock *range) {
    int is_own = command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    if (is_own && range->l_pid != 0) return answer(EINVAL);
    off_t start = range->l_start;
    if (range->l_whence == SEEK_CUR) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        if (at < 0) return -1;
        start += at;
    } else if (range->l_whence == SEEK_END) {
        struct stat status;
        if (fstat(fd, &status) != 0) return -1;
        start += status.st_size;
    }
    struct held held = {0};
    int error = ext_fd_lock(fd, command, range->l_type, start, range->l_len, &held);
    if (error != 0) return answer(error);
    if (command == F_GETLK || command == F_OFD_GETLK) {
        range->l_type = (short)held.type;
        if (held.type == F_UNLCK) return 0;
        range->l_whence = SEEK_SET;
        range->l_start = held.start;
        range->l_len = held.length;
        range->l_pid = (pid_t)held.process;
    }
    return 0;
}

int crashproof_fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    unsigned long argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: return dup_from(fd, (int)argument);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: return lock(fd, command, (struct flock *)argument);
    default: return fcntl(fd, command, (int)argument);
    }
}

int flock(int fd, int operation) {
    return answer(ext_fd_flock(fd, operation));
}

int lockf(int fd, int function, off_t length) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_len = length};
    switch (function) {
    case F_ULOCK: range.l_type = F_UNLCK; return lock(fd, F_SETLK, &range);
    case F_LOCK: return lock(fd, F_SETLKW, &range);
    case F_TLOCK: return lock(fd, F_SETLK, &range);
    case F_TEST:
        if (lock(fd, F_GETLK, &range) != 0) return -1;
        return range.l_type == F_UNLCK ? 0 : answer(EACCES);
    default: return answer(EINVAL);
    }
}

/* -- names and attributes -------------------------------------------------------------------- */

/* Where `name` is to be looked up, and under what name: wasi-libc has preopened directories in
 * the place of a working directory and a root. */
static int directory_of(int fd, const char *name, char *buffer, const char **relative) {
    const char *prefix;
    char *found = buffer;
    *relative = name;
    if (fd != AT_FDCWD && name[0] != '/') return fd;
    int directory = __wasilibc_find_relpath(name, &prefix, &found, path_max);
    *relative = found;
    if (directory < 0) errno = ENOENT;
    return directory;
}

int renameat2(int from, const char *from_name, int to, const char *to_name, unsigned flags) {
    char from_buffer[path_max], to_buffer[path_max];
    const char *from_relative, *to_relative;
    if (flags == 0) return renameat(from, from_name, to, to_name);
    from = directory_of(from, from_name, from_buffer, &from_relative);
    to = directory_of(to, to_name, to_buffer, &to_relative);
    if (from < 0 || to < 0) return -1;
    return answer(ext_path_rename2(from, from_relative, strlen(from_relative), to, to_relative,
                                   strlen(to_relative), (int)flags));
}

static int link_open_file(int fd, int directory, const char *name) {
    char buffer[path_max];
    const char *relative;
    directory = directory_of(directory, name, buffer, &relative);
    if (directory < 0) return -1;
    return answer(ext_fd_link(fd, directory, relative, strlen(relative)));
}

int crashproof_linkat(int from, const char *from_name, int to, const char *to_name, int flags) {
    static const char descriptors[] = "/proc/self/fd/";
    if ((flags & AT_EMPTY_PATH) && from_name[0] == '\0') return link_open_file(from, to, to_name);
    if (strncmp(from_name, descriptors, sizeof descriptors - 1) == 0) {
        return link_open_file(atoi(from_name + sizeof descriptors - 1), to, to_name);
    }
    return linkat(from, from_name, to, to_name, flags);
}

int crashproof_fchmodat(int fd, const char *name, mode_t mode, int flags) {
    char buffer[path_max];
    const char *relative;
    int follow = flags & AT_SYMLINK_NOFOLLOW ? 0 : 1;
    fd = directory_of(fd, name, buffer, &relative);
    if (fd < 0) return -1;
    return answer(ext_path_chmod(fd, follow, relative, strlen(relative), (int)mode));
}

int crashproof_chmod(const char *name, mode_t mode) {
    return crashproof_fchmodat(AT_FDCWD, name, mode, 0);
}

int crashproof_fchmod(int fd, mode_t mode) {
    return answer(ext_fd_chmod(fd, (int)mode));
}

/* wasi-libc tells everything but the permission bits. */
int crashproof_fstat(int fd, struct stat *result) {
    uint64_t numbers[8] = {0};
    if (fstat(fd, result) != 0) return -1;
    /* A standard stream has none. */
    if (!S_ISREG(result->st_mode) && !S_ISDIR(result->st_mode)) return 0;
    int error = ext_fd_stat_ext(fd, numbers);
    if (error != 0) return answer(error);
    if (numbers[STATUS_TELLS_MODE]) result->st_mode = (mode_t)numbers[STATUS_MODE];
    return 0;
}

static int numbers_of(int fd, const char *name, int flags, uint64_t numbers[8]) {
    char buffer[path_max];
    const char *relative;
    int follow = flags & AT_SYMLINK_NOFOLLOW ? 0 : 1;
    fd = directory_of(fd, name, buffer, &relative);
    if (fd < 0) return -1;
    return answer(ext_path_stat_ext(fd, follow, relative, strlen(relative), numbers));
}

int crashproof_fstatat(int fd, const char *name, struct stat *result, int flags) {
    uint64_t numbers[8] = {0};
    if (fstatat(fd, name, result, flags) != 0) return -1;
    if (numbers_of(fd, name, flags, numbers) != 0) return -1;
    if (numbers[STATUS_TELLS_MODE]) result->st_mode = (mode_t)numbers[STATUS_MODE];
    return 0;
}

int crashproof_stat(const char *name, struct stat *result) {
    return crashproof_fstatat(AT_FDCWD, name, result, 0);
}

int crashproof_lstat(const char *name, struct stat *result) {
    return crashproof_fstatat(AT_FDCWD, name, result, AT_SYMLINK_NOFOLLOW);
}

/* Whoever calls owns every file. */
int crashproof_faccessat(int fd, const char *name, int rights, int flags) {
    uint64_t numbers[8] = {0};
    uint64_t wanted = 0;
    if (numbers_of(fd, name, flags, numbers) != 0) return -1;
    if (rights & R_OK) wanted |= S_IRUSR;
    if (rights & W_OK) wanted |= S_IWUSR;
    if (rights & X_OK) wanted |= S_IXUSR;
    if (!numbers[STATUS_TELLS_MODE]) return 0;
    return (numbers[STATUS_MODE] & wanted) == wanted ? 0 : answer(EACCES);
}

int crashproof_access(const char *name, int rights) {
    return crashproof_faccessat(AT_FDCWD, name, rights, 0);
}

/* -- making ---------------------------------------------------------------------------------- */

static mode_t masked;

mode_t crashproof_umask(mode_t mask) {
    mode_t before = masked;
    masked = mask & 0777;
    return before;
}

/* What the next call makes has these bits. */
static void next_mode(mode_t mode) {
    (void)ext_path_next_mode((int)(mode & ~masked & 07777));
}

/* The call failed, perhaps before it asked the host. */
static int made(int result) {
    if (result < 0) (void)ext_path_next_mode(-1);
    return result;
}

int crashproof_mkdirat(int fd, const char *name, mode_t mode) {
    next_mode(mode);
    return made(mkdirat(fd, name, mode));
}

int crashproof_mkdir(const char *name, mode_t mode) {
    next_mode(mode);
    return made(mkdir(name, mode));
}

static int open_with(int fd, const char *name, int flags, mode_t mode) {
    if (!(flags & (O_CREAT | O_TMPFILE))) return openat(fd, name, flags);
    next_mode(mode);
    return made(openat(fd, name, flags, mode));
}

int crashproof_open(const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_with(AT_FDCWD, name, flags, mode);
}

int crashproof_openat(int fd, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_with(fd, name, flags, mode);
}

int crashproof_creat(const char *name, mode_t mode) {
    return open_with(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t length) {
    uint32_t used = 0;
    int error = ext_fd_xattr_get(fd, name, strlen(name), value, length, &used);
    return error != 0 ? answer(error) : (ssize_t)used;
}

int fsetxattr(int fd, const char *name, const void *value, size_t length, int flags) {
    return answer(ext_fd_xattr_set(fd, name, strlen(name), value, length, flags));
}

ssize_t flistxattr(int fd, char *names, size_t length) {
    uint32_t used = 0;
    int error = ext_fd_xattr_list(fd, names, length, &used);
    return error != 0 ? answer(error) : (ssize_t)used;
}

int fremovexattr(int fd, const char *name) {
    return answer(ext_fd_xattr_remove(fd, name, strlen(name)));
}

ssize_t getxattr(const char *path, const char *name, void *value, size_t length) {
    int fd = opened(path);
    return fd < 0 ? -1 : closed(fd, fgetxattr(fd, name, value, length));
}

int setxattr(const char *path, const char *name, const void *value, size_t length, int flags) {
    int fd = opened(path);
    return fd < 0 ? -1 : (int)closed(fd, fsetxattr(fd, name, value, length, flags));
}

ssize_t listxattr(const char *path, char *names, size_t length) {
    int fd = opened(path);
    return fd < 0 ? -1 : closed(fd, flistxattr(fd, names, length));
}

int removexattr(const char *path, const char *name) {
    int fd = opened(path);
    return fd < 0 ? -1 : (int)closed(fd, fremovexattr(fd, name));
}

/* -- what no system has ---------------------------------------------------------------------- */

int crashproof_snapshot(const char *name) {
    return answer(ext_fs_snapshot(name, strlen(name)));
}

int crashproof_snapshot_open(const char *name) {
    int fd = -1;
    int error = ext_fs_snapshot_open(name, strlen(name), &fd);
    return error != 0 ? answer(error) : fd;
}

int crashproof_snapshot_delete(const char *name) {
    return answer(ext_fs_snapshot_delete(name, strlen(name)));
}

int crashproof_drop_caches(void) {
    return answer(ext_fs_drop_caches());
}

int crashproof_fault(const char *rule) {
    return answer(ext_fs_fault(rule, strlen(rule)));
}

void crashproof_note(int tag, long long value) {
    (void)ext_note(tag, value);
}
