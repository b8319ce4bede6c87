/* See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status file_map(const char *path, struct diags *diags, struct str *ret_bytes)
{
    struct str file = str_from(path);
    struct stat info;
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    bool is_found = fd >= 0 && fstat(fd, &info) == 0;
    if (!is_found || !S_ISREG(info.st_mode)) {
        diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "cannot be read: %s",
                  is_found ? "it is no regular file" : strerror_r(errno, text, sizeof text));
        if (fd >= 0) {
            (void)close(fd); /* nothing was written */
        }
        return ST_IO;
    }
    size_t size = (size_t)info.st_size;
    void *map = size > 0 ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    (void)close(fd); /* nothing was written */
    if (map == MAP_FAILED) {
        diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "cannot be mapped");
        return ST_IO;
    }
    *ret_bytes = (struct str){map, size};
    return ST_OK;
}

void file_unmap(struct str bytes)
{
    if (bytes.len > 0) {
        (void)munmap((void *)(uintptr_t)bytes.ptr, bytes.len); /* ours: only the view is const */
    }
}

static bool is_private(mode_t mode)
{
    return (mode & (S_IRWXO | S_IWGRP | S_IXGRP)) == 0;
}

enum status file_read_secret(const char *path, char *memory, size_t size, struct str *ret_bytes,
                             char ret_why[FILE_WHY_BYTES])
{
    struct stat info = {.st_mode = 0};
    char reason[128] = "is no file of a reasonable size";
    size_t len = 0;
    bool is_read = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        char text[64] = "";
        (void)snprintf(reason, sizeof reason, "cannot be opened: %s",
                       strerror_r(errno, text, sizeof text));
    } else if (S_ISREG(info.st_mode) && !is_private(info.st_mode)) {
        (void)snprintf(reason, sizeof reason,
                       "is a secret with mode %04o: others must not reach it; chmod 0600",
                       (unsigned)(info.st_mode & 07777));
    } else if (S_ISREG(info.st_mode) && (size_t)info.st_size < size) {
        ssize_t n = read(fd, memory, size - 1);
        is_read = n >= 0;
        len = is_read ? (size_t)n : 0;
    }
    if (fd >= 0) {
        (void)close(fd); /* nothing was written */
    }
    if (!is_read) {
        (void)snprintf(ret_why, FILE_WHY_BYTES, "\"%.120s\" %s", path, reason);
        return ST_INVALID;
    }
    memory[len] = '\0';
    *ret_bytes = (struct str){memory, len};
    return ST_OK;
}
