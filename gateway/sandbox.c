/* See sandbox.h. The order matters: no new privileges is what lets a process without privileges do the
 * rest; the filter of calls comes last, for it forbids the others'. */
#include "gateway/sandbox.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "gateway/sandbox_parts.h"

const char *const sandbox_modes[] = {"auto", "on", "off", NULL};

/* Written once, before there are threads. */
static bool confines_files;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define IS_SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define IS_SANITIZED 1
#    endif
#endif

/* Sanitizers look at their own process from outside, which is what this forbids. */
static bool is_sanitized(void)
{
#ifdef IS_SANITIZED
    return true;
#else
    return false;
#endif
}

/* Keys and prompts are in memory: it goes to no file, and no process of the same user may look. */
static bool hide_memory(void)
{
    const struct rlimit none = {0, 0};
    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

enum status sandbox_enter(enum sandbox_mode mode, const struct sandbox_needs *needs)
{
    if (mode == SANDBOX_OFF || is_sanitized()) {
        log_write(mode == SANDBOX_OFF ? LOG_WARN : LOG_INFO, "sandbox", "off: %s",
                  mode == SANDBOX_OFF ? "the configuration says so" : "built with sanitizers");
        return mode == SANDBOX_ON ? ST_INVALID : ST_OK;
    }
    bool is_hidden = hide_memory();
    bool is_fixed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    int landlock = is_fixed ? sandbox_files_confine(needs) : 0;
    bool is_filtered = is_fixed && sandbox_calls_filter(needs->exec);
    bool is_whole = is_hidden && landlock > 0 && is_filtered;
    confines_files = landlock > 0;
    log_write(mode == SANDBOX_ON && !is_whole ? LOG_ERROR : LOG_INFO, "sandbox",
              "new privileges: %s; memory dumps: %s; files: %s; system calls: %s",
              is_fixed ? "none" : "POSSIBLE", is_hidden ? "none" : "POSSIBLE",
              landlock == 0 ? "NOT CONFINED, this kernel has no Landlock"
              : needs->exec ? "read all, write state, logs, devices and temporary ones"
                            : "read configuration and system, write state and logs",
              !is_filtered  ? "NOT FILTERED"
              : needs->exec ? "all but those of administrators"
                            : "those on the list, no programs");
    if (mode == SANDBOX_ON && !is_whole) {
        log_write(LOG_ERROR, "sandbox",
                  "server.sandbox is on, and this kernel does not give it all");
        return ST_INVALID;
    }
    return ST_OK;
}

bool sandbox_confines_files(void)
{
    return confines_files;
}
