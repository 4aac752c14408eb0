"""Words as texts are compared by them: without case, punctuation and apostrophes."""

import re

_WORD = re.compile(r"[^\W_]+")
_SINGLE = re.compile(r"([\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])")
"""Thai, Japanese, Chinese, Korean: scripts without spaces between words go by the character."""


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    lowered = text.casefold().replace("'", "")
    if not lowered.isascii():
        lowered = _SINGLE.sub(r" \1 ", lowered.replace("’", ""))
    return _WORD.findall(lowered)
