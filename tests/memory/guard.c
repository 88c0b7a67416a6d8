/* A checking allocator for LD_PRELOAD: whoever writes outside the memory that he was given is stopped there and then.
 *
 * It serves aligned allocations, which all tensors of libtorch and all buffers of oneDNN are; others stay with the C library.
 * Each lies at the end of pages of its own, before a page that cannot be touched: a write or a read behind it is a SIGSEGV. With
 * TOMBOLA_GUARD=before each begins at its first page, behind such a page. What alignment leaves free around an allocation is
 * filled with a pattern, which must still be there when it is freed. No address is given twice, so what is used after it was
 * freed is a SIGSEGV as well. */

#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* The allocator of the C library, beneath this one. */
extern void *__libc_malloc(size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static const size_t page = 4096;
static const size_t arena_size = (size_t)256 << 30;
static const unsigned char pattern = 0xA5;

/* What lies at a page of the arena, noted at its first page. */
struct block {
    uint32_t pages; /* 0 where no allocation begins */
    uint32_t offset;
    uint64_t size;
};

static char *arena;
static struct block *blocks;
static atomic_size_t next_page = 1;
static int before;

/* Tells and ends, without allocating. */
static void stop(const char *what, size_t size, size_t distance) {
    char line[160];
    int length = snprintf(line, sizeof line, "guard: %s an allocation of %zu bytes, by %zu\n", what, size, distance);
    if (write(STDERR_FILENO, line, (size_t)length) < 0) {
        _exit(99);
    }
    abort();
}

/* A touch of what cannot be touched: tells which allocation lies before it, then lets it be the SIGSEGV that it is. */
static void touched(int number, siginfo_t *info, void *context) {
    char *address = info->si_addr;
    signal(number, SIG_DFL);
    if (address < arena || address >= arena + arena_size) {
        return;
    }
#ifdef REG_ERR
    int wrote = (((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    int wrote = 0;
    (void)context;
#endif
    size_t at = (size_t)(address - arena) / page;
    while (at > 0 && blocks[at].pages == 0) {
        at--;
    }
    char *memory = arena + at * page + blocks[at].offset;
    char line[160];
    int length = snprintf(line, sizeof line, "guard: %s at %td bytes from the start of the nearest allocation before it, of %zu bytes\n",
                          wrote ? "write" : "read or write", address - memory, (size_t)blocks[at].size);
    if (write(STDERR_FILENO, line, (size_t)length) < 0) {
        _exit(99);
    }
}

__attribute__((constructor)) static void open_arena(void) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *space = mmap(NULL, arena_size, PROT_NONE, flags, -1, 0);
    void *notes = mmap(NULL, arena_size / page * sizeof(struct block), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (space == MAP_FAILED || notes == MAP_FAILED) {
        stop("no address space for", arena_size, 0);
    }
    const char *mode = getenv("TOMBOLA_GUARD");
    before = mode != NULL && strcmp(mode, "before") == 0;
    struct sigaction action = {.sa_sigaction = touched, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    blocks = notes;
    arena = space;
}

static int is_mine(const void *memory) {
    return arena != NULL && (const char *)memory >= arena && (const char *)memory < arena + arena_size;
}

static void *take(size_t alignment, size_t size) {
    if (arena == NULL || alignment > page) {
        return __libc_memalign(alignment, size);
    }
    size = size == 0 ? 1 : size;
    size_t pages = (size + alignment - 1) / alignment * alignment;
    pages = (pages + page - 1) / page;
    size_t at = atomic_fetch_add(&next_page, pages + 1);
    if ((at + pages + 1) * page > arena_size) {
        stop("no room is left for", size, 0);
    }
    char *start = arena + at * page, *end = start + pages * page;
    if (mprotect(start, pages * page, PROT_READ | PROT_WRITE) != 0) {
        stop("the system has no memory for", size, 0);
    }
    char *memory = before ? start : (char *)((uintptr_t)(end - size) / alignment * alignment);
    memset(start, pattern, (size_t)(memory - start));
    memset(memory + size, pattern, (size_t)(end - memory) - size);
    blocks[at] = (struct block){(uint32_t)pages, (uint32_t)(memory - start), size};
    return memory;
}

static void give(char *memory) {
    size_t at = (size_t)(memory - arena) / page;
    struct block *block = &blocks[at];
    char *start = arena + at * page, *end = start + block->pages * page;
    if (block->pages == 0 || memory != start + block->offset) {
        stop("freed what is not", block->size, 0);
    }
    for (char *byte = start; byte < memory; byte++) {
        if ((unsigned char)*byte != pattern) {
            stop("written before", block->size, (size_t)(memory - byte));
        }
    }
    for (char *byte = memory + block->size; byte < end; byte++) {
        if ((unsigned char)*byte != pattern) {
            stop("written behind", block->size, (size_t)(byte - memory) - block->size + 1);
        }
    }
    block->pages = 0;
    if (mmap(start, (size_t)(end - start), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        stop("cannot take back", block->size, 0);
    }
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = take(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}

void *memalign(size_t alignment, size_t size) {
    return take(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return take(alignment, size);
}

void free(void *memory) {
    if (is_mine(memory)) {
        give(memory);
    } else {
        __libc_free(memory);
    }
}

void *realloc(void *memory, size_t size) {
    if (!is_mine(memory)) {
        return __libc_realloc(memory, size);
    }
    size_t old = blocks[(size_t)((char *)memory - arena) / page].size;
    void *moved = __libc_malloc(size);
    if (moved != NULL) {
        memcpy(moved, memory, old < size ? old : size);
        give(memory);
    }
    return moved;
}
