/* A program that maps a file with nothing but its libc: wasi-libc reads the file into memory, and
   what is stored there never reaches the file. The report of its run says so. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    int fd = open("/stored", O_RDWR | O_CREAT, 0644);
    if (fd < 0 || ftruncate(fd, 4096) != 0) return 1;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) return 2;
    page[0] = 'x';
    if (munmap(page, 4096) != 0) return 3;
    char found = 0;
    if (pread(fd, &found, 1, 0) != 1) return 4;
    printf("the file has %s\n", found == 'x' ? "the store" : "no store");
    return 0;
}
