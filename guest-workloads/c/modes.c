/* Permission bits as C programs know them: made, told, changed, and what they deny. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static void must(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned mode_of(const char *name) {
    struct stat status;
    must(stat(name, &status) == 0, name);
    return (unsigned)status.st_mode;
}

static int is_denied(int result) {
    return result < 0 && errno == EACCES;
}

static void made(void) {
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
    must(fd >= 0, "open");
    must(mode_of("file") == (S_IFREG | 0640), "the bits of open");
    must(umask(027) == 0 && mkdir("directory", 0777) == 0, "mkdir");
    must(umask(0) == 027 && mode_of("directory") == (S_IFDIR | 0750), "the bits of mkdir");
    must(open("none/file", O_RDWR | O_CREAT, 0400) < 0 && errno == ENOENT, "a path to nowhere");
    FILE *stream = fopen("stream", "w");
    must(stream != NULL && fclose(stream) == 0, "fopen");
    must(mode_of("stream") == (S_IFREG | 0666), "nobody said another mode");
    struct stat status;
    must(fstat(fd, &status) == 0 && status.st_mode == (S_IFREG | 0640), "fstat");
    must(fchmod(fd, 0400) == 0 && mode_of("file") == (S_IFREG | 0400), "fchmod");
    must(pwrite(fd, "open", 4, 0) == 4, "what is open stays open");
    must(fsync(fd) == 0 && close(fd) == 0, "fsync");
}

static void denied(void) {
    must(is_denied(open("file", O_RDWR)), "to write");
    must(access("file", R_OK) == 0 && is_denied(access("file", W_OK)), "access");
    must(is_denied(setxattr("file", "user.a", "1", 1, 0)), "setxattr");
    must(chmod("file", 0200) == 0 && is_denied(open("file", O_RDONLY)), "to read");
    must(open("directory/file", O_WRONLY | O_CREAT, 0600) >= 0, "beneath a directory");
    must(fchmodat(AT_FDCWD, "directory", 0500, 0) == 0, "fchmodat");
    must(is_denied(unlink("directory/file")), "to unlink");
    must(is_denied(mkdir("directory/new", 0700)), "to make");
    must(is_denied(rename("directory/file", "file")), "to rename");
    must(chmod("directory", 0600) == 0, "chmod");
    struct stat status;
    must(is_denied(stat("directory/file", &status)), "to search");
    must(is_denied(faccessat(AT_FDCWD, "directory/file", F_OK, 0)), "faccessat");
    must(chmod("directory", 0700) == 0 && unlink("directory/file") == 0, "given back");
    must(chmod("none", 0600) < 0 && errno == ENOENT, "nothing to change");
}

int main(void) {
    made();
    denied();
    printf("denied and given\n");
    return 0;
}
