/* A load generator for one HTTP/1.1 server on the loopback: one thread, keep-alive connections,
 * closed loop (each connection asks again as soon as it has its answer) or open loop (--rate: requests
 * start on schedule, and a late start counts as waiting). It understands answers with
 * Content-Length, chunked ones and those that end with the connection, and the time stamps that
 * responder puts into events. Prints one JSON object.
 *
 *     loadgen --port P [options]
 *         --path PATH          default /v1/chat/completions
 *         --body FILE          the request's body; without it GET
 *         --connections N      default 16
 *         --requests N         measure N requests, or
 *         --seconds S          measure S seconds (default 2), whichever comes first
 *         --warm N             requests before measuring starts (default 0)
 *         --warm-ms MS         time before measuring starts (default 0)
 *         --rate R             open loop, requests per second
 *         --pid PID            the server: its CPU time and memory (repeat for several processes)
 *         --limit-s S          give up after S seconds (default 120): exit status 3
 *
 * It is no HTTP test: an answer it does not understand is counted as an error and the connection
 * opened anew. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/histogram.h"
#include "bench/net.h"
#include "bench/procstat.h"

enum {
    CONNECTIONS_MAX = 16000,
    HEAD_BYTES = 4096,
    LINE_BYTES = 1024, /* of an event's line: the time stamp stands within these last bytes */
    READ_BYTES = 256 * 1024,
    EPOLL_BATCH = 256,
    PIDS_MAX = 16,
    STATUS_AT = 9, /* "HTTP/1.1 " */
};

enum conn_state {
    IDLE,
    HEAD,
    BODY_LENGTH,   /* Content-Length */
    BODY_CHUNKED,  /* see chunk_state */
    BODY_TO_CLOSE, /* until the connection ends */
};

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_DATA,
    CHUNK_DATA_END,
    CHUNK_TRAILER,
};

struct conn {
    int fd;
    uint32_t generation; /* counts sockets: a new one may get the old one's number */
    enum conn_state state;
    enum chunk_state chunk_state;
    bool wants_write;
    bool has_event; /* the first event of this answer came */
    bool closes;    /* the server said Connection: close */
    size_t sent;    /* bytes of the request */
    uint64_t start_ns;
    uint64_t body_left;  /* BODY_LENGTH; CHUNK_DATA */
    uint64_t line_bytes; /* of the trailer line */
    size_t head_len;
    char head[HEAD_BYTES];
    size_t event_len;
    char event[LINE_BYTES]; /* the last bytes of the current line */
    struct conn *idle_next;
};

static struct options {
    uint16_t port;
    const char *path;
    const char *body_file;
    uint64_t connections;
    uint64_t requests; /* 0: no limit */
    uint64_t seconds;
    uint64_t warm;
    uint64_t warm_ms;
    uint64_t rate;
    uint64_t limit_s;
    pid_t pids[PIDS_MAX];
    size_t pid_count;
} options = {
    .path = "/v1/chat/completions",
    .connections = 16,
    .seconds = 2,
    .limit_s = 120,
};

static struct totals {
    uint64_t answers; /* whole ones, any status */
    uint64_t refused; /* of these not 2xx */
    uint64_t errors;  /* connections that broke or made no sense */
    uint64_t events;
    uint64_t ends; /* data: [DONE] */
    uint64_t reconnects;
    uint64_t body_bytes;
    struct histogram latency;
    struct histogram first_event;
    struct histogram delay; /* of events: now minus their time stamp */
} totals;

static int epoll;
static char *request;
static size_t request_len;
static struct conn *idle;
static uint64_t started; /* requests */

static uint64_t cpu_ns(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < options.pid_count; i++) {
        sum += procstat_cpu_ns(options.pids[i]);
    }
    return sum;
}

static uint64_t rss_kb(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < options.pid_count; i++) {
        sum += procstat_rss_kb(options.pids[i]);
    }
    return sum;
}

static void conn_open(struct conn *c)
{
    c->fd = net_connect(options.port);
    if (c->fd < 0) {
        perror("loadgen: connect");
        exit(1);
    }
    c->wants_write = false;
    c->generation++;
    net_watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
}

static void become_idle(struct conn *c)
{
    c->state = IDLE;
    c->idle_next = idle;
    idle = c;
}

