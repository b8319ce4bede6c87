/* See procstat.h. */
#include "bench/procstat.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 256,
    PATH_BYTES = 320, /* "/proc/", a directory entry (255 at most) and what stands around it */
};

uint64_t procstat_cpu_ns(pid_t pid)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    uint64_t total = 0;
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%.200s/schedstat", (int)pid,
                       entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            continue; /* the thread ended meanwhile */
        }
        char line[LINE_BYTES];
        if (fgets(line, sizeof(line), file) != NULL) {
            total += strtoull(line, NULL, 10);
        }
        (void)fclose(file); /* only read */
    }
    (void)closedir(tasks);
    return total;
}

uint64_t procstat_rss_kb(pid_t pid)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    uint64_t rss = 0;
    char line[LINE_BYTES];
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            rss = strtoull(line + 6, NULL, 10);
            break;
        }
    }
    (void)fclose(file); /* only read */
    return rss;
}
