/* Names of people: after a title, after words that introduce one, and first names of a list before
 * another capital word. Owns the lists; a first name alone is no finding: too many are words. */
#include <string.h>

#include "policies/redact_char.h"
#include "policies/redact_finders.h"

enum {
    WORDS_MAX = 4,
    WORD_MAX = 24,
};

/* First names that are frequent in English, German, French and Spanish, by first letter. Those that
 * are words as well (Will, Mark, Grace, Rose) are left to titles and introductions. */
static const char *const first_names[] = {
    "|aaron|adam|adrian|agnes|ahmed|alan|albert|alejandra|alejandro|alex|alexander|alexandra|alfred|"
    "alice|alicia|allison|amanda|amelia|amélie|amy|ana|anders|andrea|andreas|andrew|andré|angela|"
    "anita|anja|anna|anne|annette|anthony|antoine|antonia|antonio|antónio|arnaud|arthur|astrid|"
    "aurélie|ava|",
    "|barbara|beatrice|beatriz|benjamin|benoît|bernard|bernd|bettina|birgit|brandon|brenda|brian|"
    "brigitte|bruno|",
    "|camille|carla|carlos|carmen|carol|caroline|catherine|cecilia|charles|charlotte|chloé|"
    "christian|christina|christine|christoph|christophe|christopher|clara|claudia|claire|clément|"
    "cristina|cynthia|",
    "|daniel|daniela|david|deborah|denis|dennis|diana|didier|diego|dieter|dirk|dominique|donald|"
    "donna|doris|dorothy|",
    "|edward|elena|elisabeth|elizabeth|ellen|elsa|emily|emma|emmanuel|enrique|eric|erika|esther|"
    "eugene|eva|evelyn|",
    "|fabian|fatima|felipe|felix|fernando|florence|florian|francisco|franck|françois|françoise|"
    "frank|franz|friedrich|frédéric|",
    "|gabriel|gabriela|gary|george|georges|gerald|gerhard|gisela|gloria|gonzalo|gregory|guillaume|"
    "günter|günther|gérard|",
    "|hannah|hans|harald|harold|heather|heike|heinrich|heinz|helen|helena|helga|helmut|henry|"
    "herbert|horst|hugo|hélène|",
    "|ian|ibrahim|ines|ingrid|inès|irene|isabel|isabella|isabelle|ivan|",
    "|jacob|jacqueline|jacques|james|jan|jane|janet|jason|javier|jean|jeffrey|jennifer|jens|jeremy|"
    "jessica|joachim|joan|johannes|john|jonathan|jorge|josef|joseph|joshua|josé|jordan|juan|juana|"
    "judith|julia|julian|julie|julien|jérôme|jörg|jürgen|",
    "|karen|karin|karl|katharina|katherine|kathleen|kathrin|katrin|kevin|kimberly|klaus|kurt|kyle|",
    "|larry|laura|lauren|laurent|lea|leonie|leon|linda|lisa|louis|louise|luca|lucas|lucia|lucie|"
    "lucía|luis|lukas|léa|",
    "|maja|manfred|manon|manuel|manuela|marc|marcel|marco|marcos|margaret|margarita|maria|marie|"
    "marina|mario|marion|markus|marta|martha|martin|martina|mary|maría|mathieu|matthew|matthias|"
    "max|maximilian|megan|melissa|mia|michael|michel|michelle|miguel|mohamed|mohammed|monica|"
    "monika|monique|mónica|muhammad|",
    "|nadine|nancy|natalia|natalie|nathalie|nathan|nicholas|nicolas|nicole|nina|noah|noemi|nora|"
    "norbert|",
    "|olivia|olivier|oliver|oscar|otto|",
    "|pablo|pamela|patricia|patrick|paul|paula|paulina|pauline|pedro|peter|petra|philip|philipp|"
    "philippe|pierre|pilar|",
    "|quentin|",
    "|rachel|rafael|rainer|ralf|ramón|raymond|raúl|rebecca|renate|rené|ricardo|richard|robert|"
    "roberto|rodrigo|roger|roland|ronald|rosa|rosario|ruben|rubén|rudolf|ruth|ryan|",
    "|sabine|samantha|samuel|sandra|sara|sarah|scott|sean|sebastian|sergio|sharon|shirley|silke|"
    "silvia|simon|simone|sofia|sofía|sophia|sophie|stefan|stefanie|stephanie|stephen|steven|"
    "stéphane|stéphanie|susan|susana|susanne|sven|sylvie|sébastien|",
    "|tanja|teresa|theresa|thomas|thierry|thorsten|tim|timothy|tobias|torsten|tyler|",
    "|ulrich|ulrike|ursula|ute|uwe|",
    "|valentina|valérie|vanessa|verónica|vicente|victor|victoria|vincent|virginie|volker|véronique|",
    "|walter|werner|wilhelm|william|wolfgang|",
    "|xavier|ximena|",
    "|yannick|yasmin|yolanda|yves|yvonne|",
    "|zachary|zoe|zoé|",
};

