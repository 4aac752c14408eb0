"""Pages from templates that lie beside their modules, all with the same tables, pictures and style."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from zephyr.report.wording import number


def template(package: str, name: str) -> Template:
    """A page's template in a package, which may use parts.html.jinja and style.css."""
    places = [PackageLoader(each, package_path="") for each in dict.fromkeys([package, "zephyr.report"])]
    environment = Environment(
        loader=ChoiceLoader(places), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.filters["score"] = number
    return environment.get_template(name)
