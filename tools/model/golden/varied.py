"""A seeded generator of (query, document) texts that are varied in the ways that break tokenisers.

No text comes from anywhere: words are drawn from the short lists below and letters from ranges
of Unicode. Only random.Random(str).random() is used, whose stream Python keeps from version to
version.
"""

import random
import unicodedata

SEED = "metalrank 3"
COUNT = 2000
LENGTHS = (8, 64, 512)  # the max_length of the goldens
# The limit of tokens(query) * tokens(document). The tokenizers library always makes all
# combinations of the pieces that it cuts off: here 50,000 of them at max_length 8, or 0.5 GB.
MOST = 300_000

# fmt: off
# Each of these is one token of the embedded model (golden.py checks it): texts of an exact length.
SINGLES = (
    "the of and to in was for on that with as by from at are it an be this which water sea boat "
    "ship stone lamp light storm wind fish coal crane rail town house wall gate bell rope sail "
    "crew north south east west day night year time one two three small old new long cold deep "
    "open how what red a b c 1 2 3 , . ; ? ! ( ) -"
).split()
WORDS = SINGLES + (
    "harbour ferry pier lighthouse ledger mussels crates granite breakwater quay slipway capstan "
    "bollard tidewater mooring dredger pilotage unbelievable rebuildings internationalisation "
    "misunderstanding kilowatts photosynthesis bookkeeping strengths rhythm syzygy ok TCP/IP "
    "HTTP/2 e-mail don't they're l'eau o'clock rock'n'roll U.S.A. Dr. vs. etc. iPhone McArthur "
    "FOO fooBar"
).split()
NAMES = WORDS[:60]

SPECIALS = ["[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]"]
NEARLY_SPECIAL = [
    "[sep]", "[Sep]", "[ MASK ]", "[SEP", "SEP]", "[[SEP]]", "[SEP ]", "[CLS}", "[unused1]",
    "##ing", "##", "[S\u00adEP]", "[SEP\u200b]", "\uff3bSEP\uff3d", "[SE\u0301P]", "[\u041cASK]",
    "[CLS]\u0301", "[\u202eSEP]", "<s>", "</s>", "<pad>", "<|endoftext|>",
]