static const char accented[] =
    "|álvaro|ángel|ángela|éric|émilie|élodie|élise|étienne|óscar|ömer|íñigo|";

/* What comes before a name. A title is followed by a blank, or a full stop and one; a label by a
 * colon; an introduction by a blank; a closing by a comma or a line's end. */
enum lead {
    LEAD_TITLE,
    LEAD_INTRODUCTION,
    LEAD_LABEL,
    LEAD_CLOSING,
};

static const char *const leads[] = {
    [LEAD_TITLE] =
        ("|Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Sir|Herr|Herrn|Frau|Hr|Fr|Monsieur|"
         "Madame|Mademoiselle|Mme|Mlle|Docteur|Sr|Sra|Srta|Señor|Señora|Señorita|Doña|"
         "señor|señora|madame|monsieur|doctor|doctora|Doctora|docteur|don|doña|MR|MRS|"
         "MS|DR|HERR|FRAU|"),
    [LEAD_INTRODUCTION] =
        ("|my name is|name is|i am called|this is patient|mein name ist|name ist|ich heiße|"
         "ich heisse|er heißt|sie heißt|je m'appelle|je m\xe2\x80\x99"
         "appelle|mon nom est|"
         "il s'appelle|elle s'appelle|me llamo|mi nombre es|se llama|patient|patientin|patiente|"
         "paciente|dear|hello|liebe|lieber|querido|querida|estimado|estimada|geehrte|geehrter|"
         "chère|cher|"),
    [LEAD_LABEL] = ("|name|full name|patient|patient name|patientin|patientenname|vorname|nachname|"
                    "familienname|nom|prénom|nom complet|patiente|nombre|nombre completo|apellido|"
                    "apellidos|paciente|surname|first name|last name|customer|client|kunde|kundin|"
                    "cliente|employee|mitarbeiter|from|contact|von|de la part de|"),
    [LEAD_CLOSING] = ("|regards|sincerely|yours|thanks|signed|cheers|grüße|grüßen|gruß|grüssen|"
                      "cordialement|salutations|merci|saludos|atentamente|gracias|"),
};

static const char particles[] = "|de|la|von|van|der|den|del|da|di|du|le|zu|ter|dos|ten|el|al|bin|"
                                "las|los|y|";

/* Capital words that begin a sentence rather than a name. */
static const char never[] =
    "|i|the|a|an|and|or|is|was|it|he|she|we|you|they|this|that|my|your|please|what|how|why|when|"
    "where|who|can|could|in|on|at|to|if|do|does|did|not|no|yes|hi|hello|dear|der|die|das|ein|eine|"
    "und|oder|ist|ich|er|sie|es|wir|bitte|was|wie|warum|wann|wo|wer|kann|nicht|ja|nein|le|la|les|"
    "un|une|et|ou|est|je|il|elle|nous|vous|quel|comment|pourquoi|quand|qui|el|los|las|una|o|yo|"
    "ella|qué|cómo|cuándo|dónde|quién|sir|madam|sehr|all|everyone|team|damen|herren|name|"
    "patient|mr|mrs|ms|dr|herr|frau|mme|sr|sra|i'm|i've|"
    "monsieur|madame|señor|señora|hiring|manager|tel|email|phone|dob|";

static bool is_listed(const char *list, struct str word, bool lowers)
{
    char wanted[2 * WORD_MAX + 2] = "|";
    if (word.len == 0 || word.len + 2 > sizeof wanted) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        wanted[i + 1] = lowers ? redact_char_lower(word.ptr[i]) : word.ptr[i];
    }
    wanted[word.len + 1] = '|';
    struct str all = str_from(list);
    return str_find(all, (struct str){wanted, word.len + 2}) < all.len;
}

static bool is_capital(struct str text, size_t at)
{
    unsigned char c = (unsigned char)redact_char_at(text, at);
    unsigned char next = (unsigned char)redact_char_at(text, at + 1);
    return redact_char_is_upper((char)c) || (c == 0xc3 && next >= 0x80 && next <= 0x9e) ||
           ((c == 0xc4 || c == 0xc5) && next >= 0x80);
}

/* Letters, with hyphens and apostrophes inside. */
static size_t word_end(struct str text, size_t at)
{
    size_t end = at;
    while (end < text.len && end - at < WORD_MAX) {
        char c = text.ptr[end];
        size_t join = c == '-' || c == '\'' ? 1 : 0;
        join = str_starts_with(str_slice(text, end, 3), STR("\xe2\x80\x99")) ? 3 : join;
        bool is_letter = redact_char_is_word(c) && !redact_char_is_digit(c);
        if (join > 0 && end > at && redact_char_is_word(redact_char_at(text, end + join))) {
            end += join;
        } else if (is_letter && join == 0) {
            end++;
        } else {
            break;
        }
    }
    return end;
}

