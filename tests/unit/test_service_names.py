"""What a run is called: by a template, of what is known."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstream.bundle.metadata import Metadata, Sample
from locstream.errors import ConfigError
from locstreamd.service.load_config import load_config
from locstreamd.service.names import (
    NAME,
    PLACES,
    check_name,
    folder_of_runs,
    name_of_run,
    new_run,
    tells_runs_apart,
)

WHEN = datetime(2026, 3, 9, 14, 5, 6).astimezone()
ID = "5f1c0ade00000000"
TOLD = Metadata(
    microscope="Nikon Ti2, room 3", study="pores/2026", sample=Sample(entity="U2OS", organism="Homo sapiens")
)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("cell4", "cell4"),
        ("{date}-{time}_{instrument}_{sample}", "20260309-140506_Nikon-Ti2-room-3_U2OS"),
        ("{study}_{id}", "pores-2026_5f1c0ade"),
        ("{sample}{sample}", "U2OSU2OS"),
    ],
)
def test_what_is_known_is_filled_in(template: str, name: str) -> None:
    assert name_of_run(check_name(template), WHEN, "Andor", TOLD, ID) == name


def test_what_is_not_known_leaves_no_gap() -> None:
    name = name_of_run("{date}_{sample}_{instrument}-{study}", WHEN, "Andor Zyla 4.2+", Metadata(), ID)
    assert name == "20260309_Andor-Zyla-4.2+"
    assert name_of_run("{sample}", WHEN, "", Metadata(), ID) == "5f1c0ade", "never without a name"


@given(
    st.lists(st.sampled_from([f"{{{place}}}" for place in PLACES] + list("ab1._-+")), min_size=1, max_size=12),
    st.text(max_size=60),
    st.text(max_size=60),
)
def test_whatever_people_write_a_file_can_be_called_that(parts: list[str], sample: str, camera: str) -> None:
    template = "x" + "".join(parts)
    made = name_of_run(check_name(template), WHEN, camera, Metadata(study=sample, sample=Sample(entity=sample)), ID)
    assert NAME.fullmatch(made)


@pytest.mark.parametrize("template", ["{uuid}", "{date.year}", "{", "a/b", "", "{0}", "{}", "{date!r}", "../{date}"])
def test_a_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"none of the places|cannot begin"):
        check_name(template)
    with pytest.raises(ConfigError, match=re.escape("acquisition.name")):
        load_config(None, {"acquisition.name": template})


def test_a_folder_may_have_the_name_in_it() -> None:
    run = new_run(Path("data/{name}/raw"), "{date}_{id}", "c", Metadata())
    assert run.files.folder == Path("data") / run.files.name / "raw"
    assert run.files.name.endswith(run.acquisition_id[:8])
    assert new_run(Path("data"), "a", "c", Metadata()).files.folder == Path("data")
    assert folder_of_runs(Path("data/{name}/raw")) == Path("data")
    assert folder_of_runs(Path("/data/runs")) == Path("/data/runs")


def test_two_runs_are_told_apart_by_time_or_identifier() -> None:
    assert tells_runs_apart("{date}-{time}")
    assert tells_runs_apart("{id}")
    assert not tells_runs_apart("{date}_{sample}")
    first, second = (new_run(Path(), "{id}", "c", Metadata()) for _ in range(2))
    assert first.files.name != second.files.name
