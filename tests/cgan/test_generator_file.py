import dataclasses
import io
import json

import pytest
import torch
from safetensors.torch import save

from freqquest.cgan.generator_file import generator_bytes, read_generator
from freqquest.errors import UserError
from tests.cgan.conftest import BOTH_PRESETS, card, loud_weights, small


def with_card(content: bytes, change) -> bytes:
    """Return a generator file whose card's fields were changed."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    fields = json.loads(header["__metadata__"]["freqquest"])
    header["__metadata__"]["freqquest"] = json.dumps(change(fields))
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + content[8 + size :]


def as_version_2(fields):
    cgan_config = fields.pop("cgan_config")
    networks = {"networks": cgan_config.pop("architecture")} | cgan_config
    return fields | {"networks": networks, "version": 2}


@BOTH_PRESETS
def test_a_generator_is_read_as_it_was_written(preset):
    generator = read_generator(generator_bytes(loud_weights(preset), card(preset)))
    assert generator.card == card(preset)
    assert not generator.network.training
    for name, value in loud_weights(preset).items():
        assert torch.equal(value, generator.network.state_dict()[name])


def as_version_5(fields):
    del fields["cgan_config"]["overlapping"]
    return fields | {"version": 5}


def as_version_4(fields):
    del fields["gains_db"]
    return as_version_5(fields) | {"version": 4}


def as_version_3(fields):
    del fields["num_samples"], fields["scale"]["image_mels"]
    return as_version_4(fields) | {"version": 3}


@BOTH_PRESETS
@pytest.mark.parametrize("change", [as_version_5, as_version_4, as_version_3])
def test_files_of_versions_3_to_5_are_read(preset, change):
    weights = loud_weights(preset, overlapping=False)
    earlier = card(preset, overlapping=False)
    generator = read_generator(with_card(generator_bytes(weights, earlier), change))
    assert generator.card == earlier
    for name, value in weights.items():
        assert torch.equal(value, generator.network.state_dict()[name])


@BOTH_PRESETS
def test_a_file_of_version_2_is_read(preset):
    weights = loud_weights(preset, overlapping=False)
    renamed = {name.replace(".normalize.", ".normalise."): each for name, each in weights.items()}
    earlier = card(preset, overlapping=False)
    version_3 = with_card(generator_bytes(renamed, earlier), as_version_3)
    old = with_card(version_3, as_version_2)
    assert b"cgan_config" not in old
    generator = read_generator(old)
    assert generator.card == earlier
    for name, value in weights.items():
        assert torch.equal(value, generator.network.state_dict()[name])


def test_the_gain_of_a_class_amplifies_its_clips_alone():
    plain = card("default")
    louder = dataclasses.replace(plain, gains_db=[0.0, 6.0])
    noise, labels = torch.randn(2, 128), torch.tensor([0, 1])
    power, amplified = (
        torch.expm1(
            read_generator(generator_bytes(loud_weights("default"), each)).spectrograms(
                noise, labels
            )
        )
        for each in (plain, louder)
    )
    torch.testing.assert_close(amplified[0], power[0])
    torch.testing.assert_close(amplified[1], power[1] * 10**0.6)


@pytest.mark.parametrize("version", [1, 7])
def test_files_of_other_versions_are_refused_by_name(version):
    content = generator_bytes(loud_weights("default"), card("default"))
    other = with_card(content, lambda fields: fields | {"version": version})
    with pytest.raises(
        UserError,
        match=f"^g.safetensors has version {version}, but this freqquest reads 2 to 6: train",
    ):
        read_generator(other, "g.safetensors")


@pytest.mark.parametrize("damage", ["empty", "cut", "pickle", "other"])
def test_unreadable_content_is_refused_with_the_fix(damage):
    content = b""
    if damage == "cut":
        content = generator_bytes(loud_weights("default"), card("default"))[:-100]
    elif damage == "pickle":
        file = io.BytesIO()
        torch.save({"weights": torch.zeros(3)}, file)
        content = file.getvalue()
    elif damage == "other":
        content = save({"weights": torch.zeros(3)})
    fix = "give the generator.safetensors of a train_cgan run"
    with pytest.raises(
        UserError, match=f"^the generator is not a readable generator file.*: {fix}"
    ):
        read_generator(content)


def test_a_class_that_could_escape_the_output_folder_is_refused():
    good = card("default")
    object.__setattr__(good, "classes", ["../escaped", "siren"])
    content = generator_bytes(loud_weights("default"), good)
    with pytest.raises(UserError, match=r"class '../escaped' cannot be part of a file name"):
        read_generator(content)


def test_a_card_that_claims_a_huge_network_is_refused_before_it_takes_memory():
    huge = dataclasses.replace(card("default"), cgan_config=small("default", noise_dim=10**7))
    with pytest.raises(UserError, match="is not a readable generator file"):
        read_generator(generator_bytes(loud_weights("default"), huge))