static void conn_reopen(struct conn *c)
{
    close(c->fd);
    totals.reconnects++;
    conn_open(c);
    if (c->state != IDLE) {
        become_idle(c);
    }
}

static void send_request(struct conn *c)
{
    ssize_t n = net_send(c->fd, request + c->sent, request_len - c->sent);
    if (n < 0) {
        totals.errors++;
        conn_reopen(c);
        return;
    }
    c->sent += (size_t)n;
    bool wants_write = c->sent < request_len;
    if (wants_write != c->wants_write) {
        c->wants_write = wants_write;
        net_watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0U),
                  c);
    }
}

static void start_request(uint64_t start_ns)
{
    struct conn *c = idle;
    idle = c->idle_next;
    c->state = HEAD;
    c->head_len = 0;
    c->event_len = 0;
    c->has_event = false;
    c->closes = false;
    c->sent = 0;
    c->start_ns = start_ns;
    started++;
    send_request(c);
}

static void answer_done(struct conn *c)
{
    totals.answers++;
    totals.refused += c->head[STATUS_AT] != '2';
    histogram_add(&totals.latency, net_now_ns() - c->start_ns);
    if (c->closes) {
        conn_reopen(c);
    } else {
        become_idle(c);
    }
}

/* A line of the body is complete: is it an event with responder's time stamp, or the end? */
static void on_line(struct conn *c)
{
    c->event[c->event_len] = '\0';
    const char *stamp = strstr(c->event, "\"t\":");
    if (stamp != NULL) {
        uint64_t now = net_now_ns();
        totals.events++;
        histogram_add(&totals.delay, now - strtoull(stamp + 4, NULL, 10));
        if (!c->has_event) {
            c->has_event = true;
            histogram_add(&totals.first_event, now - c->start_ns);
        }
    } else if (strcmp(c->event, "data: [DONE]") == 0) {
        totals.ends++;
    }
    c->event_len = 0;
}

static void on_body(struct conn *c, const char *data, size_t len)
{
    totals.body_bytes += len;
    const char *end = data + len;
    while (data < end) {
        const char *newline = memchr(data, '\n', (size_t)(end - data));
        size_t n = (size_t)((newline != NULL ? newline : end) - data);
        const char *tail = data;
        if (n >= LINE_BYTES) { /* only the end of a line is of interest */
            tail += n - (LINE_BYTES - 1);
            n = LINE_BYTES - 1;
            c->event_len = 0;
        }
        size_t keep = LINE_BYTES - 1 - n;
        if (c->event_len > keep) {
            memmove(c->event, c->event + (c->event_len - keep), keep);
            c->event_len = keep;
        }
        memcpy(c->event + c->event_len, tail, n);
        c->event_len += n;
        if (newline == NULL) {
            return;
        }
        on_line(c);
        data = newline + 1;
    }
}

/* Decides how the body ends. False: not an HTTP answer. */
static bool on_head(struct conn *c)
{
    char value[64];
    if (strncmp(c->head, "HTTP/1.", 7) != 0) {
        return false;
    }
    c->closes =
        net_header(c->head, "connection", value, sizeof(value)) && strcasecmp(value, "close") == 0;
    if (net_header(c->head, "content-length", value, sizeof(value))) {
        c->body_left = strtoull(value, NULL, 10);
        c->state = BODY_LENGTH;
    } else if (net_header(c->head, "transfer-encoding", value, sizeof(value))) {
        c->body_left = 0;
        c->chunk_state = CHUNK_SIZE;
        c->state = BODY_CHUNKED;
    } else {
        c->closes = true;
        c->state = BODY_TO_CLOSE;
    }
    return true;
}

/* The feed functions take bytes of one part of an answer, return how many, and -1 for nonsense. */
static ssize_t feed_head(struct conn *c, const char *data, size_t len)
{
    size_t before = c->head_len;
    size_t room = sizeof(c->head) - 1 - before;
    size_t n = len < room ? len : room;
    memcpy(c->head + before, data, n);
    c->head_len += n;
    c->head[c->head_len] = '\0';
    const char *end = strstr(c->head + (before > 3 ? before - 3 : 0), "\r\n\r\n");
    if (end == NULL) {
        return n == room ? -1 : (ssize_t)n;
    }
    size_t used = (size_t)(end + 4 - c->head) - before;
    c->head[before + used - 2] = '\0';
    return on_head(c) ? (ssize_t)used : -1;
}

