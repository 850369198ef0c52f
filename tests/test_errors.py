from freqquest.errors import UserError, render_parameters


def test_an_error_names_the_parameters_that_its_text_marks():
    error = UserError("`epochs=0` must be below `max_epochs`, and `epochs` an integer")
    assert error.fields == ("epochs", "max_epochs")


def test_marked_parameters_are_rendered_with_their_values():
    text = "`judge=/a b.keras` does not exist; pass `overwrite=True`, or `run_dir`"
    rendered = render_parameters(text, lambda name, value: f"<{name}|{value}>")
    assert rendered == "<judge|/a b.keras> does not exist; pass <overwrite|True>, or <run_dir|None>"
