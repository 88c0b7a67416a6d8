// A file system without locks: every call that asks for one fails with the error number in TOMBOLA_TEST_LOCKS.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/file.h>

static int refused(void) {
    const char *number = getenv("TOMBOLA_TEST_LOCKS");
    errno = number ? atoi(number) : ENOLCK;
    return -1;
}

int flock(int file, int operation) {
    (void)file;
    (void)operation;
    return refused();
}

static int passed_on(const char *name, int file, int command, void *argument) {
    switch (command) {
        case F_SETLK: case F_SETLKW: case F_GETLK: case F_OFD_SETLK: case F_OFD_SETLKW: case F_OFD_GETLK:
            return refused();
    }
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
    return real(file, command, argument);
}

int fcntl(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return passed_on("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return passed_on("fcntl64", file, command, argument);
}