static struct str between(struct str text, size_t start, size_t end)
{
    return str_slice(text, start, end - start);
}

/* Capital words, initials and particles between them. Returns the end of the last capital one. */
static size_t name_end(struct str text, size_t at)
{
    size_t end = at;
    for (int words = 0; words < WORDS_MAX;) {
        size_t stop = word_end(text, at);
        struct str word = between(text, at, stop);
        bool is_particle = is_listed(particles, word, false);
        if (word.len == 0 || (!is_particle && !is_capital(text, at)) ||
            (!is_particle && is_listed(never, word, true))) {
            break;
        }
        words += !is_particle;
        bool is_initial = word.len == 1 && redact_char_at(text, stop) == '.';
        end = is_particle ? end : stop + is_initial;
        at = stop + is_initial;
        if (redact_char_at(text, at) != ' ') {
            break;
        }
        at++;
    }
    return end;
}

/* Whether a lead of this sort ends in this word. */
static bool ends_lead(struct str word, enum lead lead)
{
    char wanted[2 * WORD_MAX + 1];
    if (word.len == 0 || word.len + 1 > sizeof wanted) {
        return false;
    }
    for (size_t i = 0; i < word.len; i++) {
        wanted[i] = lead == LEAD_TITLE ? word.ptr[i] : redact_char_lower(word.ptr[i]);
    }
    wanted[word.len] = '|';
    struct str all = str_from(leads[lead]);
    return str_find(all, (struct str){wanted, word.len + 1}) < all.len;
}

/* Whether the words that end at `end` are a lead of this sort. */
static bool is_lead(struct str text, size_t end, enum lead lead)
{
    size_t start = end;
    for (int words = 0; words < 3 && start > 0; words++) {
        while (start > 0 && end - start < 2 * WORD_MAX &&
               (redact_char_is_word(text.ptr[start - 1]) || text.ptr[start - 1] == '\'')) {
            start--;
        }
        if (words == 0 && !ends_lead(between(text, start, end), lead)) {
            return false; /* most words: looked for once */
        }
        if (is_listed(leads[lead], between(text, start, end), lead != LEAD_TITLE)) {
            return true;
        }
        if (lead == LEAD_TITLE || start == 0 || text.ptr[start - 1] != ' ') {
            break;
        }
        start--;
    }
    return false;
}

/* What introduces the word at `at`, by the bytes before it. */
static bool is_introduced(struct str text, size_t at)
{
    size_t end = at;
    bool has_blank = false;
    bool has_line = false;
    for (; end > 0 && str_find_char(STR(" \n\t*_"), text.ptr[end - 1]) < 5 && at - end < 4; end--) {
        has_blank = has_blank || text.ptr[end - 1] == ' ';
        has_line = has_line || text.ptr[end - 1] == '\n';
    }
    char mark = redact_char_before(text, end);
    if (mark == '.') {
        return has_blank && (is_lead(text, end - 1, LEAD_TITLE) ||
                             (end >= 2 && text.ptr[end - 2] == 'M' &&
                              !redact_char_is_word(redact_char_before(text, end - 2))));
    }
    if (mark == ':' || mark == '=') {
        return is_lead(text, end - 1, LEAD_LABEL);
    }
    if (mark == ',' || has_line) {
        return is_lead(text, mark == ',' ? end - 1 : end, LEAD_CLOSING);
    }
    return has_blank && (is_lead(text, end, LEAD_TITLE) || is_lead(text, end, LEAD_INTRODUCTION));
}

static bool is_first_name(struct str word)
{
    char first = redact_char_lower(word.ptr[0]);
    bool is_ascii = first >= 'a' && first <= 'z';
    if (word.len < 2 || word.len > WORD_MAX) {
        return false;
    }
    if (!is_ascii) { /* capitals beyond ASCII are 32 code points below their small ones */
        char low[WORD_MAX];
        memcpy(low, word.ptr, word.len);
        low[1] = (char)(low[0] == '\xc3' ? low[1] + 0x20 : low[1]);
        return is_listed(accented, (struct str){low, word.len}, true);
    }
    return is_listed(first_names[first - 'a'], word, true);
}

bool redact_names_find(const struct redact_place *place, struct redact_span *ret_span)
{
    struct str text = place->text;
    size_t at = place->at;
    if (!is_capital(text, at)) {
        return false;
    }
    size_t stop = word_end(text, at);
    struct str word = between(text, at, stop);
    bool is_announced = is_introduced(text, at);
    if (!is_announced) {
        struct str head = str_slice(word, 0, str_find_char(word, '-'));
        bool has_more = redact_char_at(text, stop) == ' ' &&
                        (is_capital(text, stop + 1) || name_end(text, stop + 1) > stop + 1);
        if (!has_more || head.len == 0 || !is_first_name(head)) {
            return false;
        }
    }
    size_t end = name_end(text, at);
    *ret_span = (struct redact_span){at, end - at, REDACT_NAME};
    return end > at && (is_announced || end > stop);
}
