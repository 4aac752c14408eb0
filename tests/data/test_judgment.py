"""Judgments: what is read, and that whatever is in doubt is a fault and never a score."""

import json
from dataclasses import replace

import pytest

from zephyr.data.feedback.judgment import Unreadable, read_judgment, read_rating
from zephyr.data.feedback.rubric import Aspect, Rubric, judge_messages, judgment_schema, read_rubric
from zephyr.data.wording import wording_file

SCALE = {1: "bad", 5: "good"}
RUBRIC = Rubric(
    prompt="", again="",
    aspects={
        "truthfulness": Aspect(question="?", scale=SCALE, not_applicable="fiction"),
        "helpfulness": Aspect(question="?", scale=SCALE),
    },
    overall=Aspect(question="?", scale={1: "bad", 10: "good"}, halves=True), critique="?",
)  # fmt: skip
ALL = ("truthfulness", "helpfulness", "overall")


def one(truthfulness=4, helpfulness=3, overall=7.5):
    return {
        "truthfulness": {"rationale": "It's so.", "rating": truthfulness},
        "helpfulness": {"rationale": 'He said "no".', "rating": helpfulness},
        "critique": "More {detail}.",
        "overall": overall,
    }


def read(text, n=2, names=ALL, rubric=RUBRIC):
    return [each.ratings for each in read_judgment(text, rubric, names, n)]


TWO = {"A": one(), "B": one("N/A", 5, 10)}
EXPECTED = [
    {"truthfulness": 4, "helpfulness": 3, "overall": 7.5},
    {"truthfulness": None, "helpfulness": 5, "overall": 10},
]
WHOLE = json.dumps(TWO)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        json.dumps(TWO, indent=4),
        f"Sure {{here}} it is, see [1]:\n\n{WHOLE}\n\nI hope {{that}} helps!",
        f"```json\n{WHOLE}\n```",
        f"{WHOLE}\n\n{WHOLE}",
        repr(TWO),
        repr(TWO).replace("}", ",}"),
        WHOLE.replace("}", ",}").replace('"N/A"', "null"),
        WHOLE.replace("It's so.", "It's\nso."),
        json.dumps({"answers": TWO}),
        json.dumps({"judgments": [{"answer": "B", **TWO["B"]}, {"answer": "A", **TWO["A"]}]}),
        json.dumps([{"id": "Answer A", **TWO["A"]}, {"id": "Answer B", **TWO["B"]}]),
        json.dumps({"Answer A": TWO["A"], "answer_b": TWO["B"]}),
        WHOLE.replace("7.5", '"7.5/10"').replace("10}", '"10 out of 10"}'),
        WHOLE.replace('"rating": 4', '"score": "4 (good)"').replace('"rating": 3', '"Rating": "**3**"'),
        WHOLE.replace("truthfulness", "Truthfulness").replace("helpfulness", "HELPFULNESS"),
        json.dumps({"B": {"truthfulness": "n/a", "helpfulness": 5, "critique": "", "overall": "Score: 10"},
                    "A": {"truthfulness": 4, "helpfulness": "3.0", "critique": "", "overall": 7.5}}),
        "## Answer A\nTruthfulness: 4\nHelpfulness rating: 3/5\nOverall score: 7.5\n\n**Answer B**\n"
        "- *Truthfulness*: N/A\n- Helpfulness = 5\n- Overall: 10/10",
    ],
)  # fmt: skip
def test_a_judgment_is_read_however_it_is_wrapped(text):
    assert read(text) == EXPECTED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no judgment"),
        ("I would rather not say.", "no judgment"),
        ("Both answers are good. 4 and 5.", "no judgment"),
        (json.dumps({"A": one()}), "wrong number of scores"),
        (json.dumps({**TWO, "C": one()}), "wrong number of scores"),
        (json.dumps({"A": one(), "C": one()}), "wrong number of scores"),
        (json.dumps([one(), one()]), "something else than answers"),
        (json.dumps({"A": one(helpfulness=6), "B": one()}), "out of range"),
        (json.dumps({"A": one(helpfulness=0), "B": one()}), "out of range"),
        (json.dumps({"A": one(overall=11), "B": one()}), "out of range"),
        (WHOLE.replace("7.5", "1e999"), "out of range"),
        (WHOLE.replace("7.5", "9" * 400), "out of range"),
        (WHOLE.replace("7.5", "NaN"), "out of range"),
        (json.dumps({"A": one(helpfulness=3.5), "B": one()}), "between those of the scale"),
        (json.dumps({"A": one(helpfulness="N/A"), "B": one()}), "not applicable"),
        (json.dumps({"A": one(helpfulness=None), "B": one()}), "not applicable"),
        (json.dumps({"A": one(helpfulness=True), "B": one()}), "no number"),
        (json.dumps({"A": one(helpfulness="four"), "B": one()}), "no number"),
        (json.dumps({"A": one(helpfulness="3-4"), "B": one()}), "no number"),
        (json.dumps({"A": one(helpfulness="4/10"), "B": one()}), "another scale"),
        (json.dumps({"A": one(helpfulness=[4]), "B": one()}), "no number"),
        (WHOLE.replace('"overall": 7.5', '"all": 7.5'), "a score is missing"),
        (WHOLE.replace('"rating": 3', '"grade": 3'), "a score is missing"),
        (WHOLE.replace('"B"', '"A"'), "a key twice"),
        (repr(TWO).replace("'B'", "'A'"), "a key twice"),
        (f"{WHOLE}\n{WHOLE.replace('7.5', '2')}", "judgments that differ"),
        (WHOLE[: len(WHOLE) // 2], "broken JSON"),
        (WHOLE[:-1], "broken JSON"),
        (WHOLE[:-9], "broken JSON"),
        (WHOLE[1:], "something else"),
        ("Answer A\nTruthfulness: 4\nHelpfulness: 3\nOverall: 7", "wrong number of scores"),
        ("Answer A\nTruthfulness: 4\nHelpfulness: 3\n\nAnswer B\nTruthfulness: 4\nOverall: 7", "a score is missing"),
        ("Answer A\nTruthfulness: 4\nTruthfulness: 5\nHelpfulness: 3\nOverall: 7\nAnswer B\nOverall: 3", "that differ"),
        ("{" * 3000, "broken JSON"),
        ("[" * 100_000, "no judgment"),
        ('{"A": ' * 3000, "broken JSON"),
        ("__import__('os').system('touch /tmp/evaluated')", "no judgment"),
        ("{'A': __import__('os').getcwd(), 'B': 1}", "broken JSON"),
    ],
)
def test_what_can_not_be_read_for_certain_is_a_fault(text, reason):
    with pytest.raises(Unreadable, match=reason):
        read(text)


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_no_beginning_of_a_judgment_is_one(cut):
    with pytest.raises(Unreadable):
        read(WHOLE[:cut])


