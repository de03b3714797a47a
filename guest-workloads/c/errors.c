/* What C programs are told when Linux's calls fail: -1, and errno as the manual pages have it. */
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
#include <sys/xattr.h>
#include <unistd.h>

enum { page = 4096, pages = 4 };

static int failures;

static void fails(const char *what, long long answer, int error) {
    if (answer == -1 && errno == error) return;
    fprintf(stderr, "%s: %lld, %s instead of %s\n", what, answer, strerror(errno),
            strerror(error));
    failures++;
}

static void holds(const char *what, int is_so) {
    if (is_so) return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    failures++;
}

static void ranges(int fd, int other, int reader) {
    off_t before = -1, at = 0;
    fails("copy_file_range before the start", copy_file_range(fd, &before, other, NULL, 1, 0),
          EINVAL);
    fails("copy_file_range with flags", copy_file_range(fd, NULL, other, NULL, 1, 1), EINVAL);
    fails("copy_file_range to a reader", copy_file_range(fd, &at, reader, NULL, 1, 0), EBADF);
    fails("copy_file_range from nowhere", copy_file_range(99, &at, other, NULL, 1, 0), EBADF);
    at = pages * page;
    holds("copy_file_range at the end", copy_file_range(fd, &at, other, NULL, 1, 0) == 0);
    fails("FICLONE to a reader", ioctl(reader, FICLONE, fd), EBADF);
    fails("FICLONE from nowhere", ioctl(other, FICLONE, 99), EBADF);
    struct file_clone_range part = {.src_fd = fd, .src_offset = 1, .src_length = page};
    fails("FICLONERANGE of a part of a block", ioctl(other, FICLONERANGE, &part), EINVAL);
    part.src_offset = pages * page;
    part.src_length = 2 * page;
    fails("FICLONERANGE beyond the end", ioctl(other, FICLONERANGE, &part), EINVAL);
    part.src_offset = 0;
    part.dest_offset = page;
    fails("FICLONERANGE onto itself", ioctl(fd, FICLONERANGE, &part), EINVAL);
    struct file_dedupe_range *range = calloc(1, sizeof *range + 2 * sizeof range->info[0]);
    range->src_length = page;
    range->dest_count = 2;
    range->info[0].dest_fd = other;
    range->info[1].dest_fd = 99;
    holds("FIDEDUPERANGE", ioctl(fd, FIDEDUPERANGE, range) == 0);
    holds("bytes that differ", range->info[0].status == FILE_DEDUPE_RANGE_DIFFERS);
    holds("nothing was shared", range->info[0].bytes_deduped == 0);
    holds("a destination that is not open", range->info[1].status == -EBADF);
    free(range);
    fails("SEEK_DATA at the end", lseek(fd, pages * page, SEEK_DATA), ENXIO);
    fails("SEEK_HOLE before the start", lseek(fd, -1, SEEK_HOLE), ENXIO);
    fails("a whence that is none", lseek(fd, 0, 9), EINVAL);
}

static void room(int fd, int reader) {
    int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    fails("fallocate of nothing", fallocate(fd, 0, 0, 0), EINVAL);
    fails("fallocate before the start", fallocate(fd, 0, -1, 1), EINVAL);
    fails("fallocate of a negative length", fallocate(fd, 0, 0, -1), EINVAL);
    fails("a punch that does not keep the size", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, page),
          EOPNOTSUPP);
    fails("a flag that is none", fallocate(fd, 0x100, 0, page), EOPNOTSUPP);
    fails("collapse of a part of a block", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 1, page),
          EINVAL);
    fails("collapse to the end",
          fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, page, (pages - 1) * page), EINVAL);
    fails("insert at the end", fallocate(fd, FALLOC_FL_INSERT_RANGE, pages * page, page),
          EINVAL);
    fails("a punch by a reader", fallocate(reader, punch, 0, page), EBADF);
    fails("room beyond any file", fallocate(fd, 0, 0x7fffffffffffffff, 1), EFBIG);
    fails("more room than there is", fallocate(fd, 0, 0, 1LL << 40), ENOSPC);
    holds("posix_fallocate answers the error", posix_fallocate(fd, 0, 0) == EINVAL);
    fails("sync_file_range with a flag that is none", sync_file_range(fd, 0, 0, 8), EINVAL);
    holds("sync_file_range that waits", sync_file_range(fd, 0, 0, 7) == 0);
}

