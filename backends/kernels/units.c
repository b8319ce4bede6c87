/* See units.h. The factors are exact by definition: the international yard and pound (1959), US
 * liquid measures of 231 cubic inches to the gallon, the imperial gallon of 4.54609 L, the SI (2019).
 * Leaves out what has no exact or no single value: months, barrels, horsepower, shoe sizes. */
#include "backends/kernels/units.h"

#include <stddef.h>

#include "base/assert.h"

#define DIMS(l, m, t, k, d)                                                                        \
    {                                                                                              \
        {                                                                                          \
            l, m, t, k, d                                                                          \
        }                                                                                          \
    }
#define LENGTH   DIMS(1, 0, 0, 0, 0)
#define AREA     DIMS(2, 0, 0, 0, 0)
#define VOLUME   DIMS(3, 0, 0, 0, 0)
#define MASS     DIMS(0, 1, 0, 0, 0)
#define DURATION DIMS(0, 0, 1, 0, 0)
#define HEAT     DIMS(0, 0, 0, 1, 0)
#define DATA     DIMS(0, 0, 0, 0, 1)
#define RATE     DIMS(0, 0, -1, 0, 1)
#define SPEED    DIMS(1, 0, -1, 0, 0)
#define FORCE    DIMS(1, 1, -2, 0, 0)
#define ENERGY   DIMS(2, 1, -2, 0, 0)
#define POWER    DIMS(2, 1, -3, 0, 0)
#define PRESSURE DIMS(-1, 1, -2, 0, 0)