# Ranges of code points, first and last.
COMBINING = [
    (0x300, 0x36F), (0x483, 0x487), (0x591, 0x5BD), (0x64B, 0x655), (0x93C, 0x94D),
    (0x1AB0, 0x1ABD), (0x1DC0, 0x1DF5), (0x20D0, 0x20F0), (0x3099, 0x309A), (0xFE00, 0xFE0F),
    (0xFE20, 0xFE2F), (0xE0100, 0xE010F),
]
CONTROLS = [
    (0x01, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFD), (0x110BD, 0x110BD), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
    (0xE0001, 0xE0001), (0xE0020, 0xE007F),
]
# Private use, unassigned and noncharacters.
NO_CHARACTER = [
    (0xE000, 0xE010), (0xF8FF, 0xF8FF), (0xF0000, 0xF0010), (0x10FFF0, 0x10FFFD), (0x378, 0x379),
    (0x530, 0x530), (0x2FE0, 0x2FEF), (0xFDD0, 0xFDEF), (0xFFFE, 0xFFFF), (0x1FFFE, 0x1FFFF),
    (0x10FFFE, 0x10FFFF),
]
# Anything but NUL and surrogates. Most of Unicode is unassigned, so the parts are weighted.
ANYTHING = [
    (0x1, 0x2FF), (0x300, 0x1FFF), (0x2000, 0x2FDF), (0x3000, 0xD7FF), (0xE000, 0xFFFF),
    (0x10000, 0x1FFFF), (0x1F300, 0x1F6FF), (0x20000, 0x10FFFF),
]
SCRIPTS = {
    "greek": [(0x391, 0x3A1), (0x3A3, 0x3CE), (0x1F00, 0x1F15), (0x1F70, 0x1F7D), (0x3C2, 0x3C2)],
    "cyrillic": [(0x430, 0x44F), (0x410, 0x42F), (0x400, 0x45F), (0x439, 0x439), (0x451, 0x451)],
    "armenian": [(0x531, 0x556), (0x561, 0x587)],
    "georgian": [(0x10D0, 0x10FF), (0x1C90, 0x1CBA), (0x10A0, 0x10C5)],
    "arabic": [(0x621, 0x64A), (0x621, 0x64A), (0x64B, 0x652), (0x660, 0x669), (0x670, 0x6D3)],
    "hebrew": [(0x5D0, 0x5EA), (0x5D0, 0x5EA), (0x5B0, 0x5BD), (0x5BE, 0x5C2), (0xFB1D, 0xFB4F)],
    "devanagari": [(0x905, 0x939), (0x905, 0x939), (0x93E, 0x94D), (0x958, 0x95F), (0x964, 0x96F)],
    "bengali": [(0x985, 0x9B9), (0x9BE, 0x9CD), (0x9DC, 0x9DF)],
    "tamil": [(0xB85, 0xBB9), (0xBBE, 0xBCD)],
    "thai": [(0xE01, 0xE3A), (0xE40, 0xE4E)],
    "lao": [(0xE81, 0xEB9), (0xEC0, 0xECD)],
    "tibetan": [(0xF40, 0xF6C), (0xF71, 0xF84), (0xF0B, 0xF0D)],
    "khmer": [(0x1780, 0x17B3), (0x17B6, 0x17D3)],
    "ethiopic": [(0x1200, 0x1248), (0x1361, 0x1368)],
    "cherokee": [(0x13A0, 0x13F5), (0x13F8, 0x13FD), (0xAB70, 0xABBF)],
    "cased beyond the BMP": [(0x10400, 0x1044F), (0x1E900, 0x1E943)],
}
CJK = [
    (0x4E00, 0x4E60), (0x6771, 0x6791), (0x9F00, 0x9FA5), (0x3400, 0x3420), (0xF900, 0xF920),
    (0x20000, 0x20020), (0x2A700, 0x2A710), (0x2B740, 0x2B750), (0x2B820, 0x2B830),
    (0x2F800, 0x2F820), (0x3001, 0x3011), (0x3021, 0x3029), (0x2E80, 0x2E90), (0x2F00, 0x2F10),
]
KANA = [(0x3041, 0x3096), (0x30A1, 0x30FA), (0x3099, 0x309F), (0x30FC, 0x30FE), (0xFF66, 0xFF9F)]
HANGUL = [(0xAC00, 0xD7A3), (0xAC00, 0xAD00), (0x3131, 0x3163)]
LATIN = [
    (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x17F), (0x180, 0x1BF), (0x1CD, 0x24F), (0x1E00, 0x1EF9),
]
COMPATIBLE = [  # fullwidth, mathematical, circled, fractions, letter-like, ligatures
    (0xFF01, 0xFF5E), (0x1D400, 0x1D433), (0x2460, 0x2473), (0x24B6, 0x24E9), (0x2150, 0x217F),
    (0xB2, 0xB3), (0xBC, 0xBE), (0x2070, 0x2079), (0x2100, 0x2138), (0x1F130, 0x1F149),
    (0x3371, 0x337A), (0xFB00, 0xFB06),
]

# Letters with a lower case that is longer, or of another script, or depends on their place.
CASING = (
    "\u0130I\u0131i\u017f\u1e9e\u00df\u0149\u01f0\u0390\u03b0\u03a3\u03c3\u03c2\u01c5\u01c8\u01cb\u01c4"
    "\u2167\u2177\u24d0\u24b6\ufb00\ufb03\ufb13\u1fbc\u1fb3\u1ffc\u2126\u212bK\u212a\ua64a\ua64b\u1e9a"
)
SPACES = [
    " ", "  ", "\t", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u1680",
    "\u2000", "\u2003", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    "\u180e", "\u200b", "\u2060", "\ufeff", "\u3164", "\u2800",
]
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
PUNCTUATION_WIDE = (
    "¡¿«»„“”‘’…—–‐‑‽·•§¶†‡‰′″‹›⁂、。「」『』【】〜\u060c\u061b\u061f।॥\u1396\u1802⸘﹏！？：；"
    "€£¥¢₿©®™°±×÷¬√∞≠≤∑→⇒■★☎♫✓"
)
EMOJI = [
    "🍕", "😀", "👍\U0001f3fd", "👩\u200d🚀", "👨\u200d👩\u200d👧\u200d👦",
    "🏳\ufe0f\u200d🌈", "❤\ufe0f", "❤", "☺\ufe0e", "🇫🇷", "🇯🇵🇧🇷", "\U0001f1eb",
    "1\ufe0f\u20e3", "#\ufe0f\u20e3", "🫠", "\u200d", "\ufe0f", "\U0001f3fd",
    "🧑\U0001f3ff\u200d🤝\u200d🧑\U0001f3fb",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
]

