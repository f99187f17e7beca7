"""What only the user knows of an experiment, in the terms of REMBI (Sarkans et al., Nature Methods 18, 1418, 2021)."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, field_validator

from locstream.settings import Settings
from locstream.stacks.experiment import Experiment, Experimenter, LightSource

ORCID = re.compile(r"(?:https://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")
LICENCE = re.compile(r"https?://\S+|[A-Za-z0-9][A-Za-z0-9.+-]*")


class Person(Settings):
    """Who took the data."""

    name: Annotated[str, Field(min_length=1)]
    """First and last name."""
    orcid: str = ""
    """ORCID iD, such as 0000-0002-1825-0097."""
    email: str = ""
    """Mail address."""
    affiliation: str = ""
    """Laboratory or institution."""

    @field_validator("orcid")
    @classmethod
    def _is_orcid(cls, orcid: str) -> str:
        found = ORCID.fullmatch(orcid)
        if orcid and (found is None or _check_digit(found[1]) != orcid[-1]):
            raise ValueError(f"{orcid!r} is not an ORCID iD; its last character is a check digit")
        return found[1] if found is not None else ""


class Sample(Settings):
    """What was looked at: REMBI's biosample and specimen."""

    organism: str = ""
    """Species, such as Homo sapiens."""
    entity: str = ""
    """Cell line, tissue or structure, such as U2OS, microtubules."""
    condition: str = ""
    """What was done to it: treatment, genotype, time point."""
    fixation: str = ""
    """Fixation and permeabilization."""
    buffer: str = ""
    """Imaging buffer, such as GLOX with 100 mM MEA, pH 8.0."""


class Labelling(Settings):
    """What shines."""

    target: str = ""
    """The labelled molecule, such as alpha-tubulin."""
    fluorophore: str = ""
    """Dye, protein or imager strand, such as Alexa Fluor 647."""
    method: str = ""
    """How the label is bound: antibodies, nanobody, tag, docking strand."""
    emission_nm: PositiveFloat | None = None
    """Middle of the emission filter, nm."""


class Objective(Settings):
    """The objective."""

    model: str = ""
    """Manufacturer and name."""
    magnification: PositiveFloat | None = None
    """Nominal magnification, such as 100."""
    numerical_aperture: Annotated[float, Field(gt=0, lt=2)] | None = None
    """Numerical aperture, such as 1.49."""
    immersion: Literal["", "Oil", "Water", "WaterDipping", "Air", "Multi", "Glycerol", "Other"] = ""
    """Oil, Water, WaterDipping, Air, Multi, Glycerol or Other."""


class Laser(Settings):
    """One laser."""

    wavelength_nm: PositiveFloat
    """Wavelength, nm."""
    power_mw: PositiveFloat | None = None
    """Power, mW."""
    use: Literal["excitation", "activation", "other"] = "excitation"
    """excitation, activation or other."""


class Metadata(Settings):
    """What only you know of the experiment, filed with the data; `--metadata FILE` adds to it. All may be empty."""

    title: str = ""
    """One line, such as Microtubules in U2OS cells."""
    description: str = ""
    """Free text: why, and what is to be seen."""
    study: str = ""
    """The study or project it belongs to."""
    modality: str = ""
    """Method, such as dSTORM, PALM, DNA-PAINT."""
    illumination: str = ""
    """Such as TIRF, HILO, widefield."""
    microscope: str = ""
    """Name of the microscope."""
    licence: str = ""
    """Terms of use: an SPDX identifier such as CC-BY-4.0, or the address of the text."""
    sample: Sample = Sample()
    """What was looked at."""
    labelling: Labelling = Labelling()
    """What shines."""
    objective: Objective = Objective()
    """The objective."""
    laser: tuple[Laser, ...] = ()
    """The lasers, one table each."""
    who: tuple[Person, ...] = ()
    """Who took the data, one table each."""

    @field_validator("licence")
    @classmethod
    def _is_licence(cls, licence: str) -> str:
        if licence and not LICENCE.fullmatch(licence):
            raise ValueError(f"{licence!r} is neither an SPDX identifier such as CC-BY-4.0 nor an address")
        return licence

    def pairs(self) -> dict[str, str]:
        """Return what is filled in, apart from title, description, licence and people, as text under plain names."""
        groups = {"": self, "Sample ": self.sample, "Label ": self.labelling, "Objective ": self.objective}
        apart = {"title", "description", "licence"}
        found = {}
        for group, settings in groups.items():
            for key in type(settings).model_fields:
                value = getattr(settings, key)
                if isinstance(value, str | float) and value != "" and not (settings is self and key in apart):
                    found[_words(group + key)] = f"{value:g}" if isinstance(value, float) else value
        for number, laser in enumerate(self.laser, 1):
            power = f", {laser.power_mw:g} mW" if laser.power_mw is not None else ""
            found[f"Laser {number}"] = f"{laser.wavelength_nm:g} nm{power}, {laser.use}"
        return found

    def experiment(self) -> Experiment:
        """Return what OME-XML has places for."""
        return Experiment(
            people=tuple(Experimenter(person.name, person.email, person.affiliation) for person in self.who),
            licence=self.licence,
            microscope=self.microscope,
            objective=self.objective.model,
            magnification=self.objective.magnification,
            numerical_aperture=self.objective.numerical_aperture,
            immersion=self.objective.immersion,
            lasers=tuple(LightSource(la.wavelength_nm, la.power_mw, la.use == "excitation") for la in self.laser),
            fluorophore=self.labelling.fluorophore,
            emission_nm=self.labelling.emission_nm,
        )


def _words(key: str) -> str:
    """Return a key as words, its unit in brackets."""
    words = re.sub(r"_(nm)$", r" (\1)", key).replace("_", " ")
    return words[0].upper() + words[1:]


def _check_digit(orcid: str) -> str:
    """Return the last character that an ORCID iD must have (ISO 7064, MOD 11-2)."""
    total = 0
    for digit in orcid.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    rest = (12 - total % 11) % 11
    return "X" if rest == 10 else str(rest)
