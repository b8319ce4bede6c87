/* Preloaded into llama-server by bench/swap/swap: gives it the pace of a large model without its work.
 * Asleep, a process that serves a model takes SWAP_LOAD_MS more to start, and SWAP_PAUSE_MS more each
 * time it waits for libllama, which is twice a token. Each such process writes its number into the file
 * SWAP_STARTS: how loads are counted, whoever starts them. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of libllama; the context is only passed on. */
void llama_synchronize(void *context);

static void sleep_as_told(const char *variable)
{
    const char *text = getenv(variable);
    long ms = text == NULL ? 0 : strtol(text, NULL, 10);
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&rest, &rest) != 0) {
    }
}

static void write_start(void)
{
    const char *path = getenv("SWAP_STARTS");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        dprintf(file, "%d\n", (int)getpid());
        close(file);
    }
}

/* The router, which has no model of its own, starts at once. */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--model") == 0 || strcmp(argv[i], "-m") == 0) {
            write_start();
            sleep_as_told("SWAP_LOAD_MS");
            return;
        }
    }
}

void llama_synchronize(void *context)
{
    static void (*next)(void *);
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "llama_synchronize");
    }
    sleep_as_told("SWAP_PAUSE_MS");
    if (next != NULL) {
        next(context);
    }
}
