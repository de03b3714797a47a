/* Locks, as C programs take them: `fcntl`, `lockf` and `flock`. Says what it was told of each; one
 * process, which is never in its own way but through `flock`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static void note(const char *name, int answer) {
    printf("%s: %s\n", name, answer == 0 ? "ok" : errno == EWOULDBLOCK ? "taken" : "error");
}

static int range(int fd, int command, short type, short whence, off_t start, off_t length) {
    struct flock asked = {
        .l_type = type, .l_whence = whence, .l_start = start, .l_len = length};
    int answer = fcntl(fd, command, &asked);
    if (answer == 0 && command == F_GETLK) return asked.l_type == F_UNLCK ? 0 : -1;
    return answer;
}

int main(void) {
    int fd = open("locked", O_RDWR | O_CREAT | O_TRUNC, 0644);
    int other = open("locked", O_RDONLY);
    if (fd < 0 || other < 0 || write(fd, "0123456789", 10) != 10) return 1;
    note("F_SETLK from the end", range(fd, F_SETLK, F_WRLCK, SEEK_END, -4, 4));
    note("F_SETLK before the offset", range(fd, F_SETLKW, F_RDLCK, SEEK_CUR, 0, -2));
    note("F_SETLK of a reader", range(other, F_SETLK, F_WRLCK, SEEK_SET, 0, 1));
    note("F_GETLK", range(other, F_GETLK, F_WRLCK, SEEK_SET, 0, 0));
    note("F_SETLK before the start", range(fd, F_SETLK, F_UNLCK, SEEK_SET, 1, -2));
    note("lockf", lockf(fd, F_LOCK, 0));
    note("lockf", lockf(fd, F_TEST, 0));
    note("lockf", lockf(fd, F_ULOCK, 0));
    note("flock", flock(fd, LOCK_EX));
    note("flock of another", flock(other, LOCK_SH | LOCK_NB));
    int duplicate = dup(fd);
    close(fd);
    note("flock of another", flock(other, LOCK_SH | LOCK_NB));
    close(duplicate);
    note("flock of another", flock(other, LOCK_SH | LOCK_NB));
    note("flock of nonsense", flock(other, 3));
    return 0;
}