static size_t feed_data(struct conn *c, const char *data, size_t len)
{
    size_t n = len < c->body_left ? len : (size_t)c->body_left;
    on_body(c, data, n);
    c->body_left -= n;
    return n;
}

/* One byte of a chunk's size line. False: it is no hexadecimal digit. */
static bool on_size_byte(struct conn *c, char byte)
{
    static const char DIGITS[] = "0123456789abcdef0123456789ABCDEF";
    if (byte == '\r') {
        return true;
    }
    if (byte == '\n') {
        c->chunk_state = c->body_left == 0 ? CHUNK_TRAILER : CHUNK_DATA;
        c->line_bytes = 0;
        return true;
    }
    const char *digit = byte != '\0' ? strchr(DIGITS, byte) : NULL;
    if (digit == NULL) {
        return false;
    }
    c->body_left = c->body_left * 16 + (uint64_t)(digit - DIGITS) % 16;
    return true;
}

static ssize_t feed_chunked(struct conn *c, const char *data, size_t len)
{
    switch (c->chunk_state) {
    case CHUNK_SIZE:
        return on_size_byte(c, *data) ? 1 : -1;
    case CHUNK_DATA: {
        size_t n = feed_data(c, data, len);
        if (c->body_left == 0) {
            c->chunk_state = CHUNK_DATA_END;
        }
        return (ssize_t)n;
    }
    case CHUNK_DATA_END:
        if (*data == '\n') {
            c->chunk_state = CHUNK_SIZE;
        }
        return 1;
    case CHUNK_TRAILER:
        if (*data == '\n' && c->line_bytes == 0) {
            answer_done(c);
        } else if (*data == '\n') {
            c->line_bytes = 0;
        } else if (*data != '\r') {
            c->line_bytes++;
        }
        return 1;
    }
    return -1;
}

static ssize_t feed(struct conn *c, const char *data, size_t len)
{
    ssize_t used = -1;
    switch (c->state) {
    case IDLE: /* bytes nobody asked for */
        return -1;
    case HEAD:
        used = feed_head(c, data, len);
        if (c->state == BODY_LENGTH && c->body_left == 0) {
            answer_done(c);
        }
        return used;
    case BODY_LENGTH:
        used = (ssize_t)feed_data(c, data, len);
        if (c->body_left == 0) {
            answer_done(c);
        }
        return used;
    case BODY_CHUNKED:
        return feed_chunked(c, data, len);
    case BODY_TO_CLOSE:
        on_body(c, data, len);
        return (ssize_t)len;
    }
    return used;
}

static void on_end(struct conn *c)
{
    if (c->state == BODY_TO_CLOSE) {
        answer_done(c);
        return;
    }
    totals.errors += c->state != IDLE; /* an idle connection may be closed */
    conn_reopen(c);
}

static void on_readable(struct conn *c)
{
    static char data[READ_BYTES];
    ssize_t got = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        on_end(c);
        return;
    }
    size_t at = 0;
    uint32_t generation = c->generation;
    while (at < (size_t)got && c->generation == generation) {
        ssize_t used = feed(c, data + at, (size_t)got - at);
        if (used < 0) {
            totals.errors++;
            conn_reopen(c);
            return;
        }
        at += (size_t)used;
    }
}

/* Starts what is due; returns how long to wait for answers, in ns. */
static uint64_t start_due(uint64_t now, uint64_t *next_ns, uint64_t max_started)
{
    static const uint64_t PATIENCE_NS = 50U * 1000 * 1000;
    if (options.rate == 0) {
        /* bounded: a connection that breaks at once is idle again at once */
        for (uint64_t i = 0; i < options.connections; i++) {
            if (idle == NULL || started >= max_started) {
                break;
            }
            start_request(net_now_ns());
        }
        return PATIENCE_NS;
    }
    while (idle != NULL && *next_ns <= now && started < max_started) {
        start_request(*next_ns); /* a late start counts as waiting */
        *next_ns += 1000000000U / options.rate;
    }
    uint64_t wait = *next_ns > now ? *next_ns - now : PATIENCE_NS;
    return wait < PATIENCE_NS ? wait : PATIENCE_NS;
}

struct phase {
    uint64_t answers; /* ends after these; 0: no limit */
    uint64_t ns;      /* ends after this time; 0: no limit */
};

