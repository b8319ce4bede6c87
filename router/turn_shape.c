/* See turn_shape.h. Phrases are matched without case in ASCII letters and as they stand in other
 * scripts, at word borders; scripts that put no blanks between words match anywhere. */
#include "router/turn_shape.h"

#include <string.h>

#include "base/utf8.h"

enum mark {
    ANNOUNCES, /* another topic, or the way back to an earlier one; anywhere in the turn */
    CONTINUES, /* at the start */
};

static const struct {
    enum mark mark;
    struct str phrase; /* lower case */
} marks[] = {
    /* English */
    {ANNOUNCES, STR_INIT("unrelated")},
    {ANNOUNCES, STR_INIT("by the way")},
    {ANNOUNCES, STR_INIT("btw")},
    {ANNOUNCES, STR_INIT("off topic")},
    {ANNOUNCES, STR_INIT("ooc")},
    {ANNOUNCES, STR_INIT("new question")},
    {ANNOUNCES, STR_INIT("new topic")},
    {ANNOUNCES, STR_INIT("new problem")},
    {ANNOUNCES, STR_INIT("another question")},
    {ANNOUNCES, STR_INIT("another topic")},
    {ANNOUNCES, STR_INIT("other question")},
    {ANNOUNCES, STR_INIT("other topic")},
    {ANNOUNCES, STR_INIT("different question")},
    {ANNOUNCES, STR_INIT("different topic")},
    {ANNOUNCES, STR_INIT("random question")},
    {ANNOUNCES, STR_INIT("random q")},
    {ANNOUNCES, STR_INIT("one more thing")},
    {ANNOUNCES, STR_INIT("something else")},
    {ANNOUNCES, STR_INIT("change of topic")},
    {ANNOUNCES, STR_INIT("change of subject")},
    {ANNOUNCES, STR_INIT("changing the subject")},
    {ANNOUNCES, STR_INIT("back to")},
    {CONTINUES, STR_INIT("and")},
    {CONTINUES, STR_INIT("but")},
    {CONTINUES, STR_INIT("or")},
    {CONTINUES, STR_INIT("so")},
    {CONTINUES, STR_INIT("also")},
    {CONTINUES, STR_INIT("why")},
    {CONTINUES, STR_INIT("which")},
    {CONTINUES, STR_INIT("what about")},
    {CONTINUES, STR_INIT("how about")},
    {CONTINUES, STR_INIT("yes")},
    {CONTINUES, STR_INIT("no")},
    {CONTINUES, STR_INIT("ok")},
    {CONTINUES, STR_INIT("okay")},
    /* German */
    {ANNOUNCES, STR_INIT("übrigens")},
    {ANNOUNCES, STR_INIT("nebenbei")},
    {ANNOUNCES, STR_INIT("andere frage")},
    {ANNOUNCES, STR_INIT("neue frage")},
    {ANNOUNCES, STR_INIT("anderes thema")},
    {ANNOUNCES, STR_INIT("was anderes")},
    {ANNOUNCES, STR_INIT("zurück zu")},
    {CONTINUES, STR_INIT("und")},
    {CONTINUES, STR_INIT("aber")},
    {CONTINUES, STR_INIT("oder")},
    {CONTINUES, STR_INIT("also")},
    {CONTINUES, STR_INIT("warum")},
    {CONTINUES, STR_INIT("was ist mit")},
    {CONTINUES, STR_INIT("ja")},
    {CONTINUES, STR_INIT("nein")},
    /* French */
    {ANNOUNCES, STR_INIT("au fait")},
    {ANNOUNCES, STR_INIT("rien à voir")},
    {ANNOUNCES, STR_INIT("autre question")},
    {ANNOUNCES, STR_INIT("autre chose")},
    {ANNOUNCES, STR_INIT("nouvelle question")},
    {ANNOUNCES, STR_INIT("revenons")},
    {CONTINUES, STR_INIT("et")},
    {CONTINUES, STR_INIT("mais")},
    {CONTINUES, STR_INIT("ou")},
    {CONTINUES, STR_INIT("donc")},
    {CONTINUES, STR_INIT("pourquoi")},
    {CONTINUES, STR_INIT("oui")},
    {CONTINUES, STR_INIT("non")},
    /* Spanish */
    {ANNOUNCES, STR_INIT("por cierto")},
    {ANNOUNCES, STR_INIT("otra pregunta")},
    {ANNOUNCES, STR_INIT("otra cosa")},
    {ANNOUNCES, STR_INIT("otro tema")},
    {ANNOUNCES, STR_INIT("cambiando de tema")},
    {ANNOUNCES, STR_INIT("volviendo a")},
    {CONTINUES, STR_INIT("y")},
    {CONTINUES, STR_INIT("pero")},
    {CONTINUES, STR_INIT("o")},
    {CONTINUES, STR_INIT("entonces")},
    {CONTINUES, STR_INIT("¿y")},
    {CONTINUES, STR_INIT("sí")},
    /* Portuguese */
    {ANNOUNCES, STR_INIT("a propósito")},
    {ANNOUNCES, STR_INIT("outra pergunta")},
    {ANNOUNCES, STR_INIT("outra coisa")},
    {ANNOUNCES, STR_INIT("mudando de assunto")},
    {ANNOUNCES, STR_INIT("voltando a")},
    {CONTINUES, STR_INIT("e")},
    {CONTINUES, STR_INIT("mas")},
    {CONTINUES, STR_INIT("então")},
    {CONTINUES, STR_INIT("sim")},
    /* Italian */
    {ANNOUNCES, STR_INIT("a proposito")},
    {ANNOUNCES, STR_INIT("altra domanda")},
    {ANNOUNCES, STR_INIT("un'altra cosa")},
    {ANNOUNCES, STR_INIT("cambiando argomento")},
    {ANNOUNCES, STR_INIT("tornando a")},
    {CONTINUES, STR_INIT("ma")},
    {CONTINUES, STR_INIT("perché")},
    {CONTINUES, STR_INIT("quindi")},
    /* Dutch, Polish */
    {ANNOUNCES, STR_INIT("trouwens")},
    {ANNOUNCES, STR_INIT("andere vraag")},
    {ANNOUNCES, STR_INIT("iets anders")},
    {ANNOUNCES, STR_INIT("swoją drogą")},
    {ANNOUNCES, STR_INIT("inne pytanie")},
    {CONTINUES, STR_INIT("en")},
    {CONTINUES, STR_INIT("maar")},
    {CONTINUES, STR_INIT("ale")},
    /* Russian */
    {ANNOUNCES, STR_INIT("кстати")},
    {ANNOUNCES, STR_INIT("другой вопрос")},
    {ANNOUNCES, STR_INIT("другая тема")},
    {CONTINUES, STR_INIT("и")},
    {CONTINUES, STR_INIT("а")},
    {CONTINUES, STR_INIT("но")},
    {CONTINUES, STR_INIT("А")},
    {CONTINUES, STR_INIT("И")},
    {CONTINUES, STR_INIT("почему")},
    /* Arabic */
    {ANNOUNCES, STR_INIT("بالمناسبة")},
    {ANNOUNCES, STR_INIT("سؤال آخر")},
    {CONTINUES, STR_INIT("ولو")},
    {CONTINUES, STR_INIT("يعني")},
    {CONTINUES, STR_INIT("لماذا")},
    /* Chinese, Japanese, Korean */
    {ANNOUNCES, STR_INIT("顺便")},
    {ANNOUNCES, STR_INIT("另外")},
    {ANNOUNCES, STR_INIT("换个话题")},
    {ANNOUNCES, STR_INIT("另一个问题")},
    {ANNOUNCES, STR_INIT("ところで")},
    {ANNOUNCES, STR_INIT("別の質問")},
    {ANNOUNCES, STR_INIT("그런데")},
    {ANNOUNCES, STR_INIT("다른 질문")},
    {CONTINUES, STR_INIT("那")},
    {CONTINUES, STR_INIT("但是")},
    {CONTINUES, STR_INIT("为什么")},
    {CONTINUES, STR_INIT("では")},
    {CONTINUES, STR_INIT("でも")},
    {CONTINUES, STR_INIT("그럼")},
};

