/* A log that grows through a mapped window, in C as it is written for any POSIX system.
 *
 * 1. Creates `log` with a window of 16 KiB, mapped shared; syncs file and directory.
 *    [DUR-DIR-01]
 * 2. N times (first argument, 40): copies a record to the end of the log in the mapping, across
 *    pages; when the window is full unmaps it, lengthens the file and maps the next window.
 *    [MAP-01, MAP-05]
 * 3. After each record: msync(MS_SYNC) of its pages, then prints `record I`. What was printed
 *    must survive, also what lies in windows that are mapped no longer. [DUR-MSYNC-01]
 * 4. At the end cuts the file to its length, reads it back with read, and compares. [MAP-02]
 *
 * Ends with 1 and a message where a call fails, and aborts where the file holds other bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { record_size = 700, window_size = 16384 };

struct log {
    int fd;
    off_t window_at; /* of the window, in the file */
    char *window;
    size_t used; /* of the window */
};

static void give_up(const char *doing) {
    fprintf(stderr, "%s: %s\n", doing, strerror(errno));
    exit(1);
}

static void fill(char *record, int number) {
    int printed = snprintf(record, record_size, "record %d ", number);
    for (int at = printed; at < record_size; at++) {
        record[at] = (char)('a' + (number + at) % 26);
    }
    record[record_size - 1] = '\n';
}

static void map_window(struct log *log) {
    if (ftruncate(log->fd, log->window_at + window_size) != 0) give_up("ftruncate");
    /* The new size is durable before the window is used. */
    if (fsync(log->fd) != 0) give_up("fsync");
    log->window =
        mmap(NULL, window_size, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, log->window_at);
    if (log->window == MAP_FAILED) give_up("mmap");
    log->used = 0;
}

static void next_window(struct log *log) {
    if (munmap(log->window, window_size) != 0) give_up("munmap");
    log->window_at += window_size;
    map_window(log);
}

static void sync_window(struct log *log, size_t from, size_t to) {
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    from -= from % page_size;
    if (msync(log->window + from, to - from, MS_SYNC) != 0) give_up("msync");
}

static void append(struct log *log, const char *record) {
    size_t left = record_size;
    while (left > 0) {
        if (log->used == window_size) next_window(log);
        size_t room = window_size - log->used;
        size_t part = left < room ? left : room;
        size_t from = log->used;
        memcpy(log->window + from, record + (record_size - left), part);
        log->used += part;
        left -= part;
        sync_window(log, from, log->used);
    }
}

static void compare(struct log *log, int count) {
    char expected[record_size], found[record_size];
    for (int number = 1; number <= count; number++) {
        fill(expected, number);
        ssize_t size = pread(log->fd, found, record_size, (off_t)(number - 1) * record_size);
        if (size < 0) give_up("pread");
        if (memcmp(expected, found, (size_t)size) != 0) {
            fprintf(stderr, "record %d differs\n", number);
            abort();
        }
    }
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 40;
    char record[record_size];
    struct log log = {.fd = open("log", O_RDWR | O_CREAT | O_TRUNC, 0644)};
    if (log.fd < 0) give_up("open");
    map_window(&log);
    int directory = open("/", O_RDONLY | O_DIRECTORY);
    if (directory < 0 || fsync(directory) != 0) give_up("fsync of the directory");
    for (int number = 1; number <= count; number++) {
        fill(record, number);
        append(&log, record);
        printf("record %d\n", number);
    }
    if (munmap(log.window, window_size) != 0) give_up("munmap");
    if (ftruncate(log.fd, log.window_at + (off_t)log.used) != 0) give_up("ftruncate");
    compare(&log, count);
    return 0;
}
