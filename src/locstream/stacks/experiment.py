"""Who took a stack, and with which optics: what OME-XML has places for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class LightSource(NamedTuple):
    """A laser.

    Parameters
    ----------
    wavelength_nm, power_mw
        Wavelength, nm; power, mW, None where not known.
    excites
        Whether the fluorophore is read out with it.
    """

    wavelength_nm: float
    power_mw: float | None = None
    excites: bool = True


class Experimenter(NamedTuple):
    """Who took the stack.

    Parameters
    ----------
    name, email, affiliation
        First and last name; "" where not known.
    """

    name: str
    email: str = ""
    affiliation: str = ""


@dataclass(frozen=True)
class Experiment:
    """What the user says of an experiment; "" and None where it is not known.

    Parameters
    ----------
    people
        Who took it.
    licence
        Terms of use.
    microscope, objective
        Names.
    magnification, numerical_aperture
        Of the objective.
    immersion
        As OME-XML names it: Oil, Water, WaterDipping, Air, Multi, Glycerol, Other.
    lasers
        The light.
    fluorophore
        What shines.
    emission_nm
        Middle of the emission filter, nm.
    """

    people: tuple[Experimenter, ...] = ()
    licence: str = ""
    microscope: str = ""
    objective: str = ""
    magnification: float | None = None
    numerical_aperture: float | None = None
    immersion: str = ""
    lasers: tuple[LightSource, ...] = ()
    fluorophore: str = ""
    emission_nm: float | None = None

    @property
    def has_objective(self) -> bool:
        """Whether anything is known of the objective."""
        return any((self.objective, self.magnification, self.numerical_aperture, self.immersion))

    @property
    def excitation(self) -> int | None:
        """Number of the first laser that excites, None where there is none."""
        return next((number for number, laser in enumerate(self.lasers) if laser.excites), None)
