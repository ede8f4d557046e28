/* Preloaded: SIGKILL before the n-th file-system operation below a folder. `kill_at(folder, n)` arms it; n = 0 counts. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static long target;
static atomic_long count;

long kill_count(void) { return count; }
void kill_at(const char *folder, long n) {
    strncpy(root, folder, sizeof root - 1);
    target = n;
    count = 0;
}
static void operation(void) {
    if (atomic_fetch_add(&count, 1) + 1 == target) kill(getpid(), SIGKILL);
}
static void at_path(const char *path) {
    char full[PATH_MAX];
    if (!root[0] || !path) return;
    if (path[0] != '/') {
        if (!getcwd(full, sizeof full)) return;
        path = strncat(strncat(full, "/", 2), path, sizeof full - strlen(full) - 1);
    }
    if (!strncmp(path, root, strlen(root))) operation();
}
static void at_dir(int dir, const char *path) { /* openat, unlinkat: relative to an open folder (shutil.rmtree) */
    char link[64], full[PATH_MAX];
    if (!root[0]) return;
    if (dir == AT_FDCWD || path[0] == '/') { at_path(path); return; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, full, sizeof full - 1);
    if (length > 0) { full[length] = 0; at_path(full); }
}
static void at_file(int file) { at_dir(file, ""); }

#define REAL(name) static typeof(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t write(int f, const void *b, size_t n) { REAL(write); at_file(f); return real(f, b, n); }
ssize_t pwrite(int f, const void *b, size_t n, off_t o) { REAL(pwrite); at_file(f); return real(f, b, n, o); }
ssize_t pwrite64(int f, const void *b, size_t n, off_t o) { REAL(pwrite64); at_file(f); return real(f, b, n, o); }
ssize_t writev(int f, const struct iovec *v, int n) { REAL(writev); at_file(f); return real(f, v, n); }
int fsync(int f) { REAL(fsync); at_file(f); return real(f); }
int fdatasync(int f) { REAL(fdatasync); at_file(f); return real(f); }
int ftruncate(int f, off_t n) { REAL(ftruncate); at_file(f); return real(f, n); }
int ftruncate64(int f, off_t n) { REAL(ftruncate64); at_file(f); return real(f, n); }
int rename(const char *a, const char *b) { REAL(rename); at_path(a); return real(a, b); }
int renameat(int c, const char *a, int d, const char *b) { REAL(renameat); at_dir(c, a); return real(c, a, d, b); }
int unlink(const char *p) { REAL(unlink); at_path(p); return real(p); }
int unlinkat(int d, const char *p, int g) { REAL(unlinkat); at_dir(d, p); return real(d, p, g); }
int rmdir(const char *p) { REAL(rmdir); at_path(p); return real(p); }
int mkdir(const char *p, mode_t m) { REAL(mkdir); at_path(p); return real(p, m); }
int mkdirat(int d, const char *p, mode_t m) { REAL(mkdirat); at_dir(d, p); return real(d, p, m); }
int link(const char *a, const char *b) { REAL(link); at_path(b); return real(a, b); }
int linkat(int c, const char *a, int d, const char *b, int g) { REAL(linkat); at_dir(d, b); return real(c, a, d, b, g); }
int chmod(const char *p, mode_t m) { REAL(chmod); at_path(p); return real(p, m); }
int fchmod(int f, mode_t m) { REAL(fchmod); at_file(f); return real(f, m); }

#define OPEN(name) int name(const char *p, int g, ...) { \
    va_list list; va_start(list, g); mode_t m = va_arg(list, int); va_end(list); \
    REAL(name); if (g & O_CREAT) at_path(p); return real(p, g, m); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int d, const char *p, int g, ...) { \
    va_list list; va_start(list, g); mode_t m = va_arg(list, int); va_end(list); \
    REAL(name); if (g & O_CREAT) at_dir(d, p); return real(d, p, g, m); }
OPENAT(openat)
OPENAT(openat64)
#define FOPEN(name) FILE *name(const char *p, const char *m) { \
    REAL(name); if (m[0] != 'r') at_path(p); return real(p, m); }
FOPEN(fopen)
FOPEN(fopen64)