def test_one_answer_and_one_aspect_may_be_short():
    names = ("helpfulness",)
    for text in ('{"A": 4}', '{"A": {"rating": 4}}', '{"helpfulness": 4}', '{"helpfulness": {"rating": "4"}}',
                 "Rating: 4", "Helpfulness: 4/5"):  # fmt: skip
        assert read(text, n=1, names=names) == [{"helpfulness": 4}]
    assert read('{"A": 4, "B": "2"}', names=names) == [{"helpfulness": 4}, {"helpfulness": 2}]


def test_an_answer_without_any_score_is_a_fault():
    both = replace(RUBRIC, aspects=dict.fromkeys(RUBRIC.aspects, RUBRIC.aspects["truthfulness"]))
    with pytest.raises(Unreadable, match="no score at all"):
        read('{"A": {"truthfulness": "N/A", "helpfulness": "N/A"}}', n=1, names=tuple(both.aspects), rubric=both)
    # one of several aspects, asked for by itself
    assert read('{"A": "N/A"}', n=1, names=("truthfulness",)) == [{"truthfulness": None}]


def test_a_score_that_is_missing_is_named_beside_what_is_there():
    text = json.dumps({"A": one(), "B": one()}).replace('"overall"', '"overall_score"')
    with pytest.raises(Unreadable, match=r"`overall` is missing; it has .*`overall_score`"):
        read(text)
    with pytest.raises(Unreadable, match=r"`helpfulness`: `rating` is missing; it has `rationale`, `grade`"):
        read(WHOLE.replace('"rating": 3', '"grade": 3'))


def test_half_numbers_where_the_scale_has_them():
    halves = Aspect(question="?", scale={1: "", 10: ""}, halves=True)
    assert read_rating("7.5", halves) == 7.5
    with pytest.raises(Unreadable, match="between"):
        read_rating(7.3, halves)


def test_the_shipped_rubric_asks_for_what_is_read():
    """The form shown to the judge, the schema sent to the server and the reader are about the same object."""
    jsonschema = pytest.importorskip("jsonschema")
    rubric = read_rubric(wording_file("zephyr", "rubric"))
    for names in (*rubric.groups(together=True), *rubric.groups(together=False)):
        example = {
            label: {
                **{name: {"rationale": "so", "rating": 4} for name in names if name != "overall"},
                **({"critique": "more"} if "overall" in names else {}),
                **({"overall": 6.5} if "overall" in names else {}),
            }
            for label in "ABCD"
        }
        jsonschema.validate(example, judgment_schema(rubric, names, 4))
        assert len(read_judgment(json.dumps(example), rubric, names, 4)) == 4
        example["A"][names[0]] = {"rationale": "", "rating": 11} if names[0] != "overall" else 11
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(example, judgment_schema(rubric, names, 4))
        asked = judge_messages(rubric, names, [{"role": "user", "content": "Q?"}], ["w", "x", "y", "z"])[-1]["content"]
        assert all(f"{name}: " in asked for name in names) and '"D": {' in asked and "{request}" not in asked


def test_the_judge_sees_the_conversation_and_what_is_known():
    rubric = read_rubric(wording_file("zephyr", "rubric"))
    prompt = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "{answers} and {form}"},
    ]
    asked = judge_messages(rubric, ("overall",), prompt, ["x {scales}"], known="right: 4")[-1]["content"]
    for part in ("Be brief.", "User: Hi", "Assistant: Hello", "{answers} and {form}", "x {scales}", "right: 4"):
        assert part in asked