/* Drives the connections until the phase is over. Returns its length in ns. */
static uint64_t run(struct phase phase, uint64_t give_up_ns)
{
    uint64_t begin = net_now_ns();
    uint64_t next = begin;
    uint64_t max_started = phase.answers != 0 ? started + phase.answers : UINT64_MAX;
    uint64_t first_answers = totals.answers + totals.errors;
    for (uint64_t now = begin;; now = net_now_ns()) {
        uint64_t done = totals.answers + totals.errors - first_answers;
        if ((phase.answers != 0 && done >= phase.answers) ||
            (phase.ns != 0 && now - begin >= phase.ns)) {
            return now - begin;
        }
        if (now >= give_up_ns) {
            fprintf(stderr, "loadgen: gave up after %llu answers\n",
                    (unsigned long long)totals.answers);
            exit(3);
        }
        uint64_t wait = start_due(now, &next, max_started);
        struct timespec patience = {.tv_sec = 0, .tv_nsec = (long)wait};
        struct epoll_event events[EPOLL_BATCH];
        int n = epoll_pwait2(epoll, events, EPOLL_BATCH, &patience, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0) {
                send_request(c);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                on_readable(c);
            }
        }
    }
}

static void make_request(void)
{
    static const char START[] =
        "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
        "User-Agent: OpenAI/Python 1.30.1\r\nAccept: application/json\r\n"
        "Authorization: Bearer sk-bench-0123456789abcdef0123456789abcdef\r\n";

    enum {
        HEAD_ROOM = 4096,
        BODY_MAX = 64 * 1024 * 1024
    };

    FILE *file = options.body_file != NULL ? fopen(options.body_file, "re") : NULL;
    if (options.body_file != NULL && file == NULL) {
        perror(options.body_file);
        exit(2);
    }
    request = mem_alloc(HEAD_ROOM + BODY_MAX);
    if (request == NULL) {
        abort();
    }
    char *body = request + HEAD_ROOM;
    size_t body_len = file != NULL ? fread(body, 1, BODY_MAX, file) : 0;
    int n = snprintf(request, HEAD_ROOM, START, file != NULL ? "POST" : "GET", options.path,
                     options.port);
    if (file != NULL) {
        n += snprintf(request + n, (size_t)(HEAD_ROOM - n),
                      "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body_len);
        (void)fclose(file); /* only read */
    } else {
        n += snprintf(request + n, (size_t)(HEAD_ROOM - n), "\r\n");
    }
    memmove(request + n, body, body_len);
    request_len = (size_t)n + body_len;
}

struct measure {
    uint64_t ns;
    uint64_t cpu_ns;
    uint64_t own_cpu_ns;
    uint64_t rss_before_kb;
    uint64_t rss_kb;
};

static double us(const struct histogram *h, double q)
{
    uint64_t ns = histogram_percentile(h, q);
    return (double)ns / 1000.0;
}

static double ratio(double a, double b)
{
    return b > 0.0 ? a / b : 0.0;
}

static void print_report(const struct measure *m)
{
    double answers = (double)totals.answers;
    printf("{\"answers\":%llu,\"refused\":%llu,\"errors\":%llu,\"reconnects\":%llu,",
           (unsigned long long)totals.answers, (unsigned long long)totals.refused,
           (unsigned long long)totals.errors, (unsigned long long)totals.reconnects);
    printf("\"events\":%llu,\"ends\":%llu,\"body_bytes\":%llu,\"seconds\":%.4f,",
           (unsigned long long)totals.events, (unsigned long long)totals.ends,
           (unsigned long long)totals.body_bytes, (double)m->ns / 1e9);
    printf("\"per_second\":%.1f,\"cpu_us_per_answer\":%.3f,\"cpu_us_per_event\":%.3f,",
           ratio(answers, (double)m->ns / 1e9), ratio((double)m->cpu_ns / 1000.0, answers),
           ratio((double)m->cpu_ns / 1000.0, (double)totals.events));
    printf("\"cpu_us\":%.1f,\"own_cpu_us\":%.1f,\"rss_before_kb\":%llu,\"rss_kb\":%llu,",
           (double)m->cpu_ns / 1000.0, (double)m->own_cpu_ns / 1000.0,
           (unsigned long long)m->rss_before_kb, (unsigned long long)m->rss_kb);
    printf("\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f},",
           us(&totals.latency, 0.5), us(&totals.latency, 0.9), us(&totals.latency, 0.99),
           us(&totals.latency, 1.0));
    printf("\"first_event_us\":{\"p50\":%.1f,\"p99\":%.1f},", us(&totals.first_event, 0.5),
           us(&totals.first_event, 0.99));
    printf("\"delay_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f}}\n", us(&totals.delay, 0.5),
           us(&totals.delay, 0.9), us(&totals.delay, 0.99));
}

enum option_id {
    OPTION_PORT = 1,
    OPTION_PATH,
    OPTION_BODY,
    OPTION_CONNECTIONS,
    OPTION_REQUESTS,
    OPTION_SECONDS,
    OPTION_WARM,
    OPTION_WARM_MS,
    OPTION_RATE,
    OPTION_PID,
    OPTION_LIMIT_S,
};

static const struct option OPTIONS[] = {
    {"port", required_argument, NULL, OPTION_PORT},
    {"path", required_argument, NULL, OPTION_PATH},
    {"body", required_argument, NULL, OPTION_BODY},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"requests", required_argument, NULL, OPTION_REQUESTS},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warm", required_argument, NULL, OPTION_WARM},
    {"warm-ms", required_argument, NULL, OPTION_WARM_MS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"pid", required_argument, NULL, OPTION_PID},
    {"limit-s", required_argument, NULL, OPTION_LIMIT_S},
    {NULL, 0, NULL, 0},
};

