"""A background that needs the frames to come is refused where they come one by one, before anything is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from locstream.cli import main


def test_a_median_over_time_is_refused_live(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack, config, folder = tmp_path / "dark.npy", tmp_path / "config.toml", tmp_path / "results"
    np.save(stack, np.full((30, 32, 32), 100, np.uint16))
    config.write_text(f'[acquisition]\nfolder = "{folder}"\n[fit]\nbackground = "temporal_median"\n')
    assert main(["replay", str(stack), "--config", str(config), "--pixel-size-nm", "100"]) != 0
    said = capsys.readouterr().err
    assert 'fit.background = "temporal_median" would be ignored' in said
    assert "`locstream fit`" in said
    assert not folder.exists()
