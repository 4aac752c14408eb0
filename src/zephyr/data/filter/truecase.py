"""Capitals at the start of sentences and for "I", where text was written without (section 4.1 of the paper: about 5 %).

Only what is surely wrong is mended: a full stop, question or exclamation mark, blanks, and a small letter on the same
line; a turn that starts with a small letter; "i" before a verb of the first person, and where a sentence of plainly
English words begins, whatever the verb. Code, addresses, abbreviations,
initials, list markers, ellipses, tags after speech ("Stop!" she said) and words that are written small (iPhone, npm,
x1) stay as they are. Applied twice it changes nothing more.
"""

# ruff: noqa: SIM905 (a list of words reads better so)
import re
from collections.abc import Sequence

from zephyr.data.turns import Messages

PROTECTED = re.compile(
    r"```.*?(?:```|\Z)"  # code
    r"|~~~.*?(?:~~~|\Z)"
    r"|`[^`\n]+`"
    r"|\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\$[^$\n]{1,80}\$"  # mathematics
    r"|<(?:code|pre|script|style)\b.*?</(?:code|pre|script|style)>"
    r"|^[ \t]*(?:[>$#|] |>>>|#!|//|/\*|--|@).*$"  # quoted lines, prompts of a shell, comments, headings, tables
    r"|^(?: {4}|\t).*$"  # indented code
    r"|^.*(?:[{};]|=>|->|==|\)\:|</?\w+>|\w\(\)|\b(?:def|import|return|SELECT|FROM) ).*$"  # a line of code
    r"|\S+://\S+|www\.\S+|\S+@\S+|(?<!\S)[\w.~-]*/[\w./~-]+",  # addresses, paths
    re.DOTALL | re.MULTILINE,
)
SENTENCE = re.compile(r"(\S*?)([.!?])[ \t]{1,3}(?=([^\W\d_]\S*))")
"""The end of a sentence and the word after it, on one line: last word, mark, next word."""
START = re.compile(r"\A\s*([^\W\d_]\S*)")
PRONOUN = re.compile(
    r"(?<![\w'’.*/\\(\[{<=+-])i(?=['’](?:m|ve|d|ll)\b"
    r"| (?:am|was|have|had|do|did|don['’]?t|didn['’]?t|can|can['’]?t|cannot|could|couldn['’]?t|will|won['’]?t|would|"
    r"wouldn['’]?t|should|must|may|might|think|thought|want|wanted|need|needed|like|love|hate|know|knew|feel|felt|hope|"
    r"guess|believe|understand|wish|remember|never|always|really|just|also|still|only|already|actually|recently|"
    r"usually|often|get|got|see|saw|said|say|go|went|make|made|use|used|find|found|live|work|tried|try|heard|read|"
    r"decided|agree|mean|wonder|appreciate|enjoy|plan|prefer|started|asked|told|took|came|bought)\b)"
)
"""A small "i" before what only follows the English pronoun; Italian and Polish have an "i" of their own."""
ASKED = re.compile(
    r"\b(?:[Cc]an|[Dd]o|[Dd]id|[Ss]hould|[Cc]ould|[Ww]ould|[Ww]ill|[Aa]m|[Mm]ay|[Mm]ust|[Ss]hall) (i)(?= [a-z]{2})"
)
"""The same after a verb, in a question."""
VARIABLE = re.compile(
    r"\bi-?th\b|\b(?:index|integer|element|first|value|variable|for) i\b|\bi(?:,| and) j\b|\bi ?[=<>+]"
)
"""Signs that "i" is a variable in a text, so that none of them is touched there."""
OPENING = re.compile(r"(?:\A|\n)[ \t]{0,3}(i)(?= )")
"""A small "i" at the start of a line; within one, SENTENCE finds it."""
SENTENCE_OF_I = re.compile(r"i ([a-z]{2,})\b([^.!?\n]*)")
"""From the "i" on: the next word, and the rest of its sentence."""
COUNTED = re.compile(r"\[i\]|`i`|\(i\)|\bi ?[-*/^]|^\s*ii\b|(?<!['’])\b[jkn]\b", re.MULTILINE)
"""Further signs that "i" is a variable or the number one of a list; the rules above need none, they know the verb."""
NOT_AFTER_I = frozenset("of to in on at by for from is are as or if than into times plus minus equals th".split())
"""After "i" these tell of a variable or a number rather than of the pronoun."""
ALSO_AFTER_I = frozenset("was always sometimes perhaps besides nowadays focus thus".split())
"""Words in -s that follow the pronoun; others in -s are verbs of a third person ("i counts the rows")."""
ENGLISH = frozenset(
    "the and of it was with that this these those you your they them their from about which what when where then "
    "than because would could should been every there here after before until while some other each into "
    "through them him his she who whom whose how why out off again very much many only".split()
)
"""Words that neither Italian, Polish, Czech, Croatian, Catalan nor the Scandinavian languages have: all those that have
an "i" of their own."""
ENGLISH_IN_ENGLISH = ENGLISH | frozenset("for an is up more not be".split())
"""Words that tell of English where the rest of the turn does."""
ABBREVIATIONS = frozenset(
    "sq cu fl e.g i.e eg ie etc vs viz cf al approx ca no nos vol p pp ed eds fig figs eq sec ch ref est min max avg "
    "dept inc ltd co corp bros mr mrs ms dr prof sr jr st ave blvd rd mt ft gen col sgt capt lt hon rev sen "
    "rep gov jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun a.m "
    "p.m am pm u.s u.k u.n ph.d oz lb lbs tsp tbsp in cm mm km kg hr hrs mins secs ext tel misc incl excl resp "
    "esp orig bzw usw ggf evtl vgl nr abs art sog str z.b d.h u.a z ej env ex p.ej m mme dott sig sra dra av "
    "pág núm".split()
)
"""Words that a full stop follows inside a sentence, in English and some of its neighbours."""
AFTER_A_NAME = frozenset(("or", "and", "is", "was", "has", "for", "in", "on", "at", "of", "to", "with", "by", "as"))
"""After ! and ? these tell of a name ("Kahoot! or", "Yahoo! is") rather than of a new sentence."""
SMALL = frozenset(
    "npm pip git grep sudo nginx numpy pandas pytorch scipy jquery bash ssh ls cd awk sed curl wget vim emacs "
    "von van de da di del della la le el al bin ibn adidas lululemon".split()
)
"""Words written small also where a sentence begins: commands and libraries, particles of names, brands."""


