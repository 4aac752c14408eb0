"""The report as Markdown, from the same tables as the page."""

from zephyr.report.contents import Contents, Evaluation, Section, paper_context
from zephyr.report.samples import Sample, Samples, Turn
from zephyr.report.table import Table, as_markdown
from zephyr.report.wording import number


def markdown(report: Contents) -> str:
    """The whole report, without the pictures."""
    parts = [f"# {report.title}", *(f"> {note}" for note in report.notes)]
    for each in report.evaluations:
        parts += _evaluation(each)
    parts += _titled(report.overview, 2)
    for section in report.sections:
        parts += _section(section)
    for table in report.printed:
        parts += _titled(table, 2)
    return "\n\n".join(parts) + "\n"


def _titled(table: Table, level: int) -> list[str]:
    return [f"{'#' * level} {table.title}", as_markdown(table)]


def _evaluation(each: Evaluation) -> list[str]:
    parts = [f"## {each.heading}"]
    if each.sentences:
        parts.append("\n".join(f"- {sentence}" for sentence in each.sentences))
    if each.caution:
        parts.append(f"> {each.caution}")
    for table in (each.scores, each.comparisons, *each.wins, *each.breakdowns, each.against):
        parts += _titled(table, 3) if table else []
    if each.paper:
        context, caveats = paper_context(each.benchmark)
        parts += ["### Beside the paper", context, *map(as_markdown, each.paper)]
        parts.append("\n".join(f"- {caveat}" for caveat in caveats))
    return parts + (_samples(each.samples) if each.samples else [])


def _samples(samples: Samples) -> list[str]:
    return ["### Samples", samples.how, *(part for sample in samples.shown for part in _sample(sample))]


def _sample(sample: Sample) -> list[str]:
    title = f"#### {sample.id}: {number(sample.before)} → {number(sample.after)}"
    return [title, *map(exchange, sample.turns)]


def exchange(turn: Turn) -> str:
    """What was asked and every answer, word for word."""
    lines = [f"System: {turn.system}"] if turn.system else []
    lines.append(f"User: {turn.question}")
    lines += [f"{answer.model} ({number(answer.score)}): {answer.text}" for answer in turn.answers]
    return _verbatim("\n".join(lines))


def _verbatim(text: str) -> str:
    """A model's words, which may hold any mark-up, in a fence longer than any in them."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _section(section: Section) -> list[str]:
    parts = [f"## {section.run.name}", f"{section.what}."]
    parts += [section.state] if section.state else []
    parts += ["\n".join(f"- Warning: {warning}" for warning in section.warnings)] if section.warnings else []
    for table in (*section.tables, *section.details):
        parts += _titled(table, 3)
    return [*parts, "### Recipe", f"```yaml\n{section.run.shown_recipe.rstrip()}\n```"]
