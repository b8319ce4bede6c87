/* What reading a request body costs: nanoseconds per body and gigabytes per second, for chat bodies
 * of three sizes, validated whole, pulled as the gateway pulls them, and with their text decoded.
 * Takes the fastest of many rounds, which other load on the machine disturbs least. Not a test. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_scan.h"
#include "base/json_write.h"
#include "base/str.h"

enum {
    BODY_MAX = 64 * 1024,
    ROUNDS = 200,
    ROUND_BYTES = 4 * 1024 * 1024, /* each round reads about as much */
};

/* Text as prompts have it: lines, quotes, a few characters outside ASCII where asked for. */
static const struct str prose =
    STR_INIT("Please explain why the sum of two odd numbers is even, and write a function\n"
             "\tint sum(int a, int b) { return a + b; } /* \"as short as possible\" */\n");
static const struct str chinese =
    STR_INIT("请解释为什么两个奇数之和是偶数，并写一个尽可能短的函数来证明这一点。");

struct body {
    const char *name;
    size_t bytes;
    const struct str *text;
};

static const struct body bodies[] = {
    {"0.4 kB", 400, &prose},
    {"1.7 kB", 1700, &prose},
    {"20 kB", 20000, &prose},
    {"20 kB zh", 20000, &chinese},
};

static void must(enum status st)
{
    ASSERT(st == ST_OK); /* the ceilings fit the bodies; nothing else can fail here */
}

/* A chat with two messages, the second one as long as it takes. */
static void write_body(struct buf *b, const struct body *body)
{
    must(buf_append(b, STR("{\"model\":\"auto\",\"messages\":[{\"role\":\"system\",\"content\":"
                           "\"You are a helpful assistant.\"},{\"role\":\"user\",\"content\":\"")));
    static const char tail[] = "\"}],\"stream\":true,\"temperature\":0.7,\"max_tokens\":512,"
                               "\"stream_options\":{\"include_usage\":true}}";
    while (b->len + sizeof tail < body->bytes) {
        size_t before = b->len;
        must(json_write_escaped(b, *body->text));
        if (b->len + sizeof tail > body->bytes + 100) { /* the small one takes a part */
            buf_truncate(b, before);
            must(json_write_escaped(b, str_slice(*body->text, 0, 60)));
        }
    }
    must(buf_append(b, str_from(tail)));
}

static size_t validate(struct str text, struct buf *scratch)
{
    (void)scratch;
    must(json_validate(text, NULL, NULL));
    return text.len;
}

static size_t pull_message(struct json_reader *r, struct buf *decoded)
{
    struct json_value key;
    struct json_value v = {0};
    size_t bytes = 0;
    if (!json_open(r, JSON_OBJECT)) {
        return 0;
    }
    while (json_next_member(r, &key)) {
        bool is_content = json_text_is(key, STR("content"));
        if (json_take(r, &v) && is_content) {
            bytes += v.raw.len;
            if (decoded != NULL) {
                must(json_decode(v, decoded));
            }
        }
    }
    return bytes;
}

/* As chat requests are read: known members by name, messages one by one. */
static size_t pull(struct str text, struct buf *decoded)
{
    struct json_reader r;
    struct json_value key;
    struct json_value v = {0};
    size_t bytes = 0;
    json_reader_init(&r, text);
    (void)json_open(&r, JSON_OBJECT); /* errors are sticky */
    while (json_next_member(&r, &key)) {
        if (json_text_is(key, STR("messages")) && json_open(&r, JSON_ARRAY)) {
            while (json_next_item(&r)) {
                bytes += pull_message(&r, decoded);
            }
        } else if (json_take(&r, &v) && json_text_is(key, STR("model"))) {
            bytes += v.raw.len;
        }
    }
    must(json_close(&r));
    return bytes;
}

static size_t pull_only(struct str text, struct buf *scratch)
{
    (void)scratch;
    return pull(text, NULL);
}

static size_t pull_and_decode(struct str text, struct buf *scratch)
{
    buf_reset(scratch);
    return pull(text, scratch);
}

static size_t rewrite(struct str text, struct buf *scratch)
{
    buf_reset(scratch);
    must(json_write_text(scratch, text));
    return scratch->len;
}

static void measure(const char *what, struct str text, size_t (*work)(struct str, struct buf *))
{
    struct buf scratch;
    buf_init(&scratch, 8 * (size_t)BODY_MAX);
    size_t turns = ROUND_BYTES / text.len;
    int64_t best_us = INT64_MAX;
    volatile size_t sink = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_us = clock_now_us(clock_system());
        for (size_t j = 0; j < turns; j++) {
            sink = sink + work(text, &scratch);
        }
        int64_t took_us = clock_now_us(clock_system()) - start_us;
        best_us = took_us < best_us ? took_us : best_us;
    }
    double ns = 1000.0 * (double)best_us / (double)turns;
    (void)printf("  %-16s %9.0f ns  %6.2f GB/s\n", what, ns, (double)text.len / ns);
    buf_fini(&scratch);
}

int main(void)
{
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct buf b;
        buf_init(&b, BODY_MAX);
        write_body(&b, &bodies[i]);
        (void)printf("%s (%zu bytes)\n", bodies[i].name, b.len);
        measure("validate", buf_str(&b), validate);
        measure("pull", buf_str(&b), pull_only);
        measure("pull and decode", buf_str(&b), pull_and_decode);
        measure("write as text", buf_str(&b), rewrite);
        buf_fini(&b);
    }
    return 0;
}
