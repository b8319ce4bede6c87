/* See glob.h. After a mismatch only the last `*` has to take one character more: what an earlier one
 * could take, the last one can take as well. */
#include "base/glob.h"

bool glob_matches(struct str pattern, struct str text)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = pattern.len; /* the last one seen; pattern.len: none */
    size_t taken = 0;          /* where the text behind what it has taken starts */
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star < pattern.len) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
