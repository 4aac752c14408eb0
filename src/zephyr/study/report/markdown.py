"""A study's report as Markdown, from the same tables as the page."""

from zephyr.report.markdown import exchange
from zephyr.report.table import Table, as_markdown
from zephyr.study.report.beside import beside_the_paper
from zephyr.study.report.contents import Report, Sample
from zephyr.study.report.table import main_table


def markdown(report: Report) -> str:
    """The whole report, without the pictures."""
    parts = [f"# {report.title}", *(_quoted(note) for note in report.notes)]
    parts.append(as_markdown(main_table(report.tabled, between=" ")))
    parts += [_listed(report.brief)] if report.brief else []
    for title, said in report.sentences.items():
        parts += [f"## {title} in words", _listed(said)]
    if report.warned:
        parts += ["## Warnings of its runs", _listed(tuple(f"{each.whom}: {each.text}" for each in report.warned))]
    parts += [f"> {caution}" for caution in report.cautions]
    parts += [report.saving] if report.saving else []
    parts += _titled(report.rows)
    parts += _beside(report)
    for table in report.categories:
        parts += _titled(table)
    if report.samples:
        parts += ["## Samples", report.samples.how, *(part for each in report.samples.shown for part in _sample(each))]
    made = [" ".join(report.made)] if report.made else []
    return "\n\n".join([*parts, *_titled(report.runs), *made]) + "\n"


def _quoted(note: str) -> str:
    return "\n".join(f"> {line}  " for line in note.splitlines())


def _listed(said: tuple[str, ...]) -> str:
    return "\n".join(f"- {sentence}" for sentence in said)


def _titled(table: Table) -> list[str]:
    return [f"## {table.title}", as_markdown(table)]


def _beside(report: Report) -> list[str]:
    flat = beside_the_paper(report.tabled, between=" ")
    if flat is None:
        return []
    shape = [_listed(flat.shape)] if flat.shape else []
    return ["## Beside the paper", flat.context, *shape, as_markdown(flat.table), _listed(flat.caveats)]


def _sample(sample: Sample) -> list[str]:
    return [f"### {sample.category or sample.benchmark}: {sample.id}", *map(exchange, sample.turns)]