static void attributes(int fd) {
    char value[8];
    fails("no such attribute", fgetxattr(fd, "user.none", value, sizeof value), ENODATA);
    fails("none to remove", fremovexattr(fd, "user.none"), ENODATA);
    fails("none to replace", fsetxattr(fd, "user.none", "x", 1, XATTR_REPLACE), ENODATA);
    holds("fsetxattr", fsetxattr(fd, "user.a", "123456789", 9, XATTR_CREATE) == 0);
    fails("made twice", fsetxattr(fd, "user.a", "1", 1, XATTR_CREATE), EEXIST);
    fails("a value that does not fit", fgetxattr(fd, "user.a", value, sizeof value), ERANGE);
    holds("its length", fgetxattr(fd, "user.a", NULL, 0) == 9);
    fails("a list that does not fit", flistxattr(fd, value, 2), ERANGE);
    fails("another space of names", fsetxattr(fd, "trusted.a", "1", 1, 0), EOPNOTSUPP);
    fails("a file that is not there", setxattr("none", "user.a", "1", 1, 0), ENOENT);
}

static void locks(int fd, int other) {
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    fails("flock of nonsense", flock(fd, 3), EINVAL);
    holds("F_OFD_SETLK", fcntl(fd, F_OFD_SETLK, &asked) == 0);
    fails("F_OFD_SETLK of another description", fcntl(other, F_OFD_SETLK, &asked), EAGAIN);
    fails("F_SETLK of the process", fcntl(fd, F_SETLK, &asked), EAGAIN);
    holds("F_OFD_GETLK", fcntl(other, F_OFD_GETLK, &asked) == 0);
    holds("who is in the way", asked.l_type == F_WRLCK && asked.l_pid == -1);
    fails("F_OFD_SETLK for a process", fcntl(fd, F_OFD_SETLK, &asked), EINVAL);
    asked.l_pid = 0;
    asked.l_start = -1;
    asked.l_whence = SEEK_SET;
    fails("F_SETLK before the start", fcntl(fd, F_SETLK, &asked), EINVAL);
}

static void names(int fd) {
    fails("RENAME_NOREPLACE", renameat2(AT_FDCWD, "file", AT_FDCWD, "other", RENAME_NOREPLACE),
          EEXIST);
    fails("RENAME_EXCHANGE", renameat2(AT_FDCWD, "file", AT_FDCWD, "none", RENAME_EXCHANGE),
          ENOENT);
    fails("both", renameat2(AT_FDCWD, "file", AT_FDCWD, "none", 3), EINVAL);
    fails("a name that is taken", linkat(fd, "", AT_FDCWD, "other", AT_EMPTY_PATH), EEXIST);
    fails("O_TMPFILE of a reader", open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
    fails("mmap of no length", mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0,
          EINVAL);
    fails("msync of nothing", msync((void *)page, page, MS_SYNC), ENOMEM);
    fails("fchmod of nowhere", fchmod(99, 0600), EBADF);
    fails("syncfs of nowhere", syncfs(99), EBADF);
    fails("dup of nowhere", dup(99), EBADF);
}

int main(void) {
    static char bytes[pages * page];
    memset(bytes, 'b', sizeof bytes);
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0644);
    int other = open("other", O_RDWR | O_CREAT | O_EXCL, 0644);
    int reader = open("other", O_RDONLY);
    int again = open("file", O_RDWR);
    if (fd < 0 || other < 0 || reader < 0 || again < 0) return 1;
    if (pwrite(fd, bytes, sizeof bytes, 0) != sizeof bytes) return 1;
    if (ftruncate(other, page) != 0) return 1;
    ranges(fd, other, reader);
    room(fd, reader);
    attributes(fd);
    locks(fd, again);
    names(fd);
    printf("%d answers that are not Linux's\n", failures);
    return failures != 0;
}
