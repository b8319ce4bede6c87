/* What clients and operators write of keys: headers, digests, days, patterns. Input: five texts, cut at
 * line feeds. */
#include <stdint.h>

#include "base/assert.h"
#include "base/glob.h"
#include "gateway/tenants.h"
#include "gateway/wishes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_digest(struct str text)
{
    struct digest d;
    struct digest again;
    char written[DIGEST_TEXT_BYTES];
    if (digest_parse(text, &d) == ST_OK) {
        digest_write(&d, written);
        ASSERT(str_eq_nocase(str_from(written), text));
        ASSERT(digest_parse(str_from(written), &again) == ST_OK && digest_eq(&d, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct str texts[5] = {STR(""), STR(""), STR(""), STR(""), STR("")};
    int64_t seconds = -1;
    for (size_t i = 0; i < 5 && str_split(rest, '\n', &texts[i], &rest); i++) {
    }
    struct str key = api_key_of(texts[0], texts[1], texts[2]);
    ASSERT(key.len <= texts[0].len + texts[1].len + texts[2].len);
    ASSERT(str_eq(key, str_trim(key)));
    ASSERT(texts[0].len == 0 || key.len < texts[0].len);
    check_digest(texts[3]);
    ASSERT(tenants_read_day(texts[4], &seconds) == ST_OK ? seconds >= 0 && seconds % 86400 == 0
                                                         : seconds == -1);
    int64_t nano_usd = 0;
    ASSERT(wishes_read_usd(texts[4], &nano_usd) == ST_OK ? nano_usd >= 0 && texts[4].len > 0
                                                         : nano_usd == 0);
    if (texts[3].len < 256 && texts[4].len < 256 && glob_matches(texts[3], texts[4])) {
        ASSERT(texts[3].len == 0 ? texts[4].len == 0 : true);
        ASSERT(str_find_char(texts[3], '*') < texts[3].len || str_eq(texts[3], texts[4]));
    }
    return 0;
}