DIGITS = [
    "{}", "{}", "-{}", "{}.5", "1e-{}", "0x{}", "{}%", "${}", "{},000", "#{}", "+{}", "{}th",
    "v{}.0.1", "{}:30", "2024-01-{}", "\u0663{}", "{}½", "{}²",
]
CODE = [
    "for ({0}=0; {0}<n; {0}++) {{", "}}\n", "if {0} != nil {{\n\treturn {1}\n}}",
    "{0}->{1}[i] |= ~0x{2};", "def {0}(self, *, {1}=None) -> dict[str, int]:",
    "    return lambda {0}: {0} ** 2  # {1}", "@{0} $HOME/{1} && rm -- \"{0}\"",
    "SELECT {0}, COUNT(*) FROM {1} WHERE {0} IS NOT NULL;", "#include <{0}.h>",
    "std::vector<{0}>& {1} = *it++;", "/^{0}(?:{1})+$/gi",
    "{{\"{0}\": [1, 2.5, null], \"{1}\": \"\\u00e9\\n\"}}",
]
URLS = [
    "https://www.{0}-{1}.example/{1}/{0}?q={0}%20{1}&n={2}#top", "ftp://{0}/{1}/../{2}.tar.gz",
    "http://10.0.0.{2}:8080/{0}.html", "{0}.{1}@{1}.example", "C:\\{0}\\{1}\\{2}.TXT",
    "/usr/share/{0}/{1}.so.{2}", "{0}.example", "mailto:{0}@x.example?subject={1}",
    "https://{0}.example/東京/{1}", "#{0} @{1}",
]
MARKUP = [
    "<p class=\"{0}\">{1}</p>", "<br/>", "&amp; &lt;{0}&gt; &#{2};", "<!-- {0} -->",
    "<a href='#{0}'>{1}</a>", "<script>{0}()</script>", "# {0} {1}\n", "* {0}\n* {1}\n",
    "| {0} | {1} |\n|---|---|\n", "**{0}** _{1}_ `{0}`", "[{0}]({1}.md)", "```{0}\n{1}\n```",
    "> {0}\n", "1. {0}\n2. {1}\n", "![{0}][{2}]", "\\frac{{{0}}}{{{1}}}",
]
AROUND_SPECIAL = [
    "{0}", "{0}", "{0}", "{0}{1}", "{1}{0}", "{1}{0}{1}", "{0}{0}", "{0}.", "'{0}'", "é{0}東",
    "{0}\u0301", "\t{0}\n",
]
# fmt: on


class Rand:
    """Draws; each purpose has its own stream, so that a change to one leaves the others alone."""

    def __init__(self, purpose):
        self.random = random.Random(f"{SEED} {purpose}").random

    def below(self, n):
        return int(self.random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, p):
        return self.random() < p

    def char(self, ranges):
        low, high = self.pick(ranges)
        return chr(self.between(low, high))

    def chars(self, ranges, n):
        return "".join(self.char(ranges) for _ in range(n))


# ---- one chunk of text of each kind


def prose(r):
    word = r.pick(WORDS)
    if r.chance(0.1):
        word = word.capitalize() if r.chance(0.7) else word.upper()
    return word + (r.pick([",", ".", "?", "!", ";", ":", "...", ")"]) if r.chance(0.12) else "")


def accents(r):
    word = "".join(
        r.char(LATIN) if r.chance(0.4) else r.pick("abcdefghijklmnopqrstuvwxyzAEIOU")
        for _ in range(r.between(1, 9))
    )
    form = r.below(4)  # as drawn, composed, decomposed, more marks than any letter has
    if form in (1, 2):
        return unicodedata.normalize(("NFC", "NFD")[form - 1], word)
    return "".join(c + r.chars([(0x300, 0x345)], 2) for c in word) if form == 3 else word


