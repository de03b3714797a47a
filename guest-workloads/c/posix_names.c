/* Every name of the header, as sources use it that know nothing of crashproof: it has to build.
 *
 * With no argument it does nothing. With one, it calls them all, most of which end the run where
 * the host lacks them.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

static int failures;

static void note(const char *name, long long answer) {
    printf("%s: %lld\n", name, answer);
    failures += answer < 0;
}

static void memory(int fd) {
    size_t page_size = (size_t)getpagesize();
    char *shared = mmap(NULL, 4 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *again = mmap(shared + page_size, page_size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    char *own = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    note("mmap", shared == MAP_FAILED || again == MAP_FAILED || own == MAP_FAILED ? -1 : 0);
    note("msync", msync(shared, page_size, MS_SYNC | MS_INVALIDATE));
    note("msync", msync(shared, page_size, MS_ASYNC));
    note("mprotect", mprotect(shared, page_size, PROT_READ));
    note("madvise", madvise(shared, page_size, MADV_WILLNEED));
    note("posix_madvise", posix_madvise(shared, page_size, POSIX_MADV_RANDOM));
    note("munmap", munmap(own, page_size));
    note("munmap", munmap(shared, 4 * page_size));
}

static void ranges(int fd, int other) {
    off_t from = 0, to = 8192;
    note("lseek", lseek(fd, 0, SEEK_DATA));
    note("lseek", lseek(fd, 0, SEEK_HOLE));
    note("fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    note("posix_fallocate", posix_fallocate(fd, 0, 4096));
    note("copy_file_range", copy_file_range(fd, &from, other, &to, 4096, 0));
    note("FICLONE", ioctl(other, FICLONE, fd));
    struct file_clone_range clone = {.src_fd = fd, .src_length = 4096, .dest_offset = 4096};
    note("FICLONERANGE", ioctl(other, FICLONERANGE, &clone));
    struct file_dedupe_range *same = calloc(1, sizeof *same + sizeof same->info[0]);
    same->src_length = 4096;
    same->dest_count = 1;
    same->info[0].dest_fd = other;
    note("FIDEDUPERANGE", ioctl(fd, FIDEDUPERANGE, same));
    free(same);
    note("sync_file_range", sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    note("syncfs", syncfs(fd));
    sync();
}

static void descriptors(int fd) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    int flags = 0;
    note("dup", dup(fd));
    note("dup2", dup2(fd, 20));
    note("F_DUPFD", fcntl(fd, F_DUPFD, 30));
    note("F_GETFL", fcntl(fd, F_GETFL));
    note("F_SETLK", fcntl(fd, F_SETLK, &range));
    note("F_GETLK", fcntl(fd, F_GETLK, &range));
    note("lockf", lockf(fd, F_TLOCK, 10));
    note("flock", flock(fd, LOCK_EX | LOCK_NB));
    note("FS_IOC_GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags));
    flags |= FS_COMPR_FL;
    note("FS_IOC_SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static void names(int fd) {
    char value[16];
    struct statvfs space;
    struct statfs older;
    note("renameat2", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    note("linkat", linkat(fd, "", AT_FDCWD, "c", AT_EMPTY_PATH));
    note("linkat", linkat(AT_FDCWD, "b", AT_FDCWD, "d", 0));
    struct stat status;
    note("chmod", chmod("b", 0600));
    note("fchmod", fchmod(fd, 0640));
    note("fchmodat", fchmodat(AT_FDCWD, "b", 0600, 0));
    note("access", access("b", R_OK | W_OK));
    note("faccessat", faccessat(AT_FDCWD, "b", F_OK, 0));
    note("umask", (long long)umask(022));
    note("mkdir", mkdir("e", 0700));
    note("stat", stat("b", &status));
    note("lstat", lstat("b", &status));
    note("fstat", fstat(fd, &status));
    note("fstatat", fstatat(AT_FDCWD, "b", &status, 0));
    note("setxattr", setxattr("b", "user.x", "y", 1, XATTR_CREATE));
    note("getxattr", getxattr("b", "user.x", value, sizeof value));
    note("listxattr", listxattr("b", value, sizeof value));
    note("removexattr", removexattr("b", "user.x"));
    note("statvfs", statvfs("/", &space));
    note("fstatvfs", fstatvfs(fd, &space));
    note("statfs", statfs("/", &older));
    note("open", open(".", O_TMPFILE | O_RDWR, 0600));
    note("open", open("b", O_DIRECT | O_RDWR));
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc < 2) return 0;
    int fd = open("a", O_RDWR | O_CREAT | O_TRUNC, 0644);
    int other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || other < 0 || ftruncate(fd, 16384) != 0) return 1;
    memory(fd);
    ranges(fd, other);
    descriptors(fd);
    names(fd);
    return failures != 0;
}
