/* See kernel_file.h. */
#include "backends/kernel_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum {
    /* What a kernel of version 1.0 has at least: up to generate. */
    ABI_MIN_BYTES = offsetof(struct ek_kernel, generate) + sizeof(void *),
    INFO_MIN_BYTES = sizeof(struct ek_info),
};

static enum status refuse(char why[KERNEL_WHY_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum status refuse(char why[KERNEL_WHY_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, KERNEL_WHY_BYTES, format, args);
    va_end(args);
    return ST_INVALID;
}

/* Who could change it could be us. */
static enum status check_owner(const char *path, const struct stat *s, char why[KERNEL_WHY_BYTES])
{
    if (s->st_uid != 0 && s->st_uid != geteuid()) {
        return refuse(why, "\"%s\" belongs to user %u: it must belong to root or to user %u", path,
                      (unsigned)s->st_uid, (unsigned)geteuid());
    }
    if ((s->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return refuse(why, "\"%s\" can be written by its group or by others (mode %04o)", path,
                      (unsigned)s->st_mode & 07777U);
    }
    return ST_OK;
}

/* Checks; the path without symbolic links goes to `resolved` (PATH_MAX bytes). */
static enum status check(const char *path, char *resolved, char why[KERNEL_WHY_BYTES])
{
    struct stat s;
    if (path[0] != '/') {
        return refuse(why, "\"%s\" must be an absolute path", path);
    }
    if (realpath(path, resolved) == NULL || stat(resolved, &s) != 0) {
        return refuse(why, "\"%s\" cannot be read: %s", path, strerror(errno));
    }
    if (!S_ISREG(s.st_mode)) {
        return refuse(why, "\"%s\" is no regular file", path);
    }
    if (check_owner(resolved, &s, why) != ST_OK) {
        return ST_INVALID;
    }
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", resolved);
    char *slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = '\0';
    if (stat(folder, &s) != 0) {
        return refuse(why, "\"%s\" cannot be read: %s", folder, strerror(errno));
    }
    return check_owner(folder, &s, why);
}

enum status kernel_file_check(const char *path, char why[KERNEL_WHY_BYTES])
{
    char resolved[PATH_MAX];
    return check(path, resolved, why);
}

enum status kernel_file_accept(const struct ek_kernel *kernel, struct ek_kernel *ret_abi,
                               char why[KERNEL_WHY_BYTES])
{
    if (kernel == NULL) {
        return refuse(why, "the kernel does not work with version %u.%u of the interface",
                      EK_ABI_MAJOR, EK_ABI_MINOR);
    }
    if (kernel->abi_major != EK_ABI_MAJOR) {
        return refuse(why, "the kernel speaks version %u.%u of the interface, this host %u.%u",
                      (unsigned)kernel->abi_major, (unsigned)kernel->abi_minor, EK_ABI_MAJOR,
                      EK_ABI_MINOR);
    }
    if (kernel->size < (uint32_t)ABI_MIN_BYTES) {
        return refuse(why, "the kernel's table has %u bytes, fewer than version %u.0 has",
                      (unsigned)kernel->size, EK_ABI_MAJOR);
    }
    struct ek_kernel abi = {.size = 0};
    memcpy(&abi, kernel, kernel->size < sizeof abi ? kernel->size : sizeof abi);
    if (abi.info == NULL || abi.create == NULL || abi.destroy == NULL || abi.generate == NULL) {
        return refuse(why, "the kernel lacks one of info, create, destroy and generate");
    }
    const struct ek_info *info = abi.info();
    if (info == NULL || info->size < (uint32_t)INFO_MIN_BYTES) {
        return refuse(why, "the kernel does not say what it is");
    }
    if ((info->capabilities & (EK_CAP_GENERATE | EK_CAP_EMBED)) == 0) {
        return refuse(why, "the kernel neither generates text nor embeds");
    }
    if ((info->capabilities & EK_CAP_EMBED) != 0 && abi.embed == NULL) {
        return refuse(why, "the kernel says that it embeds, and lacks embed");
    }
    *ret_abi = abi;
    return ST_OK;
}

enum status kernel_file_load(const char *path, const struct ek_host *host,
                             struct ek_kernel *ret_abi, char why[KERNEL_WHY_BYTES])
{
    char resolved[PATH_MAX];
    if (check(path, resolved, why) != ST_OK) {
        return ST_INVALID;
    }
    void *object = dlopen(resolved, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        return refuse(why, "it cannot be loaded: %s", dlerror());
    }
    void *symbol = dlsym(object, EK_ENTRY_SYMBOL);
    if (symbol == NULL) {
        return refuse(why, "\"%s\" is no kernel: it has no function " EK_ENTRY_SYMBOL, path);
    }

    union { /* ISO C does not convert object pointers to functions; POSIX has them alike */
        void *symbol;
        ek_entry_fn call;
    } entry = {.symbol = symbol};

    return kernel_file_accept(entry.call(host), ret_abi, why);
}

enum status kernel_file_fits(const struct ek_kernel *abi, const struct ek_config *config,
                             char why[KERNEL_WHY_BYTES])
{
    struct ek_cost cost = {.size = sizeof cost};
    struct ek_error error = {.size = sizeof error, .retry_after_s = -1};
    if (abi->estimate == NULL || config->memory_bytes == 0) {
        return ST_OK;
    }
    enum ek_status status = abi->estimate(config, &cost, &error);
    error.message[sizeof error.message - 1] = '\0';
    if (status == EK_BAD_CONFIG) {
        return refuse(why, "%s",
                      error.message[0] != '\0' ? error.message : "its options are wrong");
    }
    uint64_t loading =
        cost.load_bytes > cost.resident_bytes ? cost.load_bytes : cost.resident_bytes;
    uint64_t most = loading + cost.shared_bytes;
    if (status == EK_OK && (most < loading || most > config->memory_bytes)) {
        return refuse(why,
                      "an instance needs %" PRIu64 " MiB, and \"memory\" allows %" PRIu64 " MiB",
                      most >> 20, config->memory_bytes >> 20);
    }
    return ST_OK;
}
