/* Copies a sparse file in the three ways that C programs have: by its holes, by FICLONE, and by
 * copy_file_range. Each copy is compared with its source, byte by byte.
 *
 * 1. A file is made with data in some pages, one of them stored through a mapping.
 * 2. Its holes are told by SEEK_DATA and SEEK_HOLE, and what is between them is copied.
 * 3. It is cloned, wholly and in part; a copy is made by copy_file_range, at own and given offsets.
 * 4. Each copy is synced. A power loss may lose what was not synced by then, and nothing else.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { page = 4096, pages = 8, length = page * pages };

static void must(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int made(const char *name) {
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    must(fd >= 0, name);
    return fd;
}

static int source(void) {
    int fd = made("source");
    must(ftruncate(fd, length) == 0, "ftruncate");
    char *mapped = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(mapped != MAP_FAILED, "mmap");
    memset(mapped + 2 * page + 100, 'm', 200);
    must(munmap(mapped, length) == 0, "munmap");
    must(pwrite(fd, "written", 7, 5 * page - 3) == 7, "pwrite");
    return fd;
}

static void same(int one, int two, const char *how) {
    static char first[length], second[length];
    must(pread(one, first, length, 0) == length, how);
    must(pread(two, second, length, 0) == length, how);
    must(memcmp(first, second, length) == 0, how);
    must(fsync(two) == 0, how);
    printf("%s\n", how);
}

static void by_holes(int from) {
    static char bytes[length];
    int to = made("by_holes");
    off_t data = 0, hole = 0;
    while ((data = lseek(from, hole, SEEK_DATA)) >= 0) {
        hole = lseek(from, data, SEEK_HOLE);
        must(hole > data, "SEEK_HOLE");
        must(pread(from, bytes, (size_t)(hole - data), data) == hole - data, "pread");
        must(pwrite(to, bytes, (size_t)(hole - data), data) == hole - data, "pwrite");
    }
    must(errno == ENXIO, "SEEK_DATA beyond the data");
    must(ftruncate(to, length) == 0, "ftruncate");
    same(from, to, "by holes");
}

static void by_clone(int from) {
    int to = made("by_clone");
    must(ioctl(to, FICLONE, from) == 0, "FICLONE");
    same(from, to, "by clone");
    must(pwrite(to, "private", 7, 0) == 7, "pwrite");
    struct file_clone_range part = {.src_fd = from, .src_length = page};
    must(ioctl(to, FICLONERANGE, &part) == 0, "FICLONERANGE");
    same(from, to, "by a clone of a part");
    struct file_dedupe_range *range = calloc(1, sizeof *range + sizeof range->info[0]);
    must(range != NULL, "calloc");
    range->src_length = length;
    range->dest_count = 1;
    range->info[0].dest_fd = to;
    must(ioctl(from, FIDEDUPERANGE, range) == 0, "FIDEDUPERANGE");
    must(range->info[0].status == FILE_DEDUPE_RANGE_SAME, "they are the same");
    free(range);
}

static void by_copy(int from) {
    int to = made("by_copy");
    off_t at = 0;
    while (at < page + 10) {
        ssize_t count = copy_file_range(from, &at, to, NULL, (size_t)(page + 10 - at), 0);
        must(count > 0, "copy_file_range to a given offset");
    }
    must(lseek(to, 0, SEEK_CUR) == page + 10 && at == page + 10, "the offsets moved");
    must(lseek(from, at, SEEK_SET) == at, "lseek");
    ssize_t count = 1;
    while (count > 0) count = copy_file_range(from, NULL, to, NULL, 1 << 20, 0);
    must(count == 0 && lseek(to, 0, SEEK_CUR) == length, "copy_file_range to the end");
    same(from, to, "by copy_file_range");
    must(fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length) == 0, "fallocate");
    must(lseek(to, 0, SEEK_DATA) < 0 && errno == ENXIO, "nothing is left");
    must(lseek(to, 5, SEEK_HOLE) == 5, "all of it is a hole");
}

static void directly(void) {
    static _Alignas(page) char bytes[page];
    int fd = open("direct", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0644);
    must(fd >= 0, "O_DIRECT");
    memset(bytes, 'd', page);
    must(pwrite(fd, bytes, page, 0) == page, "a direct write");
    must(pwrite(fd, bytes, 100, 0) < 0 && errno == EINVAL, "one of a part of a block");
    must(pread(fd, bytes, page, page) == 0, "a direct read at the end");
    printf("directly\n");
}

int main(void) {
    int from = source();
    by_holes(from);
    by_clone(from);
    by_copy(from);
    directly();
    return 0;
}