static void set_number(int id, uint64_t value)
{
    switch (id) {
    case OPTION_PORT:
        options.port = (uint16_t)value;
        break;
    case OPTION_CONNECTIONS:
        options.connections = value < CONNECTIONS_MAX ? value : CONNECTIONS_MAX;
        break;
    case OPTION_REQUESTS:
        options.requests = value;
        break;
    case OPTION_SECONDS:
        options.seconds = value;
        break;
    case OPTION_WARM:
        options.warm = value;
        break;
    case OPTION_WARM_MS:
        options.warm_ms = value;
        break;
    case OPTION_RATE:
        options.rate = value;
        break;
    case OPTION_LIMIT_S:
        options.limit_s = value;
        break;
    case OPTION_PID:
        if (options.pid_count < PIDS_MAX) {
            options.pids[options.pid_count++] = (pid_t)value;
        }
        break;
    default:
        break;
    }
}

static void parse_options(int argc, char **argv)
{
    int index = 0;
    for (int id = getopt_long(argc, argv, "", OPTIONS, &index); id != -1;
         id = getopt_long(argc, argv, "", OPTIONS, &index)) {
        if (id == '?') {
            exit(2);
        } else if (id == OPTION_PATH) {
            options.path = optarg;
        } else if (id == OPTION_BODY) {
            options.body_file = optarg;
        } else {
            set_number(id, net_number(OPTIONS[index].name, optarg));
        }
    }
    if (options.port == 0 || options.connections == 0 || optind != argc) {
        fprintf(stderr, "usage: loadgen --port P [options], see the head of bench/loadgen.c\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    net_raise_descriptors();
    make_request();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct measure m = {.rss_before_kb = rss_kb()};
    struct conn *conns = mem_zalloc(options.connections, sizeof(*conns));
    if (conns == NULL) {
        abort();
    }
    for (size_t i = 0; i < options.connections; i++) {
        conn_open(&conns[i]);
        become_idle(&conns[i]);
    }

    uint64_t give_up_ns = net_now_ns() + options.limit_s * 1000000000U;
    if (options.warm != 0 || options.warm_ms != 0) {
        (void)run((struct phase){options.warm, options.warm_ms * 1000000U}, give_up_ns);
        memset(&totals, 0, sizeof(totals));
    }
    m.cpu_ns = cpu_ns();
    m.own_cpu_ns = procstat_cpu_ns(getpid());
    m.ns = run((struct phase){options.requests, options.seconds * 1000000000U}, give_up_ns);
    m.cpu_ns = cpu_ns() - m.cpu_ns;
    m.own_cpu_ns = procstat_cpu_ns(getpid()) - m.own_cpu_ns;
    m.rss_kb = rss_kb();
    print_report(&m);
    return totals.errors == 0 && totals.refused == 0 ? 0 : 1;
}
