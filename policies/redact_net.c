/* E-mail addresses (the common part of RFC 5321) and IP addresses (RFC 4291, section 2.2). */
#include "policies/redact_char.h"
#include "policies/redact_finders.h"

enum {
    LOCAL_MAX = 64,
    DOMAIN_MAX = 253,
    IPV6_MAX = 40,
};

static bool is_local(char c)
{
    return redact_char_is_word(c) || str_find_char(STR(".!#$%&'*+-/=?^_`{|}~"), c) < 20;
}

static size_t domain_end(struct str text, size_t at)
{
    size_t end = at;
    size_t dot = 0;
    while (end < text.len && end - at < DOMAIN_MAX &&
           (redact_char_is_word(text.ptr[end]) || text.ptr[end] == '-' || text.ptr[end] == '.')) {
        dot = text.ptr[end] == '.' && end > at && end + 1 < text.len &&
                      redact_char_is_word(text.ptr[end + 1])
                  ? end
                  : dot;
        end++;
    }
    while (end > at && (text.ptr[end - 1] == '.' || text.ptr[end - 1] == '-')) {
        end--;
    }
    return dot > at && end > dot + 2 ? end : at;
}

bool redact_net_email(const struct redact_place *place, struct redact_span *ret_span)
{
    size_t start = place->at;
    struct str text = place->text;
    while (start > place->floor && place->at - start < LOCAL_MAX && is_local(text.ptr[start - 1])) {
        start--;
    }
    while (start < place->at && !redact_char_is_word(text.ptr[start]) && text.ptr[start] != '_') {
        start++; /* quotes and brackets of what stands around it */
    }
    size_t end = domain_end(text, place->at + 1);
    *ret_span = (struct redact_span){start, end - start, REDACT_EMAIL};
    return start < place->at && end > place->at + 1;
}

static size_t ipv4_end(struct str text, size_t at)
{
    for (int part = 0; part < 4; part++) {
        int value = 0;
        size_t start = at;
        while (at < text.len && redact_char_is_digit(text.ptr[at]) && at - start < 3) {
            value = value * 10 + (text.ptr[at++] - '0');
        }
        if (at == start || value > 255 || (part < 3 && redact_char_at(text, at) != '.')) {
            return 0;
        }
        at += part < 3;
    }
    return at;
}

static bool is_hex(char c)
{
    char low = redact_char_lower(c);
    return redact_char_is_digit(c) || (low >= 'a' && low <= 'f');
}

/* Groups of up to four hexadecimal digits; eight of them, or fewer with "::" once; the last two may be an
 * IPv4 address. */
static size_t ipv6_end(struct str text, size_t at)
{
    int groups = 0;
    int skips = 0;
    size_t digits = 0;
    while (at < text.len && groups <= 8) {
        size_t start = at;
        size_t end = ipv4_end(text, at);
        if (end > 0) {
            groups += 2;
            at = end;
            digits++;
            break;
        }
        while (at < text.len && at - start < 4 && is_hex(text.ptr[at])) {
            digits += redact_char_is_digit(text.ptr[at++]);
        }
        groups += at > start;
        if (redact_char_at(text, at) != ':') {
            break;
        }
        if (redact_char_at(text, at + 1) == ':') {
            skips++;
            at += 2;
        } else if (at > start && is_hex(redact_char_at(text, at + 1))) {
            at++;
        } else {
            break;
        }
    }
    bool is_whole = (groups == 8 && skips == 0) || (groups >= 1 && groups <= 7 && skips == 1);
    return is_whole && (digits > 0 || groups > 2) ? at : 0;
}

/* Whether the address from start to end stands by itself; a port may follow one of IPv4. */
static bool stands_alone(struct str text, size_t start, size_t end, bool is_ipv6)
{
    char before = redact_char_before(text, start);
    char after = redact_char_at(text, end);
    bool goes_on = redact_char_is_alnum(after) || (is_ipv6 && after == ':') ||
                   (after == '.' && redact_char_is_digit(redact_char_at(text, end + 1)));
    return end > start && !goes_on && !redact_char_is_alnum(before) && before != '.';
}

bool redact_net_ip(const struct redact_place *place, struct redact_span *ret_span)
{
    struct str text = place->text;
    size_t start = place->at;
    while (start > place->floor && place->at - start < IPV6_MAX &&
           (is_hex(text.ptr[start - 1]) || text.ptr[start - 1] == ':')) {
        start--;
    }
    size_t end = ipv6_end(text, start);
    if (end <= place->at || !stands_alone(text, start, end, true)) {
        start = place->at;
        end = ipv4_end(text, start); /* after a colon, too, as in "from:10.0.0.1:80" */
        if (!stands_alone(text, start, end, false)) {
            return false;
        }
    }
    *ret_span = (struct redact_span){start, end - start, REDACT_IP};
    return true;
}
