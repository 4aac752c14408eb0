"""The `filter` stage's recipe: from raw dialogues to those worth training on (section 4.1 of the paper).

A filter is on when it is named (`truecase: {}` is enough) and off when it isn't, or is `null`. They run in the order in
which they stand in `Filters`, whatever the order in the recipe: first those that mend a dialogue, then those that judge
it alone, then those that compare it with others.
"""

from typing import Literal

from pydantic import Field

from zephyr.recipe.sections import Base, Positive, Source, section


@section
class FilterData:
    """What is filtered."""

    train: list[Source] = Field(min_length=1)
    """Dialogues that end up in `train`."""
    eval: list[Source] = Field(default_factory=list)
    """Dialogues that end up in `eval`; they are read first, so a copy of one in `train` is the one dropped."""
    eval_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of `train` moved to `eval`, by the hash of the prompt: no prompt is in both."""


@section
class Structure:
    """Drops dialogues whose turns don't alternate from the user's to the assistant's, or that hold an empty turn."""

    unanswered: Literal["cut", "drop"] = "cut"
    """A last turn of the user without an answer: `cut` it off, or `drop` the dialogue."""


@section
class Thanks:
    """Cuts off closing pairs in which the user only thanks or says goodbye; drops a dialogue that is nothing else."""

    max_words: int = Field(default=40, gt=0)
    """A longer turn of the user is never taken for mere thanks."""


@section
class Truecase:
    """Capitals at the start of sentences and for "I", outside code, addresses, abbreviations, list markers, brands."""

    roles: list[Literal["user", "assistant"]] = Field(default=["user", "assistant"], min_length=1)
    """Whose turns are mended."""


@section
class Format:
    """Drops dialogues with debris of other formats: chat-template markers, wrongly decoded characters, HTML pages."""

    template_markers: bool = True
    """Drop where a turn holds another model's turn markers (`<|im_end|>`, `[INST]`, a line `### Response:`)."""
    wrong_encoding: bool = True
    """Drop where text was decoded wrongly (U+FFFD, or UTF-8 read as Windows-1252)."""


@section
class Language:
    """Drops dialogues of which neither the user's nor the assistant's text is in a kept language (by fastText)."""

    keep: list[str] = Field(min_length=1)
    """ISO 639-1 codes (`en`, `de`)."""
    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """Text whose language is less sure than this is kept."""
    min_characters: int = Field(default=40, ge=0)
    """Text shorter than this, code left out, is kept: its language can't be told."""


Family = Literal["identity", "lack", "access", "refusal"]


@section
class Refusals:
    """Drops dialogues in which the assistant talks of its limits instead of answering, in ten languages."""

    families: list[Family] = Field(default=["identity", "lack", "refusal"], min_length=1)
    """`identity` (as an AI), `lack` (no feelings), `refusal` (can't help, rightly or not), `access` (no news)."""
    allow_when_asked: bool = True
    """Keep such a reply where the user asks what the assistant is, feels or was trained on."""
    allow_in_writing: bool = True
    """Keep such a phrase in a text that the user asked to be written (a story, a letter), after its first sentence."""


@section
class Helpfulness:
    """Drops dialogues whose answers say nothing: too short, an echo of the question, going in circles, cut off."""

    min_answer_words: int = Field(default=0, ge=0)
    """Words that the longest answer has at least."""
    echoes: bool = True
    """Drop where an answer of eight words or more only repeats the user's turn."""
    max_repeated_share: float | None = Field(default=0.5, gt=0, le=1)
    """Largest share of an answer's six-word sequences that may have occurred in it before; `null`: any."""
    cut_answers: bool = True
    """Drop where the last answer breaks off: at a comma, at a word such as "the", or in open code."""


