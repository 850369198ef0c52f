"""The average of several networks as one model, opened up for its features, and divided in two.

Keras is imported inside the functions; no Ray.
Shapes: N clips, M mel bands, T frames, K classes, L logits, D values of a vector or features.
"""

from typing import TYPE_CHECKING

from freqquest.cnn.network import SMALLEST_PROBABILITY, Temperature, input_name

if TYPE_CHECKING:
    import keras


def average(
    members: list["keras.Model"], temperature: Temperature, *, several_labels: bool = False
) -> "keras.Model":
    """Build one model whose probabilities are the calibrated geometric mean of its members'.

    Members that take vectors (heads) count together as much as those that take spectrograms.

    Args:
        members: Networks with the same classes.
        temperature: Divisor of the log probabilities (Guo et al., 2017, "On Calibration of Modern
            Neural Networks"); of several labels, the divisor of each class's logits.
        several_labels: Average logits of each class by itself: the members end with sigmoids.

    Returns:
        Model from the input of its members, spectrograms `[N, M, T, 1]` or vectors `[N, D]`; from a
        dictionary with `spectrogram` and `vector` if members take both.
    """
    from freqquest.cnn.frameworks import keras

    for number, member in enumerate(members):
        member.name = f"member_{number}"  # networks loaded from files share one name
    inputs = _inputs_of(members)
    probabilities = [member(inputs[_input_name(member)]) for member in members]
    mean = _geometric_mean(members, probabilities, temperature, several_labels)
    return keras.Model(_single_or_all(inputs), mean)


def with_features(
    model: "keras.Model", temperature: Temperature, *, several_labels: bool = False
) -> "keras.Model":
    """Build a model that also returns the features behind an averaged model's probabilities.

    Args:
        model: Model made by `average`, possibly loaded from a file.
        temperature: The temperature that it was made with.
        several_labels: Whether it was made for several labels.

    Returns:
        Model from the same inputs to the same probabilities `[N, K]` and features `[N, D]`: the
        inputs of the last dense layer, of each member on spectrograms and each of its
        normalizations; if there is none, the vectors.
    """
    from freqquest.cnn.frameworks import keras

    members = members_of(model)
    inputs = _inputs_of(members)
    probabilities, vectors = [], []
    for member in members:
        name = _input_name(member)
        last = [layer.input for layer in output_layers(member)]
        probability, *features = keras.Model(member.input, [member.output, *last])(inputs[name])
        probabilities.append(probability)
        if name == next(iter(inputs)):
            vectors += features
    joined = keras.ops.concatenate(vectors, axis=-1) if len(vectors) > 1 else vectors[0]
    mean = _geometric_mean(members, probabilities, temperature, several_labels)
    return keras.Model(_single_or_all(inputs), [mean, joined])


def split_at_logits(
    model: "keras.Model", temperature: Temperature, *, several_labels: bool = False
) -> tuple["keras.Model", "keras.Model"]:
    """Divide an averaged model into two, the second of which takes the output of the first.

    Args:
        model: Model made by `average`, possibly loaded from a file.
        temperature: The temperature that it was made with.
        several_labels: Whether it was made for several labels.

    Returns:
        Model from the same inputs to the logits of all members `[N, L]`, and model from these
        logits to the probabilities `[N, K]`.
    """
    from freqquest.cnn.frameworks import keras

    members = members_of(model)
    inputs = _inputs_of(members)
    logits = [
        keras.Model(each.input, each.layers[-1].input)(inputs[_input_name(each)])
        for each in members
    ]
    joined = keras.ops.concatenate(logits, axis=-1) if len(logits) > 1 else logits[0]
    of_members = keras.Input(joined.shape[1:], name="logits")
    divided = keras.ops.split(of_members, len(members), axis=-1)
    probabilities = [each.layers[-1](part) for each, part in zip(members, divided, strict=True)]
    mean = _geometric_mean(members, probabilities, temperature, several_labels)
    return (
        keras.Model(_single_or_all(inputs), {"logits": joined}),
        keras.Model(of_members, {"probabilities": mean}),
    )


def members_of(model: "keras.Model") -> list["keras.Model"]:
    """Return the networks that an averaged model is made of."""
    from freqquest.cnn.frameworks import keras

    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


def output_layers(network: "keras.Model") -> list["keras.layers.Dense"]:
    """Return the layers of a network that have an output for each class, one per normalization."""
    from freqquest.cnn.frameworks import keras

    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    # Hidden dense layers have a ReLU, the last ones do not.
    return [layer for layer in dense if layer.activation is not keras.activations.relu]


def _input_name(member: "keras.Model") -> str:
    return input_name(member.input_shape)


def _inputs_of(members: list["keras.Model"]) -> dict[str, "keras.KerasTensor"]:
    """Return new inputs for the members by name, `spectrogram` before `vector`."""
    from freqquest.cnn.frameworks import keras

    shapes = {_input_name(member): member.input_shape[1:] for member in members}
    return {name: keras.Input(shape, name=name) for name, shape in sorted(shapes.items())}


def _single_or_all(
    inputs: dict[str, "keras.KerasTensor"],
) -> "keras.KerasTensor | dict[str, keras.KerasTensor]":
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))


def _geometric_mean(
    members: list["keras.Model"],
    probabilities: list["keras.KerasTensor"],
    temperature: Temperature,
    several_labels: bool,
) -> "keras.KerasTensor":
    """Average the log probabilities of several networks `[N, K]`, divided by the temperature.

    Of several labels, average the logits, log p - log(1 - p). Members with the same input are
    averaged first.
    """
    from keras import layers, ops

    logs = [ops.log(probability + SMALLEST_PROBABILITY) for probability in probabilities]
    if several_labels:
        others = [ops.log(1 - probability + SMALLEST_PROBABILITY) for probability in probabilities]
        logs = [log - other for log, other in zip(logs, others, strict=True)]
    by_input: dict[str, list[keras.KerasTensor]] = {}
    for member, log in zip(members, logs, strict=True):
        by_input.setdefault(_input_name(member), []).append(log)
    mean = _mean([_mean(group) for group in by_input.values()])
    scale = [1 / each for each in temperature] if isinstance(temperature, list) else 1 / temperature
    last = layers.Activation("sigmoid") if several_labels else layers.Softmax()
    return last(layers.Rescaling(scale)(mean))


def _mean(tensors: list["keras.KerasTensor"]) -> "keras.KerasTensor":
    from keras import layers

    return layers.Average()(tensors) if len(tensors) > 1 else tensors[0]
