from zephyr.report.read import read_run
from zephyr.report.samples import pick


def test_samples_rose_fell_and_stayed_the_same_and_say_how_they_were_picked(runs):
    run = read_run(runs["evaluate"])
    samples = pick(run, "world")
    assert (samples.a, samples.b) == ("dSFT", "dDPO + dSFT")
    changes = [sample.change for sample in samples.shown]
    assert changes == ["rose"] * 3 + ["fell"] * 3 + ["same"] * 3
    scores = {(row["model"], row["id"]): row["score"] for row in run.answers}
    changed = [scores["dDPO + dSFT", id] - scores["dSFT", id] for model, id in scores if model == "base"]
    rose, fell, same = sum(d > 0 for d in changed), sum(d < 0 for d in changed), sum(d == 0 for d in changed)
    assert f"of 40 dialogues {rose} scored higher, {fell} lower and {same} the same" in samples.how


def test_every_turn_has_the_question_and_every_model(runs):
    sample = pick(read_run(runs["evaluate"]), "world").shown[0]
    assert [turn.question.startswith("Where does Ana live?") for turn in sample.turns] == [True, False]
    assert [answer.model for answer in sample.turns[1].answers] == ["base", "dSFT", "dDPO + dSFT"]
    own = [turn.answers[2].score for turn in sample.turns]
    assert sum(own) / 2 == sample.after


def test_the_order_of_the_answers_makes_no_difference(runs):
    run = read_run(runs["evaluate"])
    answers = runs["evaluate"] / "answers.jsonl"
    answers.write_text("\n".join(reversed(answers.read_text().splitlines())) + "\n")
    assert pick(read_run(runs["evaluate"]), "world") == pick(run, "world")


def test_unscored_answers_are_no_samples_and_no_answers_no_section(runs):
    answers = runs["evaluate"] / "answers.jsonl"
    answers.write_text(answers.read_text().replace('"score": ', '"score": null, "was": '))
    assert pick(read_run(runs["evaluate"]), "world") is None
    answers.unlink()
    assert pick(read_run(runs["evaluate"]), "world") is None
