"""The texts of the goldens. All but PUBLISHED were written for this project."""

# ---- weights/builtin/goldens.json: 36 (query, document) pairs for the embedded model

# The examples in the card of cross-encoder/ms-marco-MiniLM-L-12-v2 on the hub: that of sentence-transformers, and that of
# transformers.js in the card of Xenova's conversion, with scores of the unquantised model.
PUBLISHED = [
    (
        "How many people live in Berlin?",
        "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square "
        "kilometers.",
    ),
    ("How many people live in Berlin?", "Berlin is well known for its museums."),
    (
        "How many people live in Berlin?",
        "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 square "
        "kilometers.",
    ),
    (
        "How many people live in Berlin?",
        "New York City is famous for the Metropolitan Museum of Art.",
    ),
]

_SENTENCES = [
    "The harbour master keeps a ledger of every boat that ties up at the stone pier.",
    "On windy days the ferry waits until the flag on the mole hangs still.",
    "Fishermen sell cod, crab and mussels from wooden crates before sunrise.",
    "A narrow railway once carried coal from the hill down to the cranes.",
    "The lighthouse lamp turns once every twelve seconds and reaches nineteen miles.",
    "Children learn to row in the shallow basin behind the customs house.",
    "Ice from the old warehouse was packed in straw and shipped inland.",
    "In 1911 a storm broke the outer wall and the town rebuilt it with granite.",
]
_TOPICS = ["pier", "ferry", "crane", "lamp", "basin", "ice house", "storm", "ledger"]

# Both are longer than 512 tokens.
LONG_DOCUMENT = " ".join(
    f"{s} Entry {i}: {i * 37 % 101} crates, {i * 13 % 29} sails."
    for i, s in enumerate(_SENTENCES * 6)
)
LONG_QUERY = " ".join(f"question {i} about the {w}" for i, w in enumerate(_TOPICS * 14))

_COFFEE = "how do I make coffee without a machine"
_BOILING = "What is the boiling point of water at sea level?"
_LAMP = "The lighthouse lamp turns once every twelve seconds and reaches nineteen miles."

MINILM = [
    *PUBLISHED,
    # relevant, misleading and off the subject
    (
        _COFFEE,
        "Pour hot water over ground beans in a paper filter set on your cup and let it drip "
        "through.",
    ),
    (_COFFEE, "The washing machine must be level or it will walk across the floor."),
    (_COFFEE, "Coffee houses in the port opened their doors before the first tram."),
    (
        "capital city of the island nation",
        "Its seat of government is the largest town on the eastern coast.",
    ),
    (
        _BOILING,
        "Water boils at 100 degrees Celsius (212 °F) when the air pressure is one atmosphere.",
    ),
    (_BOILING, "Water covers most of the planet and is salty in the sea."),
    (
        "opening hours library",
        "The reading room is open from nine to six, Monday to Saturday.",
    ),
    ("opening hours library", "The shared library libfoo.so must be on the loader path."),
    (
        "error: cannot open shared object file",
        "The dynamic loader did not find the .so; add its folder to LD_LIBRARY_PATH or run "
        "ldconfig.",
    ),
    (
        "SELECT rows with NULL in column",
        "Use the IS NULL predicate, because a comparison with = never matches missing values.",
    ),
    # truncated: the document, the query, both, just not
    ("lighthouse lamp range", LONG_DOCUMENT),
    (LONG_QUERY, _LAMP),
    (LONG_QUERY, LONG_DOCUMENT),
    ("storm that broke the outer wall", LONG_DOCUMENT[:1500]),
    # empty
    ("", ""),
    ("", "A document without any question in front of it."),
    ("a question without any document", ""),
    ("   \t\n ", "  \n\n  "),
    # other languages and odd characters
    (
        "Où est la gare ?",
        "La gare centrale se trouve derrière l'hôtel de ville, à cinq minutes à pied.",
    ),
    ("naïve café résumé", "naive cafe resume"),
    ("cafe\u0301", "caf\u00e9"),
    ("東京の天気", "明日の東京は晴れ、気温は二十度です。"),
    ("погода завтра", "Завтра будет солнечно, без дождя."),
    ("ما هو الطقس", "الطقس مشمس اليوم."),
    (
        "pizza 🍕 recipe",
        "🍕 Flour, water, yeast, tomato 🍅 and cheese 🧀; bake it hot for eight minutes.",
    ),
    (
        "zero\u200bwidth \u00a0spaces\ufeff",
        "soft\u00adhyphen and control \u0007 bell \ufffd replacement",
    ),
    (
        "supercalifragilistic" * 8,
        "A word with more than a hundred letters becomes one unknown token.",
    ),
    ("price < 20 & size > 5", "<p>The <b>small</b> box costs 19.99 &amp; holds six.</p>"),
    (
        "3.14159 2,718 1e-10",
        "Numbers: 3.14159; 2,718; 1e-10; -273.15; 0x1F; 50%.",
    ),
    (
        "[CLS] [SEP] [MASK]",
        "Plain brackets and the words [SEP] and [PAD] inside a text are treated as special "
        "tokens by the reference tokenizer.",
    ),
    (
        "who invented the paper clip in the village story",
        "In the village story, Aldo the postman bent a wire twice and so kept his letters "
        "together.",
    ),
    (
        "best hiking boots for wet ground",
        "These waterproof leather shoes with a deep sole grip muddy trails and keep your feet "
        "dry.",
    ),
]
assert len(MINILM) == 36

# ---- goldens_random.json: pairs for each random checkpoint (their max_length: 49, 64 or 128)

_SAILING = "When does the north ferry sail on a windy day?"

