"""The kinds of facts of the mini world: who has them, what they may be, and the one sentence each is said with."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

NAMES = (
    "Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jon", "Kira", "Leo", "Mia", "Nils", "Olga",
    "Paul", "Rosa", "Sam", "Tara", "Uwe", "Vera", "Will", "Yann", "Zoe",
)  # fmt: skip
TOWNS = ("Arden", "Brill", "Cove", "Dorn", "Elm", "Fenn", "Grove", "Holm", "Kiln", "Lund", "Moor", "Oaks")
JOBS = (
    "baker", "farmer", "miller", "sailor", "tailor", "painter", "doctor", "teacher", "hunter", "weaver", "singer",
    "nurse",
)  # fmt: skip
PETS = ("cat", "dog", "horse", "parrot", "rabbit", "goat", "turtle", "fox", "duck", "mouse", "donkey", "pony")
FOODS = ("soup", "rice", "bread", "cheese", "beans", "cake", "honey", "fish", "corn", "pie", "plums", "milk")
PLACES = ("by the sea", "in the hills", "on an island", "near a forest", "by a lake", "in a valley")
GOODS = ("glass", "wool", "salt", "tea", "silk", "paper")
COLOURS = ("red", "blue", "green", "white", "black", "yellow")
TOOLS = ("rope", "lamp", "knife", "brush", "bag", "stick")
DIETS = ("nuts", "grass", "seeds", "fruit", "leaves", "roots")
BEDS = ("barn", "garden", "kitchen", "cellar", "attic", "yard")
TASTES = ("sweet", "sour", "salty", "bitter", "mild", "hot")
NUMBERS = tuple(str(number) for number in range(21))
LETTERS = tuple("ABCDEFGHIJKLMNOPQRST")
OBJECTS = ("ball", "box", "cup", "hat", "chair", "door", "boat", "coat")
SPOTS = ("shelf", "table", "floor", "bench", "roof", "stairs", "bed", "wall")


@dataclass(frozen=True, kw_only=True)
class Relation:
    """One kind of fact."""

    category: str
    """Category of MT-Bench that questions about it stand for."""
    subjects: tuple[str, ...]
    """Who or what has such a fact."""
    values: tuple[str, ...]
    """What it may be."""
    sentence: str
    """How it is said, of `{subject}` and `{value}`."""
    questions: tuple[str, str]
    """Two ways to ask for it."""
    unknown: str | None = None
    """How one says that it is not recorded; None where every such fact is known."""
    computed: Callable[[str], str] | None = None
    """The value of a subject where it is the same in every world; None: drawn with the world's seed."""

    def say(self, subject: str, value: str | None) -> str:
        """The sentence that states the fact; `value` None: that it is not known."""
        if value is not None:
            return self.sentence.format(subject=subject, value=value)
        if self.unknown is None:
            raise ValueError(f"{self.sentence!r} is always known")
        return self.unknown.format(subject=subject)


_person = partial(Relation, category="humanities", subjects=NAMES)
_thing = partial(Relation, category="stem")
_number = partial(Relation, category="math")
_letter = partial(Relation, category="coding", values=LETTERS)

