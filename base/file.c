/* See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status file_map(const char *path, struct diags *diags, struct str *ret_bytes)
{
    struct str file = str_from(path);
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        diags_add(diags, DIAG_ERROR, file, (struct pos){0, 0}, "cannot be read: error %d", errno);
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