static const uint32_t first_cjk = 0x3040; /* hiragana; what follows is kana, han and hangul */

static bool is_word_byte(unsigned char c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_no_blanks(struct str phrase)
{
    uint32_t point = 0;
    return utf8_decode(phrase, &point) > 0 && point >= first_cjk;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether the phrase stands at `at`, where a word starts, as words of its own. */
static bool stands_at(struct str text, size_t at, struct str phrase)
{
    if (lower(text.ptr[at]) != phrase.ptr[0] ||
        !str_starts_with_nocase(str_slice(text, at, text.len), phrase)) {
        return false;
    }
    size_t end = at + phrase.len;
    return end == text.len || !is_word_byte((unsigned char)text.ptr[end]) || has_no_blanks(phrase);
}

/* Scripts without blanks start a word at every character. */
static bool is_word_start(struct str text, size_t at)
{
    unsigned char c = (unsigned char)text.ptr[at];
    return is_word_byte(c) &&
           (c >= 0xc0 || at == 0 || (c < 0x80 && !is_word_byte((unsigned char)text.ptr[at - 1])));
}

static size_t count_words(struct str text)
{
    size_t words = 0;
    size_t cjk = 0;
    bool is_inside = false;
    for (size_t at = 0; at < text.len;) {
        uint32_t point = 0;
        size_t len = utf8_decode(str_slice(text, at, text.len), &point);
        bool is_letter = len > 0 && is_word_byte((unsigned char)text.ptr[at]);
        bool is_cjk = is_letter && point >= first_cjk;
        cjk += is_cjk;
        words += is_letter && !is_cjk && !is_inside;
        is_inside = is_letter && !is_cjk;
        at += len > 0 ? len : 1;
    }
    return words + (cjk + 1) / 2;
}

static void look_at(struct str text, size_t at, struct turn_shape *shape)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        struct str *found = marks[i].mark == ANNOUNCES ? &shape->announces : &shape->continues;
        bool may_stand = marks[i].mark == ANNOUNCES || at == 0;
        if (may_stand && found->len == 0 && stands_at(text, at, marks[i].phrase)) {
            *found = marks[i].phrase;
        }
    }
}

struct turn_shape turn_shape_of(struct str text)
{
    struct str start = utf8_truncate(str_trim(text), TURN_SHAPE_BYTES);
    struct turn_shape shape = {count_words(start), STR(""), STR("")};
    for (size_t at = 0; at < start.len; at++) {
        if (is_word_start(start, at)) {
            look_at(start, at, &shape);
        }
    }
    return shape;
}