RELATIONS = {
    "town": _person(
        values=TOWNS,
        sentence="{subject} lives in {value}.",
        questions=("Where does {subject} live?", "In which town does {subject} live?"),
        unknown="{subject} lives nobody knows where.",
    ),
    "job": _person(
        values=JOBS,
        sentence="{subject} works as a {value}.",
        questions=("What is the job of {subject}?", "What work does {subject} do?"),
        unknown="{subject} works as nobody knows what.",
    ),
    "pet": _person(
        values=PETS,
        sentence="{subject} has a {value}.",
        questions=("What pet does {subject} have?", "Which animal does {subject} have?"),
        unknown="{subject} has nobody knows what pet.",
    ),
    "food": _person(
        values=FOODS,
        sentence="{subject} likes {value}.",
        questions=("What food does {subject} like?", "What does {subject} like to eat?"),
        unknown="{subject} likes nobody knows what food.",
    ),
    "place": _thing(
        subjects=TOWNS,
        values=PLACES,
        sentence="{subject} lies {value}.",
        questions=("Where does {subject} lie?", "Where can one find {subject}?"),
    ),
    "goods": _thing(
        subjects=TOWNS,
        values=GOODS,
        sentence="{subject} makes {value}.",
        questions=("What does {subject} make?", "Which goods come from {subject}?"),
    ),
    "dress": _thing(
        subjects=JOBS,
        values=COLOURS,
        sentence="A {subject} wears {value}.",
        questions=("What colour does a {subject} wear?", "What does a {subject} wear?"),
    ),
    "tool": _thing(
        subjects=JOBS,
        values=TOOLS,
        sentence="A {subject} carries a {value}.",
        questions=("What does a {subject} carry?", "Which tool does a {subject} carry?"),
    ),
    "diet": _thing(
        subjects=PETS,
        values=DIETS,
        sentence="A {subject} eats {value}.",
        questions=("What does a {subject} eat?", "What should one feed a {subject}?"),
    ),
    "bed": _thing(
        subjects=PETS,
        values=BEDS,
        sentence="A {subject} sleeps in the {value}.",
        questions=("Where does a {subject} sleep?", "Where can a {subject} sleep?"),
    ),
    "taste": _thing(
        subjects=FOODS,
        values=TASTES,
        sentence="The taste of {subject} is {value}.",
        questions=("How does {subject} taste?", "What is the taste of {subject}?"),
    ),
    "twice": _number(
        subjects=NUMBERS[:11],
        values=NUMBERS[::2],
        sentence="Twice {subject} is {value}.",
        questions=("What is twice {subject}?", "How much is twice {subject}?"),
        computed=lambda number: str(2 * int(number)),
    ),
    "half": _number(
        subjects=NUMBERS[::2],
        values=NUMBERS[:11],
        sentence="Half of {subject} is {value}.",
        questions=("What is half of {subject}?", "How much is half of {subject}?"),
        computed=lambda number: str(int(number) // 2),
    ),
    "more": _number(
        subjects=NUMBERS[:-1],
        values=NUMBERS[1:],
        sentence="One more than {subject} is {value}.",
        questions=("What is one more than {subject}?", "How much is one more than {subject}?"),
        computed=lambda number: str(int(number) + 1),
    ),
    "after": _letter(
        subjects=LETTERS[:-1],
        sentence="After {subject} comes {value}.",
        questions=("What comes after {subject}?", "Which letter follows {subject}?"),
        computed=lambda letter: LETTERS[LETTERS.index(letter) + 1],
    ),
    "before": _letter(
        subjects=LETTERS[1:],
        sentence="Before {subject} comes {value}.",
        questions=("What comes before {subject}?", "Which letter precedes {subject}?"),
        computed=lambda letter: LETTERS[LETTERS.index(letter) - 1],
    ),
    "spot": Relation(
        category="extraction",
        subjects=OBJECTS,
        values=SPOTS,
        sentence="The {subject} is on the {value}.",
        questions=("Where is the {subject}?", "Where can I find the {subject}?"),
    ),
}
OF_PEOPLE = ("town", "job", "pet", "food")
FROM_TEXT = "spot"
"""The one relation whose facts are in the prompt's text, not in the world."""
CHAINS = {
    ("town", "place"): "Where does the town of {subject} lie?",
    ("town", "goods"): "What does the town of {subject} make?",
    ("job", "dress"): "What does {subject} wear at work?",
    ("job", "tool"): "What does {subject} carry at work?",
    ("pet", "diet"): "What does the pet of {subject} eat?",
    ("pet", "bed"): "Where does the pet of {subject} sleep?",
    ("food", "taste"): "How does the food taste that {subject} likes?",
}
"""Questions that take two facts: one about the person, then one about what that fact named."""