@section
class Length:
    """Drops dialogues outside of bounds."""

    min_exchanges: int | None = Field(default=None, gt=0)
    """Fewest questions with their answers."""
    max_exchanges: int | None = Field(default=None, gt=0)
    """Most questions with their answers."""
    min_words: int | None = Field(default=None, gt=0)
    """Fewest words of the whole dialogue."""
    max_words: int | None = Field(default=None, gt=0)
    """Most words of the whole dialogue; an English word is about 1.3 tokens."""


@section
class Questions(Source):
    """Where a benchmark's questions are: in a column `question`, `turns`, `instruction` or `prompt`."""

    heading: bool = True
    """False: a CSV file without heading line, whose first column is the question (MMLU's own files)."""


@section
class Decontaminate:
    """Drops dialogues that hold a benchmark's question: whole, in other case or punctuation, embedded, or nearly."""

    benchmarks: dict[str, Questions] = Field(min_length=1)
    """Name in the counts -> where its questions are."""
    turns: Literal["user", "all"] = "all"
    """Whose turns are searched."""
    ngram: int = Field(default=3, ge=2, le=13)
    """Words per sequence by which a question is looked for."""
    min_overlap: float = Field(default=0.5, gt=0, le=1)
    """Share of a question's sequences that a turn must hold to be compared with it word by word."""
    min_similarity: float = Field(default=0.8, gt=0, le=1)
    """Similarity (Indel, of characters) of the best matching passage from which it counts as a near copy."""
    min_near_words: int = Field(default=8, gt=0)
    """Questions with fewer words are only found whole."""


Compared = Literal["prompt", "dialogue"]


@section
class ExactDuplicates:
    """Drops dialogues equal to one kept before, case, punctuation and white space apart."""

    on: Compared
    """What is compared: the first user turn, or all turns."""


@section
class NearDuplicates:
    """Drops dialogues similar to one kept before: MinHash with locality-sensitive hashing (rensa)."""

    on: Compared
    """What is compared: the first user turn, or all turns."""
    max_similarity: float = Field(gt=0, lt=1)
    """Highest Jaccard similarity of their word sequences that two kept texts may have, as MinHash estimates it."""
    shingle_words: int = Field(default=3, gt=0)
    """Words per sequence."""
    permutations: int = Field(default=128, ge=16)
    """Hashes per text: the estimate's standard error is at most 0.5 / sqrt(permutations); 11 bytes of memory each."""


@section
class Subset:
    """Keeps so many of the dialogues of `train`, drawn with the recipe's seed."""

    rows: int = Positive
    """Dialogues to keep; all, where there are fewer."""


@section
class Filters:
    """The filters, each on when it is named; they run in this order."""

    structure: Structure | None = None
    """Turns that alternate, none empty. Without it the same faults are dropped all the same, unanswered turns too."""
    thanks: Thanks | None = None
    """Closing thanks are cut off."""
    truecase: Truecase | None = None
    """Capitals where they belong."""
    format: Format | None = None
    """No debris of other formats."""
    language: Language | None = None
    """Only some languages."""
    refusals: Refusals | None = None
    """No talk of being an AI."""
    helpfulness: Helpfulness | None = None
    """Answers that say something."""
    length: Length | None = None
    """Neither too short nor too long."""
    decontaminate: Decontaminate | None = None
    """No benchmark's questions."""
    exact_duplicates: ExactDuplicates | None = None
    """Nothing twice."""
    near_duplicates: NearDuplicates | None = None
    """Nothing nearly twice."""
    subset: Subset | None = None
    """No more than are wanted."""


@section
class FilterRecipe(Base):
    """UltraChat to UltraChat-200k: truecasing, removal of refusals, duplicates and benchmark questions."""

    stage: Literal["filter"]
    seed: int
    """Seed of the subset, of the samples shown of what was dropped, and of draws from the sources."""
    data: FilterData
    filters: Filters
    samples_per_reason: int = Field(default=20, ge=0)
    """Dialogues shown in `dropped.jsonl` for each reason, and in `changed.jsonl` for each filter that mends."""
    workers: int | None = Field(default=None, gt=0)
    """Processes; the outcome doesn't depend on them. Default: one per core."""
