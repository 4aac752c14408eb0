"""Wording that is sent to models, from YAML files: the toolkit's own, or a file that the recipe names."""

import hashlib
import re
from pathlib import Path
from typing import Any

from zephyr.errors import UserError

SHIPPED = Path(__file__).parent / "wording"
_PLACE = re.compile(r"\{([a-z_]+)\}")


def wording_file(name: str, kind: str) -> Path:
    """The file of a wording: `zephyr` is the one that comes with the toolkit, anything else is a path.

    Args:
        name: as the recipe says it.
        kind: `dialogues`, `principles` or `rubric`.
    """
    return SHIPPED / f"{kind}.yaml" if name == "zephyr" else Path(name)


def read_wording(form: type, file: Path) -> Any:
    """A YAML file as a value of the section `form` (a pydantic dataclass, or a mapping of them).

    Raises:
        UserError: the file is not YAML or not of that form; all its mistakes are named.
    """
    import yaml
    from pydantic import TypeAdapter, ValidationError

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        return TypeAdapter(form).validate_python(data)
    except yaml.YAMLError as error:
        raise UserError(f"{file}: is not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
        raise UserError(
            "\n".join([f"{file}: not of the form expected:", *lines, f"  Compare {SHIPPED / file.name}"])
        ) from None


def fill(template: str, **values: object) -> str:
    """The template with `{name}` replaced, in one pass: braces in the values stay as they are."""
    return _PLACE.sub(lambda found: str(values[found[1]]), template)


def check_places(template: str, *, needed: set[str], allowed: set[str], where: str) -> None:
    """UserError unless a template has all the places `needed` and none but these and those `allowed`."""
    places = set(_PLACE.findall(template))
    if needed - places:
        raise UserError(f"{where}: lacks {{{'}, {'.join(sorted(needed - places))}}}, which is to be filled in")
    if places - needed - allowed:
        unknown = ", ".join(f"{{{each}}}" for each in sorted(places - needed - allowed))
        known = ", ".join(f"{{{each}}}" for each in sorted(needed | allowed))
        raise UserError(f"{where}: nothing is known to put at {unknown}; known: {known}")


def identity(file: Path) -> dict[str, str]:
    """What a run's provenance says of a wording."""
    return {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