def script(r):
    ranges = SCRIPTS[r.pick(list(SCRIPTS))]
    return "".join(r.char(ranges) for _ in range(r.between(1, 8)))


def cjk(r):
    word = r.chars(CJK, r.between(1, 12))
    return word + (r.pick(["2024年", "A", "ab", "。", "１２", " "]) if r.chance(0.3) else "")


def kana(r):
    word = r.chars(KANA, r.between(1, 8))
    return unicodedata.normalize("NFD", word) if r.chance(0.3) else word


def hangul(r):
    word = r.chars(HANGUL, r.between(1, 5))
    if r.chance(0.3):
        word = unicodedata.normalize("NFD", word)  # syllables as letters: U+1100 and on
    return word + (r.pick(["은", "는", "이", "가", ".", "?"]) if r.chance(0.3) else "")


def emoji(r):
    glyphs = "".join(r.pick(EMOJI) for _ in range(r.between(1, 4)))
    return r.pick(WORDS) + glyphs if r.chance(0.3) else glyphs


def controls(r):
    word = r.pick(WORDS)
    cut = r.below(len(word) + 1)
    return word[:cut] + r.chars(CONTROLS, r.between(1, 3)) + word[cut:]


def no_character(r):
    word = r.chars(NO_CHARACTER, r.between(1, 4))
    return word + r.pick(WORDS) if r.chance(0.5) else word


def marks(r):
    lone = r.chars(COMBINING, r.between(1, 4))
    return r.pick(["", "", " ", ".", "東", "1"]) + lone + (r.pick(WORDS) if r.chance(0.6) else "")


def casing(r):
    return "".join(r.pick(CASING) for _ in range(r.between(1, 6)))


def compatible(r):
    return r.chars(COMPATIBLE, r.between(1, 8))


def digits(r):
    return r.pick(DIGITS).format("".join(r.pick("0123456789") for _ in range(r.between(1, 14))))


def punctuation(r):
    form = r.below(4)
    if form == 0:
        return r.pick(PUNCTUATION) * r.between(1, 20)
    marks_ = PUNCTUATION if form < 3 else PUNCTUATION_WIDE
    run = "".join(r.pick(marks_) for _ in range(r.between(1, 6)))
    return run + r.pick(WORDS) + r.pick(marks_) if r.chance(0.5) else run


def name(r):
    return r.pick(["", "_", "my_", "get", "k"]) + r.pick(NAMES) + r.pick(["", "_2", "Id", "s"])


def code(r):
    return r.pick(CODE).format(name(r), name(r), r.between(1, 4095))


def url(r):
    return r.pick(URLS).format(r.pick(NAMES), r.pick(NAMES), r.between(1, 254))


def markup(r):
    return r.pick(MARKUP).format(r.pick(WORDS), r.pick(WORDS), r.between(1, 999))


def special(r):
    token = r.pick(SPECIALS) if r.chance(0.65) else r.pick(NEARLY_SPECIAL)
    return r.pick(AROUND_SPECIAL).format(token, r.pick(WORDS))


def spaces(r):
    run = "".join(r.pick(SPACES) for _ in range(r.between(1, 5)))
    return run + r.pick(WORDS) + (run * r.between(0, 3))