static const struct unit units[] = {
    {"nm", "nanometer|nanometers|nanometre|nanometres", "nm", "0.000000001", NULL, LENGTH},
    {"um|\xC2\xB5m|\xCE\xBCm", "micrometer|micrometers|micrometre|micrometres|micron|microns",
     "\xC2\xB5m", "0.000001", NULL, LENGTH},
    {"mm", "millimeter|millimeters|millimetre|millimetres", "mm", "0.001", NULL, LENGTH},
    {"cm", "centimeter|centimeters|centimetre|centimetres|cms", "cm", "0.01", NULL, LENGTH},
    {"dm", "decimeter|decimeters|decimetre|decimetres", "dm", "0.1", NULL, LENGTH},
    {"m", "meter|meters|metre|metres", "m", "1", NULL, LENGTH},
    {"km", "kilometer|kilometers|kilometre|kilometres|kms|km", "km", "1000", NULL, LENGTH},
    {"in", "inch|inches", "in", "0.0254", NULL, LENGTH},
    {"ft", "foot|feet|ft", "ft", "0.3048", NULL, LENGTH},
    {"yd", "yard|yards|yds|yd", "yd", "0.9144", NULL, LENGTH},
    {"mi", "mile|miles|mi", "mi", "1609.344", NULL, LENGTH},
    {"nmi|NM", "nautical mile|nautical miles", "nautical mile|nautical miles", "1852", NULL,
     LENGTH},
    {NULL, "furlong|furlongs", "furlong|furlongs", "201.168", NULL, LENGTH},
    {NULL, "fathom|fathoms", "fathom|fathoms", "1.8288", NULL, LENGTH},
    {"ly", "light year|light years|lightyear|lightyears|light-year|light-years",
     "light year|light years", "9460730472580800", NULL, LENGTH},
    {"au|AU", "astronomical unit|astronomical units", "AU", "149597870700", NULL, LENGTH},

    {"mm2", "square millimeter|square millimeters|square millimetre|square millimetres|sq mm",
     "mm\xC2\xB2", "0.000001", NULL, AREA},
    {"cm2", "square centimeter|square centimeters|square centimetre|square centimetres|sq cm",
     "cm\xC2\xB2", "0.0001", NULL, AREA},
    {"m2|sqm", "square meter|square meters|square metre|square metres|sq m", "m\xC2\xB2", "1", NULL,
     AREA},
    {"km2", "square kilometer|square kilometers|square kilometre|square kilometres|sq km",
     "km\xC2\xB2", "1000000", NULL, AREA},
    {"in2", "square inch|square inches|sq in", "in\xC2\xB2", "0.00064516", NULL, AREA},
    {"ft2|sqft", "square foot|square feet|sq ft", "ft\xC2\xB2", "0.09290304", NULL, AREA},
    {"yd2", "square yard|square yards|sq yd", "yd\xC2\xB2", "0.83612736", NULL, AREA},
    {"mi2", "square mile|square miles|sq mi", "mi\xC2\xB2", "2589988.110336", NULL, AREA},
    {"ha", "hectare|hectares", "ha", "10000", NULL, AREA},
    {NULL, "acre|acres", "acre|acres", "4046.8564224", NULL, AREA},

    {"ml|mL", "milliliter|milliliters|millilitre|millilitres", "mL", "0.000001", NULL, VOLUME},
    {"cl|cL", "centiliter|centiliters|centilitre|centilitres", "cL", "0.00001", NULL, VOLUME},
    {"dl|dL", "deciliter|deciliters|decilitre|decilitres", "dL", "0.0001", NULL, VOLUME},
    {"l|L", "liter|liters|litre|litres", "L", "0.001", NULL, VOLUME},
    {"hl|hL", "hectoliter|hectoliters|hectolitre|hectolitres", "hL", "0.1", NULL, VOLUME},
    {"mm3", "cubic millimeter|cubic millimeters|cubic millimetre|cubic millimetres", "mm\xC2\xB3",
     "0.000000001", NULL, VOLUME},
    {"cm3|cc", "cubic centimeter|cubic centimeters|cubic centimetre|cubic centimetres",
     "cm\xC2\xB3", "0.000001", NULL, VOLUME},
    {"m3", "cubic meter|cubic meters|cubic metre|cubic metres", "m\xC2\xB3", "1", NULL, VOLUME},
    {"in3", "cubic inch|cubic inches", "in\xC2\xB3", "0.000016387064", NULL, VOLUME},
    {"ft3", "cubic foot|cubic feet", "ft\xC2\xB3", "0.028316846592", NULL, VOLUME},
    {"yd3", "cubic yard|cubic yards", "yd\xC2\xB3", "0.764554857984", NULL, VOLUME},
    {NULL, "teaspoon|teaspoons|tsp|tsps", "US teaspoon|US teaspoons", "0.00000492892159375", NULL,
     VOLUME},
    {NULL, "tablespoon|tablespoons|tbsp|tbsps", "US tablespoon|US tablespoons",
     "0.00001478676478125", NULL, VOLUME},
    {NULL, "fluid ounce|fluid ounces|fl oz|us fluid ounce|us fluid ounces", "US fl oz",
     "0.0000295735295625", NULL, VOLUME},
    {NULL, "cup|cups|us cup|us cups", "US cup|US cups", "0.0002365882365", NULL, VOLUME},
    {"pt", "pint|pints|us pint|us pints", "US pint|US pints", "0.000473176473", NULL, VOLUME},
    {"qt", "quart|quarts|us quart|us quarts", "US quart|US quarts", "0.000946352946", NULL, VOLUME},
    {"gal", "gallon|gallons|us gallon|us gallons|gal|gals", "US gallon|US gallons",
     "0.003785411784", NULL, VOLUME},
    {NULL, "imperial gallon|imperial gallons|uk gallon|uk gallons",
     "imperial gallon|imperial gallons", "0.00454609", NULL, VOLUME},
    {NULL, "imperial pint|imperial pints|uk pint|uk pints", "imperial pint|imperial pints",
     "0.00056826125", NULL, VOLUME},
    {NULL, "imperial fluid ounce|imperial fluid ounces|uk fluid ounce|uk fluid ounces",
     "imperial fl oz", "0.0000284130625", NULL, VOLUME},

    {"ug|\xC2\xB5g|\xCE\xBCg|mcg", "microgram|micrograms", "\xC2\xB5g", "0.000000001", NULL, MASS},
    {"mg", "milligram|milligrams", "mg", "0.000001", NULL, MASS},
    {"g", "gram|grams|gramme|grammes", "g", "0.001", NULL, MASS},
    {"kg", "kilogram|kilograms|kilo|kilos|kgs|kg", "kg", "1", NULL, MASS},
    {"t", "tonne|tonnes|metric ton|metric tons", "t", "1000", NULL, MASS},
    {"gr", "grain|grains", "gr", "0.00006479891", NULL, MASS},
    {"oz", "ounce|ounces|oz", "oz", "0.028349523125", NULL, MASS},
    {"lb|lbs", "pound|pounds|lb|lbs", "lb", "0.45359237", NULL, MASS},
    {"st", "stone|stones", "stone", "6.35029318", NULL, MASS},
    {NULL, "ton|tons|short ton|short tons|us ton|us tons", "short ton|short tons", "907.18474",
     NULL, MASS},
    {NULL, "long ton|long tons|imperial ton|imperial tons", "long ton|long tons", "1016.0469088",
     NULL, MASS},
    {"ct", "carat|carats", "ct", "0.0002", NULL, MASS},

    {"ns", "nanosecond|nanoseconds", "ns", "0.000000001", NULL, DURATION},
    {"us|\xC2\xB5s|\xCE\xBCs", "microsecond|microseconds", "\xC2\xB5s", "0.000001", NULL, DURATION},
    {"ms", "millisecond|milliseconds", "ms", "0.001", NULL, DURATION},
    {"s", "second|seconds|sec|secs", "s", "1", NULL, DURATION},
    {"min", "minute|minutes|min|mins", "min", "60", NULL, DURATION},
    {"h|hr", "hour|hours|hr|hrs", "h", "3600", NULL, DURATION},
    {"d", "day|days", "day|days", "86400", NULL, DURATION},
    {NULL, "week|weeks|wk|wks", "week|weeks", "604800", NULL, DURATION},
    {NULL, "fortnight|fortnights", "fortnight|fortnights", "1209600", NULL, DURATION},
    {"yr", "year|years|yrs", "year of 365 days|years of 365 days", "31536000", NULL, DURATION},

    {"K", "kelvin|kelvins", "K", "1", NULL, HEAT},
    {"C|\xC2\xB0"
     "C|\xC2\xB0 C|\xE2\x84\x83",
     "celsius|centigrade|degree celsius|degrees celsius|deg c|degrees c|degree c|degrees centigrade|\xC2\xB0 celsius",
     "\xC2\xB0"
     "C",
     "1", "273.15", HEAT},
    {"F|\xC2\xB0"
     "F|\xC2\xB0 F|\xE2\x84\x89",
     "fahrenheit|degree fahrenheit|degrees fahrenheit|deg f|degrees f|degree f|\xC2\xB0 fahrenheit",
     "\xC2\xB0"
     "F",
     "5/9", "45967/180", HEAT},

    {"b", "bit|bits", "bit|bits", "1", NULL, DATA},
    {"kb|kbit", "kilobit|kilobits", "kbit", "1000", NULL, DATA},
    {"Mb|Mbit", "megabit|megabits", "Mbit", "1000000", NULL, DATA},
    {"Gb|Gbit", "gigabit|gigabits", "Gbit", "1000000000", NULL, DATA},
    {"B", "byte|bytes", "byte|bytes", "8", NULL, DATA},
    {"kB|KB", "kilobyte|kilobytes", "kB", "8000", NULL, DATA},
    {"MB", "megabyte|megabytes", "MB", "8000000", NULL, DATA},
    {"GB", "gigabyte|gigabytes|gb", "GB", "8000000000", NULL, DATA},
    {"TB", "terabyte|terabytes|tb", "TB", "8000000000000", NULL, DATA},
    {"PB", "petabyte|petabytes", "PB", "8000000000000000", NULL, DATA},
    {"KiB|kiB", "kibibyte|kibibytes|kib", "KiB", "8192", NULL, DATA},
    {"MiB", "mebibyte|mebibytes|mib", "MiB", "8388608", NULL, DATA},
    {"GiB", "gibibyte|gibibytes|gib", "GiB", "8589934592", NULL, DATA},
    {"TiB", "tebibyte|tebibytes|tib", "TiB", "8796093022208", NULL, DATA},
    {"bps", "bits per second", "bit/s", "1", NULL, RATE},
    {"kbps", "kilobits per second", "kbit/s", "1000", NULL, RATE},
    {"Mbps", "mbps|megabits per second", "Mbit/s", "1000000", NULL, RATE},
    {"Gbps", "gbps|gigabits per second", "Gbit/s", "1000000000", NULL, RATE},

    {"mph", "mph|miles per hour|mile per hour", "mph", "0.44704", NULL, SPEED},
    {"kph|kmh|km/h", "kph|kmh|kilometers per hour|kilometres per hour", "km/h", "1000/3600", NULL,
     SPEED},
    {"m/s|mps", "meters per second|metres per second", "m/s", "1", NULL, SPEED},
    {"fps", "feet per second", "ft/s", "0.3048", NULL, SPEED},
    {"kn|kt|kts", "knot|knots", "knot|knots", "1852/3600", NULL, SPEED},

    {"N", "newton|newtons", "N", "1", NULL, FORCE},
    {"kN", "kilonewton|kilonewtons", "kN", "1000", NULL, FORCE},
    {"lbf", "pound force|pounds force", "lbf", "4.4482216152605", NULL, FORCE},

    {"J", "joule|joules", "J", "1", NULL, ENERGY},
    {"kJ", "kilojoule|kilojoules|kj", "kJ", "1000", NULL, ENERGY},
    {"MJ", "megajoule|megajoules", "MJ", "1000000", NULL, ENERGY},
    {"cal", "calorie|calories", "cal", "4.184", NULL, ENERGY},
    {"kcal|Cal", "kilocalorie|kilocalories|kcal|kcals|food calorie|food calories", "kcal", "4184",
     NULL, ENERGY},
    {"Wh", "watt hour|watt hours|watt-hour|watt-hours", "Wh", "3600", NULL, ENERGY},
    {"kWh", "kwh|kilowatt hour|kilowatt hours|kilowatt-hour|kilowatt-hours", "kWh", "3600000", NULL,
     ENERGY},
    {"MWh", "megawatt hour|megawatt hours", "MWh", "3600000000", NULL, ENERGY},
    {"BTU|Btu", "btu|btus", "BTU", "1055.05585262", NULL, ENERGY},
    {"eV", "electronvolt|electronvolts|electron volt|electron volts", "eV", "1.602176634e-19", NULL,
     ENERGY},
    {"W", "watt|watts", "W", "1", NULL, POWER},
    {"kW", "kilowatt|kilowatts|kw", "kW", "1000", NULL, POWER},
    {"MW", "megawatt|megawatts", "MW", "1000000", NULL, POWER},

    {"Pa", "pascal|pascals", "Pa", "1", NULL, PRESSURE},
    {"hPa", "hectopascal|hectopascals|hpa", "hPa", "100", NULL, PRESSURE},
    {"kPa", "kilopascal|kilopascals|kpa", "kPa", "1000", NULL, PRESSURE},
    {"MPa", "megapascal|megapascals|mpa", "MPa", "1000000", NULL, PRESSURE},
    {"mbar", "millibar|millibars|mbar", "mbar", "100", NULL, PRESSURE},
    {"bar", "bar|bars", "bar", "100000", NULL, PRESSURE},
    {"atm", "atmosphere|atmospheres", "atm", "101325", NULL, PRESSURE},
    {"psi", "psi|pounds per square inch", "psi", "4.4482216152605/0.00064516", NULL, PRESSURE},
    {"mmHg", "mmhg|millimeters of mercury|millimetres of mercury", "mmHg", "133.322387415", NULL,
     PRESSURE},
    {"Torr", "torr", "Torr", "101325/760", NULL, PRESSURE},
};

