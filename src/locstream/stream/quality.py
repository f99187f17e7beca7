"""How well the fits describe what the camera sees: for whoever asks whether the numbers can be trusted."""

from __future__ import annotations

import msgspec


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """The fits of the latest molecules, compared with their data.

    Parameters
    ----------
    fits
        Molecules that `chi2` and `chi2_excess` are of.
    chi2
        Median chi-square per degree of freedom; 1 where the model is that of the image.
    chi2_excess
        Share of molecules above the 1 % point, which 0.01 of them exceed by chance.
    residual_spots
        Molecules that stand alone, in one frame of 32, that the next two are of.
    residuals
        Mean of (found − fitted) / √fitted around a molecule, row after row of a square, the molecule in the middle
        pixel; empty before there is one. Chance leaves ± 1 / √`residual_spots` in each.
    residual_rms
        What is more in it than chance explains, root mean square.
    width_first_nm, width_now_nm
        Median width of the molecules in the first and in the latest ten seconds with enough of them, nm (geometric
        mean of x and y); None before.
    z_first_nm, z_now_nm
        The same of the depth; None without depth.
    """

    fits: int = 0
    chi2: float = 0.0
    chi2_excess: float = 0.0
    residual_spots: int = 0
    residuals: tuple[float, ...] = ()
    residual_rms: float = 0.0
    width_first_nm: float | None = None
    width_now_nm: float | None = None
    z_first_nm: float | None = None
    z_now_nm: float | None = None

    @property
    def text(self) -> str:
        """The same in a line; empty before there is a fit."""
        if not self.fits:
            return ""
        parts = [f"chi-square {self.chi2:.2f}, {100 * self.chi2_excess:.1f} % above the 1 % point"]
        if self.residual_spots:
            parts.append(f"residuals {self.residual_rms:.2f} sigma rms")
        if self.width_first_nm is not None and self.width_now_nm is not None:
            parts.append(f"width {self.width_first_nm:.0f} → {self.width_now_nm:.0f} nm")
        if self.z_first_nm is not None and self.z_now_nm is not None:
            parts.append(f"depth {self.z_first_nm:+.0f} → {self.z_now_nm:+.0f} nm")
        return ", ".join(parts)