def truecase(messages: Messages, roles: Sequence[str]) -> Messages:
    """The dialogue with capitals where sentences begin, in the turns of these roles."""
    return [
        {**turn, "content": truecased(turn["content"])} if turn["role"] in roles else turn for turn in messages
    ]  # fmt: skip


def truecased(text: str) -> str:
    """A text with capitals at the start of sentences and for "I"."""
    if not _WANTING.search(text):
        return text
    kept = [match.span() for match in PROTECTED.finditer(text)]
    letters = list(text)
    for place in _places(text, kept):
        letters[place] = letters[place].upper()
    return "".join(letters)


_WANTING = re.compile(r"[.!?][ \t]+[^\W\d_A-Z]|\A\s*[^\W\d_A-Z]|(?<!\w)i(?!\w)")
"""Whether there can be anything to do at all: most turns are right."""


def _places(text: str, kept: list[tuple[int, int]]) -> list[int]:
    """Positions of letters that ought to be capitals."""
    places = [] if VARIABLE.search(text) else _pronouns(text)
    if (found := START.match(text)) and _opens_prose(text, found[1]):
        places.append(found.start(1))
    for match in SENTENCE.finditer(text):
        if _ends_sentence(text, match) and _may_begin(match[3]):
            places.append(match.start(3))
    return [place for place in places if not any(start <= place < end for start, end in kept)]


def _pronouns(text: str) -> list[int]:
    """Positions of "i" that stand for the one who writes."""
    known = [match.start() for match in PRONOUN.finditer(text)] + [match.start(1) for match in ASKED.finditer(text)]
    return known if COUNTED.search(text) else [*known, *_openings(text)]


def _openings(text: str) -> list[int]:
    """Positions of "i" that begin a sentence which is plainly English, whatever its verb is."""
    begins = [match.start(1) for match in OPENING.finditer(text)]
    begins += [match.start(3) for match in SENTENCE.finditer(text) if match[3] == "i" and _ends_sentence(text, match)]
    return [begin for begin in begins if (found := SENTENCE_OF_I.match(text, begin)) and _english(text, found)]


def _english(text: str, sentence: re.Match[str]) -> bool:
    """Whether the words after "i" are English, and the first of them one that follows the pronoun."""
    verb = sentence[1]
    third_person = verb.endswith("s") and not verb.endswith("ss") and verb not in ALSO_AFTER_I
    words = set(re.findall(r"[^\W\d_]+", sentence[0].casefold()))
    if third_person or verb in NOT_AFTER_I or not sentence[0].isascii():
        return False
    if ENGLISH & words:
        return True
    whole = re.findall(r"[^\W\d_]+", text.casefold())
    return bool(ENGLISH_IN_ENGLISH & words) and 5 * sum(word in ENGLISH for word in whole) >= len(whole)


def _opens_prose(text: str, word: str) -> bool:
    """Whether a turn that starts small is a sentence: four words or more on its first line."""
    first_line = text.strip().split("\n", 1)[0]
    return _may_begin(word) and len(first_line.split()) >= 4 and not re.match(r"\S+\s*[=:]", first_line)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether the mark ends a sentence."""
    before, mark = match[1], match[2]
    word = before.lstrip("(\"'“”‘[*_").casefold()
    if mark != ".":
        return bool(re.search(r"\w", before)) and not {"!", "?"} & set(before) and match[3] not in AFTER_A_NAME
    if not word or word[-1] in ".…" or not (word[-1].isalnum() or word[-1] in ")]%'’*_"):
        return False
    if (
        len(word) == 1 or word in ABBREVIATIONS or "." in word or re.fullmatch(r"[a-z]\d+", word)
    ):  # initials, U.S., 3.5, v2
        return False
    line = text[text.rfind("\n", 0, match.start()) + 1 : match.start(2)]
    return not re.fullmatch(r"\s*[(\[]?(?:\d+|[a-zA-Z]|[ivxlc]+)[)\]]?", line) and not word.isdigit()


def _may_begin(word: str) -> bool:
    """Whether a word in small letters can begin a sentence, and then with a capital."""
    bare = re.split(r"['’]", word.rstrip('.,;:!?)]"”*_'), maxsplit=1)[0]
    if not bare or not bare[0].islower() or bare in SMALL:
        return False
    if len(bare) == 1 and bare not in ("a", "o", "y"):
        return False
    parts = bare.split("-")
    if bare != bare.casefold() or not all(part.isalpha() for part in parts if part):  # iPhone, x1, file.txt, a/b
        return False
    return len(parts[0]) > 1 or len(parts) == 1  # e-mail, i-th, x-axis
