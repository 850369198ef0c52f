"""HTML pages that need no other file, from Jinja templates, with one style. No Ray."""

from importlib.resources import files

import jinja2

_SHARED = "freqquest.runs"
"""Package with the templates that others include."""


def render_page(package: str, template: str, **values: object) -> str:
    """Return a page with all values escaped.

    Args:
        package: Package that holds the template, such as `freqquest.runs`.
        template: File name of the template; it may include those of freqquest.runs, such as
            `page_style.html`.
        **values: Values by the names that the template has for them.
    """

    def source_of(name: str) -> str:
        return files(package if name == template else _SHARED).joinpath(name).read_text()

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**values)
