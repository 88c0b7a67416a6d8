/* Writes down everything that a program does to the files of one folder, in order, so that a power failure at any moment can be
 * played back: what was asked to reach the disk by then, and what was not.
 *
 * Loaded with LD_PRELOAD. POWER_ROOT is the folder, an absolute path; POWER_TRACE the file that the events are appended to. Each
 * event is a line, for a write followed by its bytes:
 *
 *   O HANDLE c|- t|- PATH   opened: may have been made, was emptied
 *   W HANDLE OFFSET LENGTH  written
 *   T HANDLE LENGTH         cut or lengthened
 *   S HANDLE                brought to the disk, contents or names
 *   R FROM TO               renamed
 *   U PATH, M PATH, D PATH  file removed, folder made, folder removed
 *
 * A call and its event are one under a lock, so that the order of events is that of the calls.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define HANDLES 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long handles[HANDLES];
static long count;
static int trace = -1;
static char root[4096];
static size_t root_length;

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))
typedef int (*open_call)(const char *, int, ...);
typedef ssize_t (*write_call)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("POWER_ROOT"), *file = getenv("POWER_TRACE");
    if (!folder || !file || strlen(folder) >= sizeof root) return;
    strcpy(root, folder);
    root_length = strlen(root);
    trace = REAL(open_call, "open")(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = REAL(write_call, "write")(trace, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void event(const char *form, ...) {
    char line[9000];
    va_list arguments;
    va_start(arguments, form);
    int length = vsnprintf(line, sizeof line, form, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof line) abort();
    put(line, (size_t)length);
}

/* The path below the folder; nothing if it is elsewhere. */
static const char *below(const char *path, char *whole) {
    if (trace < 0 || !path) return NULL;
    if (path[0] == '/') {
        snprintf(whole, 8192, "%s", path);
    } else {
        if (!getcwd(whole, 4096)) return NULL;
        strcat(whole, "/");
        strncat(whole, path, 4000);
    }
    if (strncmp(whole, root, root_length) != 0) return NULL;
    if (whole[root_length] == 0) return ".";
    return whole[root_length] == '/' ? whole + root_length + 1 : NULL;
}

static long handle(int file) { return file >= 0 && file < HANDLES ? handles[file] : 0; }

static int opened(int file, const char *path, int flags) {
    char whole[8192];
    const char *name = file >= 0 && file < HANDLES ? below(path, whole) : NULL;
    if (name) {
        handles[file] = ++count;
        event("O %ld %c %c %s\n", count, flags & O_CREAT ? 'c' : '-', flags & O_TRUNC ? 't' : '-', name);
    } else if (file >= 0 && file < HANDLES) {
        handles[file] = 0;
    }
    return file;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;               \
        va_end(arguments);                                                                         \
        pthread_mutex_lock(&lock);                                                                 \
        int file = opened(REAL(open_call, #name)(path, flags, mode), path, flags);                 \
        pthread_mutex_unlock(&lock);                                                               \
        return file;                                                                               \
    }
OPEN(open)
OPEN(open64)

/* Where the next bytes go. */
static off_t offset(int file) {
    struct stat found;
    if (fcntl(file, F_GETFL) & O_APPEND) return fstat(file, &found) == 0 ? found.st_size : 0;
    return lseek(file, 0, SEEK_CUR);
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (!handle(file)) return REAL(write_call, "write")(file, bytes, length);
    pthread_mutex_lock(&lock);
    off_t at = offset(file);
    ssize_t done = REAL(write_call, "write")(file, bytes, length);
    if (done > 0) {
        event("W %ld %lld %zd\n", handle(file), (long long)at, done);
        put(bytes, (size_t)done);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int file, const struct iovec *parts, int number) {
    typedef ssize_t (*call)(int, const struct iovec *, int);
    /* One part at a time: fewer bytes than were given are a right answer. */
    if (!handle(file)) return REAL(call, "writev")(file, parts, number);
    for (int part = 0; part < number; part++)
        if (parts[part].iov_len > 0) return write(file, parts[part].iov_base, parts[part].iov_len);
    return 0;
}

static int cut(int file, off_t length, int result) {
    if (result == 0 && handle(file)) event("T %ld %lld\n", handle(file), (long long)length);
    return result;
}

#define LOCKED(type, call_)                                                                        \
    pthread_mutex_lock(&lock);                                                                     \
    type result = call_;                                                                           \
    pthread_mutex_unlock(&lock);                                                                   \
    return result;

typedef int (*cut_call)(int, off_t);
int ftruncate(int file, off_t length) { LOCKED(int, cut(file, length, REAL(cut_call, "ftruncate")(file, length))) }
int ftruncate64(int file, off_t length) { LOCKED(int, cut(file, length, REAL(cut_call, "ftruncate64")(file, length))) }

typedef int (*file_call)(int);
static int synced(int file, int result) {
    if (result == 0 && handle(file)) event("S %ld\n", handle(file));
    return result;
}
int fsync(int file) { LOCKED(int, synced(file, REAL(file_call, "fsync")(file))) }
int fdatasync(int file) { LOCKED(int, synced(file, REAL(file_call, "fdatasync")(file))) }

int close(int file) {
    pthread_mutex_lock(&lock);
    if (file >= 0 && file < HANDLES) handles[file] = 0;
    pthread_mutex_unlock(&lock);
    return REAL(file_call, "close")(file);
}

int rename(const char *from, const char *to) {
    typedef int (*call)(const char *, const char *);
    char one[8192], other[8192];
    pthread_mutex_lock(&lock);
    int result = REAL(call, "rename")(from, to);
    const char *source = below(from, one), *target = below(to, other);
    if (result == 0 && source && target) event("R %s %s\n", source, target);
    pthread_mutex_unlock(&lock);
    return result;
}

static int named(char kind, const char *path, int result) {
    char whole[8192];
    const char *name = below(path, whole);
    if (result == 0 && name) event("%c %s\n", kind, name);
    return result;
}

typedef int (*path_call)(const char *);
int unlink(const char *path) { LOCKED(int, named('U', path, REAL(path_call, "unlink")(path))) }
int rmdir(const char *path) { LOCKED(int, named('D', path, REAL(path_call, "rmdir")(path))) }
int mkdir(const char *path, mode_t mode) {
    typedef int (*call)(const char *, mode_t);
    LOCKED(int, named('M', path, REAL(call, "mkdir")(path, mode)))
}