def long_word(r):
    n = r.pick([98, 99, 100, 101, 102, 150, 300])  # more than 100 characters are one [UNK]
    form = r.below(5)
    if form == 0:
        return r.pick("aexz0") * n
    if form == 1:
        return (r.pick(["harbour", "unbelievable", "аб", "ab1"]) * n)[:n]
    if form == 2:  # as many characters, but fewer once the accents are gone
        return "é" * (n // 2) + "e\u0301" * (n - n // 2)
    if form == 3:  # and with characters that cleaning takes out
        return "a" * (n // 2) + "\u00ad" * r.between(1, 9) + "a" * (n - n // 2)
    return "a" * (n - 1) + r.pick([".", "東", "-b", "[SEP]", "İ", "\u0301"])


def soup(r):
    return r.chars(ANYTHING, r.between(1, 6))


# kind -> (chunk, separators between chunks, share)
KINDS = {
    "prose": (prose, [" "], 8),
    "accents": (accents, [" "], 4),
    "script": (script, [" ", " ", "", ", "], 6),
    "cjk": (cjk, ["", "", " "], 3),
    "kana": (kana, ["", " "], 2),
    "hangul": (hangul, [" "], 2),
    "emoji": (emoji, [" ", ""], 2),
    "controls": (controls, [" ", ""], 4),
    "no character": (no_character, [" ", ""], 2),
    "marks": (marks, [" ", ""], 3),
    "casing": (casing, [" ", ""], 2),
    "compatible": (compatible, [" ", ""], 2),
    "digits": (digits, [" ", "", ", "], 2),
    "punctuation": (punctuation, [" ", ""], 3),
    "code": (code, ["\n", " "], 3),
    "url": (url, [" ", "\n"], 2),
    "markup": (markup, ["", " "], 3),
    "special": (special, [" ", ""], 5),
    "spaces": (spaces, ["", " "], 3),
    "long word": (long_word, [" ", ""], 2),
    "soup": (soup, ["", " "], 3),
}
_LOTTERY = [kind for kind, (_, _, share) in KINDS.items() for _ in range(share)]


def text(r, kind, chunks):
    """A text of that many chunks. Beyond 40 it repeats its own phrases: files must stay small."""
    chunk, joints, _ = KINDS[kind]
    phrases = [[chunk(r) for _ in range(r.between(2, 9))] for _ in range(7)]
    parts = []
    while len(parts) < chunks:
        if len(parts) < 40 or r.chance(0.02):
            parts.append(chunk(r))
        else:
            parts.extend(r.pick(phrases))
    parts = parts[:chunks]
    return "".join(p + r.pick(joints) for p in parts[:-1]) + "".join(parts[-1:])


SIZES = [(0, 0)] + [(1, 3)] * 5 + [(2, 9)] * 5 + [(10, 70)] * 4
SIZES += [(70, 300)] * 2 + [(300, 900)] * 2 + [(900, 4000)]


def size(r):
    """How many chunks: 0 to some thousand; a good part on either side of each max_length."""
    return r.between(*r.pick(SIZES))


def drawn(r, count):
    """One pair of random kinds and sizes. count(text) is its number of tokens."""
    kind = r.pick(_LOTTERY)
    other = kind if r.chance(0.6) else r.pick(_LOTTERY)
    query, document = text(r, kind, size(r)), text(r, other, size(r))
    if r.chance(0.08):  # a mixture of all kinds on one side
        document = " ".join(text(r, r.pick(_LOTTERY), r.between(1, 6)) for _ in range(12))
    a, b = count(query), count(document)
    while a * b > MOST:
        if a > b:
            query = query[: len(query) * 3 // 4]
            a = count(query)
        else:
            document = document[: len(document) * 3 // 4]
            b = count(document)
    return (kind if kind == other else f"{kind}, {other}"), query, document


def exact(r, a, b):
    """A pair of a and b tokens."""
    return tuple(" ".join(r.pick(SINGLES) for _ in range(n)) for n in (a, b))


def boundaries():
    """(a, b) round every place where longest_first changes its mind, for each max_length."""
    for max_length in LENGTHS:
        room = max_length - 3  # without [CLS] and two [SEP]
        s = room // 2
        around = {0, 1, s - 1, s, s + 1, s + 2, room - s, room - 1, room, room + 1, room + 9}
        for a in sorted(around):
            for b in sorted(around):
                yield a, b


def varied(count):
    """COUNT different entries (kind, query, document); count(text) is as for drawn."""
    r = Rand("exact")
    entries = {exact(r, a, b): f"exact {a} {b}" for a, b in boundaries()}
    r = Rand("varied")
    while len(entries) < COUNT:
        kind, *pair = drawn(r, count)
        entries.setdefault(tuple(pair), kind)
    return [(kind, *pair) for pair, kind in entries.items()]


def long_texts():
    """Texts of 20 to 200 KB, for whoever cuts a long text before tokenising it: places where a cut
    by bytes, characters or spaces loses tokens, and pairs that overflow on both sides, where
    longest_first goes by the true lengths."""
    r = Rand("long")
    p = text(r, "prose", 60)
    harbour = text(r, "prose", 25)
    tail = " and then the words that count: " + harbour
    doc = " ".join
    unknown = "x" * 150 + " "  # one token
    entries = [
        ("long prose", "what do the words say", p * 200),
        ("long prose", p * 100, "a short document"),
        ("long prose", p * 60, p * 60),
        # both overflow, by nearly the same number of tokens
        ("long a<b", "boat " * 7000, "boat " * 7001),
        ("long a=b", "boat " * 7000, "boat " * 7000),
        ("long a>b", "boat " * 7001, "boat " * 7000),
        ("long a<b", "telecommunications " * 1070, "telecommunications " * 1071),
        ("long a=b", "telecommunications " * 1070, "responsibilities " * 1070),
        ("long a>b", "responsibilities " * 1071, "telecommunications " * 1070),
        ("long a<b", unknown * 540, "x. " * 270 + unknown),
        ("long a=b", unknown * 540, unknown * 540),
        ("long a>b", "a" + unknown * 539 + "b.", unknown * 540),
        # fewer bytes but more tokens, and the other way round
        ("long a>b", "a " * 7000, "lighthouse " * 6999),
        ("long a<b", "lighthouse " * 6999, "a " * 7000),
        ("long a<b", "internationalisation" * 3000, "a " * 400),
        ("long a<b", "a " * 280, "東" * 20000),
        ("long a>b", "東" * 20000, "a " * 280),
        ("long a<b", "é" * 50 + " " + "a " * 6975, "b " * 7001),
        # text after a long stretch without tokens counts
        ("long spaces", "spaces", " " * 150000 + tail),
        ("long spaces", " \t\n" * 30000 + tail, "\u3000" * 30000 + tail),
        ("long spaces", "spaces", "word" + "\n" * 100000 + "word" + " " * 50000 + tail),
        ("long removed", "soft hyphens", "\u00ad" * 40000 + tail),
        ("long removed", "in a word", "lamp" + "\u200b" * 40000 + "light" + tail),
        ("long removed", "replacement", "\ufffd" * 30000 + tail),
        ("long removed", "controls", "a\x01" * 30000 + tail),
        ("long marks", "one letter", "e" + "\u0301" * 30000 + tail),
        ("long marks", "alone", "\u0301\u0316" * 20000 + tail),
        ("long marks", "each", ("e\u0301\u0323" * 5 + " ") * 5000),
        # one word is one token, however long
        ("long word", "one word", "a" * 150000),
        ("long word", "one word", "a" * 150000 + tail),
        ("long word", "x" * 60000 + tail, "é" * 40000 + tail),
        ("long word", "no spaces", ("harbour" * 9 + "-") * 2000),
        ("long word", "many words", ("a" * 101 + " ") * 600 + tail),
        ("long word", "many words", ("a" * 100 + " ") * 600),
        ("long word", "digits", "0123456789" * 9000 + tail),
        # without ASCII spaces
        ("long cjk", "東京", "".join(r.char(CJK) for _ in range(200)) * 200),
        ("long kana", "かな", text(r, "kana", 40).replace(" ", "、") * 200),
        ("long thai", "ไทย", doc(r.chars(SCRIPTS["thai"], 20) for _ in range(15)) * 80),
        (
            "long spaces",
            "no-break",
            doc(r.pick(WORDS) for _ in range(60)).replace(" ", "\xa0") * 150,
        ),
        ("long spaces", "lines", (p.replace(" ", "\n") + "\n") * 150),
        ("long punctuation", "!?", "!?" * 20000),
        ("long emoji", "🍕", "👩\u200d🚀🇫🇷❤\ufe0f" * 3000),
        # special tokens anywhere
        ("long special", "[SEP]", "[SEP]" * 10000),
        ("long special", "[SEP] " * 5000, "word[SEP]" * 5000),
        ("long special", "late", "a" * 100000 + "[SEP]" + "a" * 50000 + tail),
        ("long special", "broken", "[SEP " * 8000 + "]" + tail),
        # every kind in turn
        ("long mixture", p, doc(text(r, k, 12) for k in KINDS) * 12),
        (
            "long mixture",
            doc(text(r, k, 6) for k in KINDS) * 10,
            doc(text(r, k, 9) for k in KINDS) * 7,
        ),
    ]
    return entries