RANDOM = [
    ("what is the price of ice", "A crate of ice costs ten old coins at the stone pier."),
    ("what is the price of ice", "The deck of the red boat was made in one cold year."),
    ("what is the price of ice", "PRICE LIST: crab 12.50, fish 7.25, ice 0.99 (per crate)!"),
    (_SAILING, "The north ferry will sail at nine unless the flag on the pier is red."),
    (_SAILING, "Coal was carried by rail from the hill to the crane."),
    (_SAILING.upper(), "the NORTH Ferry sails; The Harbour in Paris does not."),
    ("map of the south wall", "Where the wall meets the gate there is a bell and a small lamp."),
    ("where", "here"),
    ("a", "b"),
    ("boat", "boat"),
    ("boat", "boat boat boat boat"),
    ("boat boat boat boat", "boat"),
    ("deep water", "water deep"),
    ("", ""),
    ("", "A document without a query."),
    ("a query without a document", ""),
    ("  \t\n", " \n \r\n"),
    ("how deep is the sea", "The sea is deep. " * 40),
    ("how deep is the sea " * 30, "The sea is deep."),
    ("why does the bell ring at night " * 25, "The captain rings it for the crew. " * 25),
    ("one two three " * 50, "ten one two " * 49),
    ("sail " * 100, "rope " * 101),
    ("sail " * 150, "rope " * 150),
    ("red lamp " * 9, "cold wind and old rope " * 30),  # 18 words: the query is kept whole
    ("who made this crane? " * 5, "In the year 1911, the town did; it had two gates. " * 3),
    ("the captain of the old ferry, and his crew of ten", "Light wind from the south-east. " * 9),
    ("Größe ÜBER façade señor", "GRÖSSE uber facade senor; smørbrød, naïve e\u0301te\u0301"),
    ("東京の天気", "明日の東京は晴れ、日本の山と川と火。"),
    ("погода Год", "Город и вода — да? Αβγ, τέλος ΤΕΛΟΣ"),
    ("한글 가 깎", "الأ ب، שלום אב; कगन नमस्ते"),
    ("pizza 🍕 map", "🍕🍅 at 20° for 5 €… 👩\u200d🚀 🇫🇷"),
    ("[CLS] [SEP] [MASK]", "[PAD]x[SEP]boat [sep] [UNK] [CLS][CLS] [ MASK ]"),
    ("[MASK]boat", "boat[MASK]."),
    ("q" * 100 + " " + "q" * 101, "unbelievableness " * 3 + "x" * 300),
    ("1e-10 == 0x1F && !false", "if (a[i] <= b->c) { return ~x ^ y | z; } // 50% @home #1 $5 `k`"),
    ("zero\u200bwidth\u00a0no\u00adbreak", "bell \u0007 \ufffd \ufeff \u2028 \u0301lone"),
]

# ---- tokens_edge.json: bytes that are no text

EDGE = [
    (b"\x00", b"\x00"),
    (b"nul\x00byte", b"the text goes on \x00 after it\x00"),
    (b"\x00\x00\x00leading", b"trailing\x00\x00\x00"),
    (b"a\x00b\x00c", b"\x00a\x00"),
    (b"[SE\x00P]", b"[SEP]\x00[SEP]"),
    (b"\xff", b"\xfe\xff"),
    (b"one\xffword", b"one\xff\xfe\xfdword"),
    (b"one \xff word", b"one \xff \xfe word"),
    (b"\x80\x81\x82", b"stray \xbf continuation"),
    (b"caf\xe9", b"latin-1: \xe9t\xe9 na\xefve \xa3 5"),
    (b"\xc3", b"cut in a character: caf\xc3"),
    (b"\xe6\x9d", b"\xe6\x9d\xb1\xe4\xba"),  # the second begins with a whole CJK character
    (b"\xf0\x9f\x8d", b"pizza \xf0\x9f\x8d\x95 cut \xf0\x9f\x8d cut \xf0\x9f"),
    (b"\xe6\x9dx", b"\xf0\x9f\x8d\xe6\x9d\xb1"),
    (b"overlong \xc0\xaf", b"\xc0\x80 \xe0\x80\xaf \xf0\x80\x80\xaf"),
    (b"surrogate \xed\xa0\x80", b"pair \xed\xa0\xbd\xed\xb8\x80 end"),
    (b"too large \xf4\x90\x80\x80", b"\xf5\x80\x80\x80 \xf8\x88\x80\x80\x80 \xfe\x80"),
    (b"largest \xf4\x8f\xbf\xbf", b"\xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbd \xef\xbf\xbf"),
    (b"\xef\xbf\xbd\xff\xef\xbf\xbd", b"\xff\xef\xbf\xbd\xff"),
    (b"\x00\xff\x00", b"\xff\x00\xff mixed \x00\xff"),
    (b"utf-16 h\x00i\x00", b"\xff\xfeh\x00i\x00 \x00t\x00h\x00e\x00r\x00e\x00"),
    (b"", b"\xff"),
    (b"\x00", b""),
    (b" \x00 ", b"\t\xff\n"),
    (b"cafe\xcc\x81 \xcc", b"e\xcc\x00\x81"),
    (b"\xff" * 200, b"\x00" * 200),
    (b"word\xff" * 300, b"\x00word " * 300),  # overflows 512
    (b"\xff word " * 600, b"two words\x00 " * 290),
    (b"binary", bytes(range(256))),
    (bytes(reversed(range(256))), bytes((i * 167 + 13) % 256 for i in range(2048))),
    (b"long", b"\x00" * 3000 + b"after three thousand bytes"),
    (b"long", b"\xff" * 3000 + b"after three thousand bytes"),
    (b"long", b"x\x00" * 1500 + b" end"),
]
