"""HTML pages that need no other file, from Jinja templates, with one style. No Ray."""

from importlib.resources import files

import jinja2

_STYLE = "page_style.html"


def render_page(package: str, template: str, **values: object) -> str:
    """Return a page with all values escaped.

    Args:
        package: Package that holds the template, such as `freqquest.runs`.
        template: File name of the template; it may include `page_style.html`.
        **values: Values by the names that the template has for them.
    """
    sources = {
        template: files(package).joinpath(template).read_text(),
        _STYLE: files("freqquest.runs").joinpath(_STYLE).read_text(),
    }
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**values)
