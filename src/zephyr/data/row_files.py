"""Files of rows that a stage writes: as drafts while it runs, under their names when it is done."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any


class RowFiles:
    """Open files of rows, `<name>.jsonl` of one directory; a kill leaves the finished files as they were."""

    def __init__(self, files: Mapping[str, IO[str]]) -> None:
        self._files = files
        self.counts = dict.fromkeys(files, 0)

    def write(self, name: str, row: dict[str, Any]) -> None:
        """Adds a row."""
        text = json.dumps(row, ensure_ascii=False)
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:  # half a surrogate pair, as models at times send
                text = json.dumps(row)
        self.write_line(name, text + "\n")

    def write_line(self, name: str, line: str) -> None:
        """Adds a row that is JSON already, with its line feed."""
        self._files[name].write(line)
        self.counts[name] += 1


@contextmanager
def row_files(run_dir: Path, *names: str) -> Iterator[RowFiles]:
    """Files that appear whole when the block ends without an error."""
    drafts = {name: run_dir / f".{name}.jsonl.draft" for name in names}
    with ExitStack() as stack:
        opened = {name: stack.enter_context(path.open("w", encoding="utf-8")) for name, path in drafts.items()}
        yield RowFiles(opened)
    for name, path in drafts.items():
        path.replace(run_dir / f"{name}.jsonl")
