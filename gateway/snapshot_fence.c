/* See snapshot_fence.h. Paths are compared as what they mean now. */
#include "gateway/snapshot_fence.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/snapshot.h"

/* Where a path leads. False: nowhere. */
static bool resolve(struct str path, char ret_resolved[PATH_MAX])
{
    char text[PATH_MAX];
    if (path.len == 0 || path.len >= sizeof text) {
        return false;
    }
    memcpy(text, path.ptr, path.len);
    text[path.len] = '\0';
    return realpath(text, ret_resolved) != NULL;
}

static bool is_in(const char *file, struct str folder)
{
    char resolved[PATH_MAX];
    if (!resolve(folder, resolved)) {
        return false;
    }
    size_t len = strlen(resolved);
    len -= resolved[len - 1] == '/' ? 1 : 0; /* the root */
    return strncmp(file, resolved, len) == 0 && file[len] == '/';
}

static bool is_file(const char *file, struct str path)
{
    char resolved[PATH_MAX];
    return resolve(path, resolved) && strcmp(file, resolved) == 0;
}

static struct str folder_of(struct str path)
{
    while (path.len > 0 && path.ptr[path.len - 1] != '/') {
        path.len--;
    }
    return path.len > 0 ? path : STR(".");
}

bool snapshot_fence_admits(const void *running, const char *path)
{
    const struct snapshot *s = running;
    const struct key_texts *folders = &s->conf.server.sandbox_read;
    char file[PATH_MAX];
    if (!resolve(str_from(path), file)) {
        return false;
    }
    bool is_admitted = is_in(file, folder_of(s->file));
    for (size_t i = 0; !is_admitted && i < folders->count; i++) {
        is_admitted = is_in(file, folders->items[i]);
    }
    for (const struct key_path *p = s->conf.files; !is_admitted && p != NULL; p = p->next) {
        is_admitted = is_file(file, p->path);
    }
    return is_admitted;
}