static bool is_listed(const char *names, struct str name, bool any_case)
{
    struct str rest = str_from(names);
    struct str one;
    while (str_split(rest, '|', &one, &rest)) {
        if (any_case ? str_eq_nocase(one, name) : str_eq(one, name)) {
            return true;
        }
    }
    return false;
}

const struct unit *units_find(struct str name)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].symbols != NULL && is_listed(units[i].symbols, name, false)) {
            return &units[i];
        }
    }
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (is_listed(units[i].words, name, true)) {
            return &units[i];
        }
    }
    return NULL;
}

static void read_ratio(const char *text, struct rational *ret)
{
    struct str num;
    struct str den;
    (void)str_split(str_from(text), '/', &num, &den);
    ASSERT(rational_read(ret, num) == ST_OK);
    if (den.len > 0) {
        struct rational divisor;
        rational_init(&divisor);
        ASSERT(rational_read(&divisor, den) == ST_OK);
        ASSERT(rational_div(ret, &divisor) == ST_OK);
        rational_fini(&divisor);
    }
}

void units_factor(const struct unit *unit, struct rational *ret)
{
    read_ratio(unit->factor, ret);
}

void units_offset(const struct unit *unit, struct rational *ret)
{
    read_ratio(unit->offset != NULL ? unit->offset : "0", ret);
}

bool units_same_dims(const struct unit_dims *a, const struct unit_dims *b)
{
    for (size_t i = 0; i < UNIT_QUANTITIES; i++) {
        if (a->powers[i] != b->powers[i]) {
            return false;
        }
    }
    return true;
}

bool units_no_dims(const struct unit_dims *dims)
{
    static const struct unit_dims none = {{0}};
    return units_same_dims(dims, &none);
}

struct str units_label(const struct unit *unit, bool is_one)
{
    struct str singular;
    struct str plural;
    (void)str_split(str_from(unit->label), '|', &singular, &plural);
    return is_one || plural.len == 0 ? singular : plural;
}

const struct unit *units_all(size_t *ret_count)
{
    *ret_count = sizeof units / sizeof units[0];
    return units;
}
