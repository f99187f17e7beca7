"""Nothing in a configuration is ignored: every mistake is one sentence that names the key and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from locstream.errors import ConfigError
from locstreamd.service.config import CameraSettings, Config
from locstreamd.service.load_config import load_config
from locstreamd.service.show_config import show_config

CONFIG = Path(__file__).resolve().parents[2] / "config"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "instrument.toml"
    path.write_text(text)
    return path


def test_no_file_gives_the_defaults() -> None:
    loaded = load_config(None)
    assert loaded.config == Config()
    assert loaded.origins == {}


def test_the_file_wins_over_defaults_and_the_command_line_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[acquisition]\nname = "cell1"\n[fit]\nthreshold = 6.5\n')
    loaded = load_config(path, {"acquisition.name": "cell2", "workers.count": 3})
    assert loaded.config.acquisition.name == "cell2"
    assert loaded.config.fit.threshold == 6.5
    assert loaded.config.workers.count == 3
    assert loaded.origins == {
        "acquisition.name": "command line",
        "fit.threshold": str(path),
        "workers.count": "command line",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[acquisition]\nnmae = 'x'", r"acquisition\.nmae: there is no such setting; did you mean 'name'\?"),
        ("[fitt]\n", r"fitt: there is no such setting; did you mean 'fit'\?"),
        ("[[camera]]\noffset = 100", r"camera\.0\.offset: there is no such setting; did you mean 'offset_adu'\?"),
        ("[zzz]\n", r"zzz: there is no such setting; known here: acquisition, "),
        ("[fit]\nthreshold = -1", r"fit\.threshold = -1: input should be greater than"),
        ("[fit]\nthreshold = 'high'", r"fit\.threshold = 'high': input should be a valid number"),
        ("[fit]\nbox_px = 8", r"box_px = 8"),
        ("[acquisition]\nname = '../x'", r"acquisition\.name: '\.\./x' cannot begin a file name"),
        ("[stream]\nlisten = 'tcp://microscope:5577'", r"stream\.listen: 'tcp://microscope:5577' is not an address to"),
        ("[stream]\nkeys = true", r"stream: keys would be ignored: listen names no address"),
        ("[stream]\ncontrol_listen = 'tcp://*:5579'", r"stream: control_listen would be ignored"),
        (
            "[stream]\nlisten = 'tcp://127.0.0.1:5577'\ncontrol_listen = 'tcp://127.0.0.1:5579'",
            r"stream: control_listen would be open to every user of this computer: set keys = true",
        ),
        ("[stream]\nlisten = 'tcp://*:65534'", r"stream: tcp://\*:65534 leaves no room for 2 ports behind it"),
        (
            "[stream]\nlisten = 'tcp://*:5577'\ncontrol_listen = 'tcp://*:5578'",
            r"stream\.history_listen and stream\.control_listen \(tcp://\*:5578\) are the same port",
        ),
        (
            "[stream]\nlisten = 'tcp://*:5578'\n[workers]\nlisten = 'tcp://*:5580'",
            r"stream\.control_listen and workers\.listen \(tcp://\*:5580\) are the same port; each needs its own",
        ),
        ("[micromanager]\nconfig_file = 'a.cfg'\n[simulation]\n", r"one of them would be ignored"),
        ("[[camera]]\nquantum_efficiency = 1.5", r"camera\.0\.quantum_efficiency = 1\.5"),
        ("[results]\ncommit_hz = 0", r"results\.commit_hz = 0"),
        ("[bundle]\nalso = 'pyme'", r"bundle\.also = 'pyme': write a list, in brackets"),
        ("[camera]\noffset_adu = 100", r"camera: write \[\[camera\]\], in double brackets"),
        ("[workers]\nlocal = false", r"workers: local = false needs listen"),
        (
            "[workers]\nlocal = false\nlisten = 'tcp://*:5580'\ncount = 3",
            r"workers: count = 3 would be ignored: local = false starts none",
        ),
        ("[workers]\nlisten = 'tcp://node1:5580'", r"workers\.listen: 'tcp://node1:5580' is not an address to"),
        ("[stream]\nlisten = 'tcp://127.0.0.1:99999'", r"is not an address to listen on"),
        (
            "[[camera]]\ncalibration = 'a.h5'\ngain_e_per_adu = 1.0\nem_gain = 1.0",
            r"camera\.0: gain_e_per_adu and em_gain would be ignored: the calibration a\.h5 has its own",
        ),
        (
            "[[camera]]\nmode = 'fast'",
            r"camera\.0: mode chooses among stored calibrations, and no calibration is given",
        ),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_config(written(tmp_path, text))
    assert "instrument.toml" in str(caught.value)
    assert "nothing was started" in str(caught.value)


def test_several_mistakes_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, "[fit]\nthreshold = -1\nboxpx = 7\n"))
    assert "threshold" in str(caught.value)
    assert "'box_px'" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"[fit", "is not TOML"), (b"\xff\xfe", "is not TOML"), (None, "cannot be read")]
)
def test_what_is_no_toml_file_is_said(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        load_config(path)


def test_paths_count_from_the_configurations_own_folder(tmp_path: Path) -> None:
    path = written(tmp_path, "[[camera]]\noffset_adu = 'maps/offset.npy'\n[micromanager]\nconfig_file = 'scope.cfg'\n")
    config = load_config(path).config
    assert config.camera[0].offset_adu == tmp_path / "maps" / "offset.npy"
    assert config.micromanager is not None
    assert config.micromanager.config_file == tmp_path / "scope.cfg"


def test_a_stored_calibration_may_stand_beside_what_it_does_not_know(tmp_path: Path) -> None:
    text = "[[camera]]\ncalibration = 'maps'\nmode = 'fast'\nquantum_efficiency = 0.8\npixel_size_nm = 100\n"
    loaded = load_config(written(tmp_path, text))
    assert loaded.config.camera[0].calibration == tmp_path / "maps"
    again = load_config(written(tmp_path, show_config(loaded)))
    assert again.config == loaded.config


def test_what_is_shown_can_be_loaded_again_and_says_where_it_came_from(tmp_path: Path) -> None:
    path = written(tmp_path, "[fit]\nthreshold = 6.5\n[[camera]]\nname = 'Andor'\noffset_adu = 100\n[simulation]\n")
    loaded = load_config(path, {"acquisition.name": "cell2"})
    text = show_config(loaded)
    assert load_config(written(tmp_path, text)).config == loaded.config
    lines = {line.split(" = ")[0]: line for line in text.splitlines() if " = " in line and not line.startswith("#")}
    assert lines["threshold"].endswith(f"# {path}")
    assert lines["offset_adu"].endswith(f"# {path}")
    assert lines["box_px"].endswith("# default")
    assert "cell2" in lines["name"] or "command line" in text


def test_every_setting_is_explained() -> None:
    """Each has a sentence under it, and the shown configuration prints it."""

    def explained(model: type, place: str) -> None:
        for name, field in model.model_fields.items():
            assert field.description, f"{place}{name} is not explained"

    config = Config()
    for name in Config.model_fields:
        value = getattr(config, name)
        if hasattr(type(value), "model_fields"):
            explained(type(value), f"{name}.")
    explained(CameraSettings, "camera.")


def test_the_annotated_defaults_are_the_defaults() -> None:
    """config/defaults.toml is what `locstream config show` prints, so that it cannot go stale."""
    assert (CONFIG / "defaults.toml").read_text() == show_config(load_config(None))


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.toml")), ids=lambda p: p.name)
def test_every_example_is_valid(path: Path) -> None:
    load_config(path)


def test_a_value_where_a_table_should_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[acquisition\] must be a table"):
        load_config(written(tmp_path, "acquisition = 3"), {"acquisition.name": "x"})


def test_a_file_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbf[fit]\nthreshold = 7\n")
    assert load_config(path).config.fit.threshold == 7


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = "[acquisition]\nfolder = '~/data'\n[micromanager]\nconfig_file = '~/scope.cfg'\n"
    config = load_config(written(tmp_path, text)).config
    assert config.acquisition.folder == tmp_path / "home" / "data"
    assert config.micromanager is not None
    assert config.micromanager.config_file == tmp_path / "home" / "scope.cfg"


@pytest.mark.parametrize(
    ("stream", "guarded"),
    [
        ("", None),
        ("listen = 'tcp://127.0.0.1:5577'", None),
        ("listen = 'tcp://[::1]:5577'", None),
        ("listen = 'tcp://*:5577'", ("tcp://*:5577", "tcp://*:5578", "tcp://*:5579")),
        (
            "listen = 'tcp://127.0.0.1:5577'\nkeys = true",
            ("tcp://127.0.0.1:5577", "tcp://127.0.0.1:5578", "tcp://127.0.0.1:5579"),
        ),
        (
            "listen = 'tcp://10.0.0.2:5577'\nhistory_listen = 'tcp://10.0.0.2:80'",
            ("tcp://10.0.0.2:5577", "tcp://10.0.0.2:80", "tcp://10.0.0.2:5579"),
        ),
        (
            "listen = 'tcp://10.0.0.2:5577'\ncontrol_listen = 'tcp://127.0.0.1:5600'",
            ("tcp://10.0.0.2:5577", "tcp://10.0.0.2:5578", "tcp://127.0.0.1:5600"),
        ),
    ],
)
def test_off_loopback_keys_are_asked_for_and_the_ports_follow(
    tmp_path: Path, stream: str, guarded: tuple[str, ...] | None
) -> None:
    assert load_config(written(tmp_path, f"[stream]\n{stream}\n")).config.stream.guarded == guarded
