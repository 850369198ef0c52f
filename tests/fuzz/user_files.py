"""Files of users: tables, forms and sounds."""

import io
from collections.abc import Callable
from pathlib import Path

from tests.audio.encode import sound
from tests.fuzz.targets import Target, save


def list_of_clips(folder: Path) -> Target:
    from tests.dataset.test_sources import find, make

    audio = make(folder / "audio", "a/x.wav", "b/y.flac", "z.wav", "w.wav")
    csv = folder / "clips.csv"
    return Target(
        content="path,label,recording,fold,split\n"
        'a/x.wav,"dog, barking",r1,1,train\nb/y.flac,café,,2,val\n'
        "z.wav,café;b,r3,,\nw.wav,,,,test\n".encode(),
        read=lambda content: find(audio, metadata=str(save(csv, content))),
    )


def annotations_csv(folder: Path) -> Target:
    return _annotations(
        folder,
        "sounds.csv",
        b"path;start_s;end_s;label;fold\na/x.wav;0,5;1;dog;1\nb/y.flac;1e1;12;cat;2\n",
    )


def audacity_labels(folder: Path) -> Target:
    return _annotations(folder, "x.txt", b"0.500000\t1.000000\tdog\n\\\t100.0\t900.0\n2\t3\tcat\n")


def raven_selections(folder: Path) -> Target:
    return _annotations(
        folder,
        "x.Table.1.selections.txt",
        b"Selection\tView\tBegin Time (s)\tEnd Time (s)\tFile Offset (s)\tBegin Path\tSpecies\n"
        b"1\tWaveform 1\t0.5\t1.5\t0.5\tC:\\a\\x.wav\tdog\n"
        b"1\tSpectrogram 1\t0.5\t1.5\t0.5\tC:\\a\\x.wav\tdog\n"
        b"2\tWaveform 1\t2.5\t3.5\t2.5\tx.wav\tcat\n",
    )


def _annotations(folder: Path, name: str, content: bytes) -> Target:
    from tests.dataset.test_sources import find, make

    audio = make(folder / "audio", "a/x.wav", "b/y.flac")
    file = folder / name
    return Target(
        content=content, read=lambda content: find(audio, annotations=str(save(file, content)))
    )


def form(folder: Path) -> Target:
    from freqquest.serving.errors import RequestError
    from freqquest.serving.uploads import file_of_form
    from tests.serving.test_uploads import FILE, FORM, TEXT, form

    return Target(
        content=form((TEXT, b"x"), (FILE, bytes(range(256)))),
        read=lambda content: file_of_form(content, FORM),
        refusals=(RequestError,),
    )


def form_type(folder: Path) -> Target:
    from freqquest.serving.errors import RequestError
    from freqquest.serving.uploads import file_of_form
    from tests.serving.test_uploads import FILE, FORM, form

    return Target(
        content=FORM.encode(),
        read=lambda content: file_of_form(form((FILE, b"x")), content.decode("latin-1")),
        refusals=(RequestError,),
    )


def _audio(content: bytes) -> Target:
    from freqquest.audio.clip import ClipConfig
    from freqquest.audio.decode import UnreadableClipError, duration_s, levels, load_clips

    config = ClipConfig(sample_rate_hz=8_000, duration_s=0.1)

    def read(content: bytes) -> None:
        refused = None
        for use in (
            lambda stream: load_clips(stream, config, [(0.0, None), (0.15, 0.2)]),
            duration_s,
            lambda stream: levels(stream, 0.1),
        ):
            try:
                use(io.BytesIO(content))
            except UnreadableClipError as error:
                refused = error
        if refused:
            raise refused

    return Target(content=content, read=read, refusals=(UnreadableClipError,))


def _by_libsndfile(file_format: str, subtype: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, sound(8_000, 0.4), 8_000, format=file_format, subtype=subtype)
        return _audio(buffer.getvalue())

    return make


def _by_ffmpeg(name: str) -> Callable[[Path], Target]:
    def make(folder: Path) -> Target:
        from tests.audio.encode import FORMATS, encode

        return _audio(encode(name, sound(FORMATS[name][2], 0.4)))

    return make


USER_FILES: dict[str, Callable[[Path], Target]] = {
    make.__name__: make
    for make in (
        *(list_of_clips, annotations_csv, audacity_labels, raven_selections, form, form_type),
    )
}
USER_FILES |= {
    f"{kind} {subtype}": _by_libsndfile(kind, subtype)
    for kind, subtype in (
        *(("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16")),
        *(("AIFF", "PCM_16"), ("AU", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16")),
        *(("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
    )
}
USER_FILES |= {name: _by_ffmpeg(name) for name in ("m4a", "webm", "wma", "aac", "amr", "avi")}
