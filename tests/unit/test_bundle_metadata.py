"""What the user says of an experiment is checked, and reaches configuration, OME-XML and results."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import ome_types
import pytest
import tifffile
from pydantic import ValidationError

from finished_run import METADATA, finished
from locstream.bundle.metadata import Metadata, Person
from locstream.bundle.metadata_form import command, form, read_metadata
from locstream.errors import ConfigError
from locstreamd.service import commands
from locstreamd.service.load_config import load_config
from locstreamd.service.show_config import show_config


def test_an_empty_form_is_a_valid_one() -> None:
    assert Metadata.model_validate(tomllib.loads(form())) == Metadata()
    assert Metadata().pairs() == {}


def test_a_form_that_is_filled_in_by_removing_marks_is_a_valid_one() -> None:
    text = form()
    for key in ("wavelength_nm", "power_mw", "emission_nm", "magnification"):
        text = text.replace(f"# {key} =", f"{key} = 100")
    text = re.sub(r"# (\[\[\w+\]\])", r"\1", text).replace("# numerical_aperture =", "numerical_aperture = 1.4")
    found = Metadata.model_validate(tomllib.loads(text.replace("# name =", 'name = "A B"')))
    assert found.laser[0].power_mw == 100
    assert found.who[0].name == "A B"
    assert found.objective.numerical_aperture == 1.4


def test_every_key_is_in_the_form() -> None:
    text = form()
    for table in (
        Metadata,
        *(type(getattr(Metadata(), name)) for name in ("sample", "labelling", "objective")),
        Person,
    ):
        for key, field in table.model_fields.items():
            assert re.search(rf"^(# )?(\[\[?)?{key}\b", text, re.MULTILINE), key
            assert field.description


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sample]\norganisn = 'x'", r"sample\.organisn: there is no such setting; did you mean 'organism'\?"),
        ("licence = 'all rights'", "neither an SPDX identifier"),
        ("[objective]\nnumerical_aperture = 149", "numerical_aperture"),
        ("[[who]]\nname = 'A'\norcid = '0000-0002-1825-0098'", "check digit"),
        ("[[laser]]\npower_mw = 3", r"laser\.0\.wavelength_nm"),
        ("title = ", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "form.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_metadata(path)


def test_a_form_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_metadata(tmp_path / "none.toml")


@pytest.mark.parametrize("orcid", ["0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X"])
def test_an_orcid_is_kept_without_its_address(orcid: str) -> None:
    assert Person(name="A", orcid=orcid).orcid == orcid[-19:]


def test_an_orcid_with_one_wrong_digit_is_refused() -> None:
    good = "0000-0002-1825-0097"
    for place in (i for i, c in enumerate(good) if c != "-"):
        wrong = f"{good[:place]}{(int(good[place]) + 1) % 10}{good[place + 1 :]}"
        with pytest.raises(ValidationError):
            Person(name="A", orcid=wrong)


def test_the_form_is_printed_and_a_filled_one_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([]) == 0
    assert capsys.readouterr().out == form()
    (tmp_path / "a.toml").write_text("modality = 'PALM'\n[labelling]\nemission_nm = 580\n")
    assert command([str(tmp_path / "a.toml")]) == 0
    assert capsys.readouterr().out == "Modality: PALM\nLabel emission (nm): 580\n"


def test_a_run_takes_the_form_over_what_stands_for_its_instrument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    monkeypatch.setattr(commands, "run_plan", lambda plan: taken.append(plan) or 0)
    instrument = tmp_path / "i.toml"
    instrument.write_text("[simulation]\n[metadata]\nmicroscope = 'Ti2'\n[metadata.sample]\nbuffer = 'GLOX'\n")
    told = tmp_path / "s.toml"
    told.write_text(form().replace('organism = ""', 'organism = "Mus musculus"'))
    assert commands.run([str(instrument), "--metadata", str(told)]) == 0
    found = taken[0].config.metadata
    taken[0].source.close()
    assert (found.microscope, found.sample.buffer, found.sample.organism) == ("Ti2", "GLOX", "Mus musculus")


def test_the_configuration_in_effect_can_be_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "i.toml").write_text(
        "[simulation]\nseed = 3\n[[camera]]\ngain_e_per_adu = 0.5\n[bundle]\nalso = ['pyme']\n"
    )
    loaded = load_config(tmp_path / "i.toml")
    files = finished(tmp_path / "run", **loaded.config.model_dump(mode="json", exclude={"render"}))
    assert load_config(files.config).config.model_copy(update={"render": loaded.config.render}) == loaded.config
    assert "[bundle]" in show_config(loaded)


def test_ome_xml_carries_what_it_has_places_for(tmp_path: Path) -> None:
    files = finished(tmp_path, metadata=METADATA)
    with tifffile.TiffFile(files.stack) as stack:
        text = stack.ome_metadata
        assert stack.series[0].shape[0] == 30
    assert text is not None
    ome_types.validate_xml(text)
    ome = ome_types.from_xml(text)
    image, instrument = ome.images[0], ome.instruments[0]
    assert ome.rights is not None
    assert ome.rights.rights_held == "CC-BY-4.0"
    assert (ome.experimenters[0].first_name, ome.experimenters[0].last_name) == ("Ada King", "Lovelace")
    assert image.experimenter_ref is not None
    assert image.description == "Pores\nNuclear pores, µm scale"
    objective = instrument.objectives[0]
    assert (objective.lens_na, objective.nominal_magnification) == (1.49, 100)
    assert image.objective_settings is not None
    assert [laser.wavelength for laser in instrument.lasers] == [405, 640]
    assert instrument.lasers[0].power == 1.5
    channel = image.pixels.channels[0]
    assert (channel.fluor, channel.excitation_wavelength, channel.emission_wavelength) == ("Alexa Fluor 647", 640, 670)
    assert channel.light_source_settings is not None
    assert channel.light_source_settings.id == instrument.lasers[1].id
    pairs = {m.k: m.value for m in ome.structured_annotations.map_annotations[0].value.ms}
    assert pairs["Sample buffer"] == "GLOX, 100 mM MEA"


def test_the_form_is_in_the_results_as_well(tmp_path: Path) -> None:
    files = finished(tmp_path, metadata=METADATA)
    kept = tomllib.loads(files.config.read_text())["metadata"]
    assert kept == json.loads(json.dumps(METADATA))
