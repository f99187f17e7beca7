"""Each check of the doctor, where all is well and where it is not, with facts that are made up."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from locstream.errors import LocstreamError
from locstream.fitting import gaussian, vectors
from locstream.fitting.gaussian import LANES
from locstream.omero import client_library
from locstream.stacks.source import SourceInfo
from locstream.stream.runtime import Connection, publish_connection
from locstreamd.addresses import Address
from locstreamd.service.checks import clock, disk, extras, interpreter, memory
from locstreamd.service.checks.camera import Demand
from locstreamd.service.checks.clock import KernelClock, check_clock, kernel_clock
from locstreamd.service.checks.disk import check_folder, check_room, check_speed, existing, judge_speed, write_trial
from locstreamd.service.checks.extras import check_metrics, check_omero, check_viewer
from locstreamd.service.checks.finding import Finding, Level, problem, refused, warning
from locstreamd.service.checks.interpreter import check_kernel_cache, check_kernels, check_numba, check_python
from locstreamd.service.checks.memory import bounds_mb, check_memory
from locstreamd.service.checks.sockets import check_port, check_ports, check_sockets
from locstreamd.service.config import Config, ResultsSettings, WorkerSettings

MB = 1_000_000
DEMAND = Demand(512, 512, 100.0)
NEED_BYTES = 2 * 512 * 512 * 100


def told(finding: Finding, level: Level, *parts: str) -> None:
    """See that a finding has the level, and its sentences the parts."""
    assert finding.level is level, finding
    for part in parts:
        assert part in f"{finding.found} | {finding.todo}"


# --- what a finding is


@pytest.mark.parametrize("make", [warning, problem])
def test_what_is_not_ok_says_what_to_do(make: Callable[..., Finding]) -> None:
    with pytest.raises(ValueError, match="must say what to do"):
        make("disk", "slow", "")


def test_an_error_becomes_a_finding_in_its_own_words() -> None:
    error = LocstreamError("the disk is full", safe="nothing was started", todo="make room")
    assert refused("disk", error) == problem("disk", "the disk is full", "make room")
    assert refused("disk", error, Level.WARNING).level is Level.WARNING
    assert refused("disk", LocstreamError("no")).todo


# --- Python and numba


def test_this_python_will_do() -> None:
    told(check_python(), Level.OK, f"{sys.version_info.major}.{sys.version_info.minor}.", "64 bits")


def test_an_old_python_will_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 10, 4, "final", 0))
    told(check_python(), Level.PROBLEM, "3.10.4", "Python 3.11")


def test_nor_one_of_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter.struct, "calcsize", lambda kind: 4)
    told(check_python(), Level.PROBLEM, "32 bits", "64-bit")


def test_the_lanes_are_those_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "compiled_for", lambda: ("haswell", frozenset({"avx2", "fma"})))
    told(check_numba(), Level.OK, "haswell with AVX2, FMA", f"{LANES} spots side by side")


def test_a_processor_without_wide_vectors_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "compiled_for", lambda: ("x86-64", frozenset({"sse2"})))
    told(check_numba(), Level.WARNING, "no wide vectors", "AVX2")


def cache_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=str(folder)))
    monkeypatch.setattr(gaussian, "fit_boxes", kernel)


def test_a_cache_folder_is_made_and_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache_in(tmp_path / "numba" / "fitting", monkeypatch)
    told(check_kernel_cache(), Level.OK, str(tmp_path), "is writable")
    assert list((tmp_path / "numba" / "fitting").iterdir()) == []


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    cache_in(tmp_path / "file" / "fitting", monkeypatch)
    told(check_kernel_cache(), Level.PROBLEM, "cannot be written to", "NUMBA_CACHE_DIR")


def test_kernels_that_cannot_be_loaded_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unloadable:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "locstream.fitting.gaussian":
                raise RuntimeError("cannot cache function 'fit_boxes': no locator available")

    monkeypatch.delitem(sys.modules, "locstream.fitting.gaussian")
    monkeypatch.setattr(sys, "meta_path", [Unloadable(), *sys.meta_path])
    told(check_kernel_cache(), Level.PROBLEM, "no locator available", "NUMBA_CACHE_DIR")


def test_kernels_are_ready_and_said_to_be_compiled_only_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_in(tmp_path, monkeypatch)
    told(check_kernels(), Level.OK, "ready in", "all taken from the cache")
    monkeypatch.setattr("locstream.fitting.warmup", lambda: [(tmp_path / f"{i}.nbc").touch() for i in range(3)])
    told(check_kernels(), Level.OK, "3 of them compiled now")


def test_kernels_that_do_not_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("LLVM ERROR: cannot allocate executable memory")

    monkeypatch.setattr("locstream.fitting.warmup", fail)
    told(check_kernels(), Level.PROBLEM, "cannot allocate executable memory", "MemoryDenyWriteExecute")


# --- the disk


def test_the_folder_that_would_hold_it_is_found(tmp_path: Path) -> None:
    assert existing(tmp_path) == tmp_path
    assert existing(tmp_path / "a" / "b") == tmp_path
    assert existing(Path("a/b")) == Path.cwd()


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    told(check_folder(tmp_path), Level.OK, f"{tmp_path} can be written to")
    told(check_folder(tmp_path / "new" / "run"), Level.OK, f"{tmp_path}/new/run can be made")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_had(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told(check_folder(tmp_path / "file" / "run"), Level.PROBLEM, "cannot be made", "acquisition.folder")


def free(monkeypatch: pytest.MonkeyPatch, mb: float) -> None:
    monkeypatch.setattr(disk.DiskGuard, "free_mb", property(lambda self: mb))


def test_room_is_told_in_minutes_of_this_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100_000.0)
    info = SourceInfo(camera="c", width=512, height=512, frames=1000, exposure_ms=10.0)
    minutes = (100_000 - 500) * MB / ((2 * 512 * 512 + disk.RESULTS_BYTES_A_FRAME) * 100 * 60)
    told(check_room(tmp_path, 500, info, recorded=True), Level.OK, "100.0 GB free", f"{minutes:.0f} min of 512 × 512")
    more = (100_000 - 500) * MB / (disk.RESULTS_BYTES_A_FRAME * 100 * 60)
    told(check_room(tmp_path, 500, info, recorded=False), Level.OK, f"{more:.0f} min of 512 × 512")
    assert minutes < more


def test_room_without_a_camera_is_told_in_gb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 100_000.0)
    finding = check_room(tmp_path, 500, None, recorded=True)
    told(finding, Level.OK, "100.0 GB free, 0.5 of them in reserve")
    assert "min of" not in finding.found


@pytest.mark.parametrize(("frames", "mb"), [(None, 400.0), (100_000, 50_000.0)])
def test_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int | None, mb: float) -> None:
    free(monkeypatch, mb)
    info = SourceInfo(camera="c", width=512, height=512, frames=frames, exposure_ms=10.0)
    told(check_room(tmp_path, 500, info, recorded=True), Level.PROBLEM, f"{mb:,.0f} MB free", "make room")


@pytest.mark.parametrize(
    ("times", "level"), [(0.5, Level.PROBLEM), (0.99, Level.PROBLEM), (1.5, Level.WARNING), (2.5, Level.OK)]
)
def test_speed_is_held_to_what_the_camera_needs(times: float, level: Level) -> None:
    finding = judge_speed(int(times * NEED_BYTES), 1.0, DEMAND)
    told(finding, level, f"{times * NEED_BYTES / MB:,.0f} MB/s", "the camera needs 52.4 MB/s")


@pytest.mark.parametrize("demand", [None, Demand(512, 512, None)])
def test_speed_without_a_known_camera_is_told_in_frames(demand: Demand | None) -> None:
    told(judge_speed(100 * NEED_BYTES // 10, 1.0, demand), Level.OK, "512 × 512 px at 1,000 frames/s")


def test_the_trial_is_as_long_as_it_says_and_leaves_nothing(tmp_path: Path) -> None:
    written, seconds = write_trial(tmp_path, 20 * MB)
    assert written == 20 * MB
    assert seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_the_trial_ends_in_time_on_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "TRIAL_S", 0.0)
    assert write_trial(tmp_path, 256 * MB)[0] <= disk.PART_BYTES


def test_the_trial_takes_a_small_part_of_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def trial(folder: Path, size: int) -> tuple[int, float]:
        sizes.append(size)
        return size, 0.1

    monkeypatch.setattr(disk, "write_trial", trial)
    for mb in (1e6, 800.0):
        free(monkeypatch, mb)
        assert check_speed(tmp_path, None).level is Level.OK
    assert sizes == [256 * MB, 200 * MB]
    free(monkeypatch, 20.0)
    told(check_speed(tmp_path, None), Level.WARNING, "not measured", "make room")
    assert len(sizes) == 2


def test_a_disk_that_refuses_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trial(folder: Path, size: int) -> tuple[int, float]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write_trial", trial)
    told(check_speed(tmp_path, DEMAND), Level.PROBLEM, "No space left on device")


# --- memory and clock


def with_memory(monkeypatch: pytest.MonkeyPatch, total_mb: float, free_mb: float) -> None:
    found = SimpleNamespace(total=int(total_mb * MB), available=int(free_mb * MB))
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: found)


CONFIG = Config(workers=WorkerSettings(count=4, backlog_mb=512), results=ResultsSettings(recorder_mb=1024))
MOST_MB = 512 + 1024 + 4 * memory.WORKER_MB + memory.OWN_MB


@pytest.mark.parametrize(
    ("total_mb", "free_mb", "level"),
    [
        (16_000, 12_000, Level.OK),
        (16_000, MOST_MB + 1, Level.OK),
        (16_000, MOST_MB - 1, Level.WARNING),
        (MOST_MB - 1, MOST_MB - 2, Level.PROBLEM),
    ],
)
def test_the_bounds_are_held_to_the_memory(
    monkeypatch: pytest.MonkeyPatch, total_mb: float, free_mb: float, level: Level
) -> None:
    with_memory(monkeypatch, total_mb, free_mb)
    told(check_memory(CONFIG), level, f"a run takes up to {MOST_MB:,} MB", "to disk 1,024", "to fit 512")


def test_the_cameras_buffer_counts_as_far_as_it_is_really_taken() -> None:
    config = Config.model_validate({"micromanager": {"config_file": "a.cfg", "buffer_mb": 1000}})
    assert bounds_mb(config, 64_000 * MB)["camera"] == pytest.approx(1048.576)
    assert bounds_mb(config, 2_000 * MB)["camera"] <= 500, "a quarter of the memory at most"
    assert "camera" not in bounds_mb(CONFIG, 64_000 * MB)


def test_workers_of_other_computers_take_memory_there_and_on_the_way() -> None:
    here = bounds_mb(CONFIG, 64_000 * MB)
    far = Config(workers=WorkerSettings(local=False, listen="tcp://*:5580", backlog_mb=512))
    there = bounds_mb(far, 64_000 * MB)
    assert there["workers"] == 0 < here["workers"]
    assert there["on the way to workers"] == pytest.approx(256)
    assert "on the way to workers" not in here


@pytest.mark.parametrize(
    ("kernel", "timesyncd", "level", "words"),
    [
        (KernelClock(True, 12.5), False, Level.OK, "within 12.5 ms"),
        (KernelClock(False, 16_000.0), False, Level.WARNING, "nobody sets it"),
        (KernelClock(False, 16_000.0), True, Level.OK, "systemd-timesyncd"),
        (None, True, Level.OK, "systemd-timesyncd"),
        (None, False, Level.WARNING, "does not say"),
    ],
)
def test_the_clock(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kernel: KernelClock | None,
    timesyncd: bool,
    level: Level,
    words: str,
) -> None:
    mark = tmp_path / "synchronized"
    if timesyncd:
        mark.touch()
    monkeypatch.setattr(clock, "TIMESYNCD", mark)
    monkeypatch.setattr(clock, "kernel_clock", lambda: kernel)
    told(check_clock(), level, words)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [(0, KernelClock(True, 2.5)), (1, KernelClock(True, 2.5)), (5, KernelClock(False, 2.5)), (-1, None)],
)
def test_what_the_kernel_returns_is_understood(
    monkeypatch: pytest.MonkeyPatch, returned: int, expected: KernelClock | None
) -> None:
    def adjtimex(asked) -> int:  # the kernel's own
        assert asked._obj.modes == 0, "nothing may be set"
        asked._obj.maxerror = 2500
        return returned

    monkeypatch.setattr(clock.ctypes, "CDLL", lambda name: SimpleNamespace(adjtimex=adjtimex))
    assert kernel_clock() == expected


def test_a_system_without_adjtimex_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock.ctypes, "CDLL", lambda name: SimpleNamespace())
    assert kernel_clock() is None


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
def test_the_kernel_can_be_asked() -> None:
    found = kernel_clock()
    assert found is None or found.within_ms >= 0


# --- sockets and ports


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "rt"
    monkeypatch.setenv("LOCSTREAM_RUNTIME_DIR", str(folder))
    return folder


def test_a_private_folder(runtime: Path) -> None:
    finding, here = check_sockets()
    told(finding, Level.OK, str(runtime), "this user only")
    assert here == []


def test_what_runs_is_named(runtime: Path, own_pid: int) -> None:
    connection = Connection(acquisition="a" * 32, name="cell7", pid=own_pid, started_s=0.0, control="c", stream="s")
    publish_connection(connection)
    finding, here = check_sockets()
    told(finding, Level.OK, "running now: cell7")
    assert here == [connection]


def test_a_folder_that_others_may_enter(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o755)
    finding, here = check_sockets()
    told(finding, Level.PROBLEM, "not private", "chmod 700")
    assert here == []


def test_a_damaged_connection_file(runtime: Path) -> None:
    runtime.mkdir(mode=0o700)
    (runtime / "x.json").write_text("{")
    told(check_sockets()[0], Level.PROBLEM, "is not a connection file", "remove it")


def test_no_port_is_asked_for() -> None:
    (finding,) = check_ports({})
    told(finding, Level.OK, "none is listened on")


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)])
def test_a_port_is_free_or_taken(host: str, family: socket.AddressFamily) -> None:
    with socket.socket(family) as holder:
        holder.bind((host.strip("[]"), 0))
        holder.listen()
        address = Address(host, holder.getsockname()[1])
        told(
            check_port("stream.listen", address), Level.PROBLEM, "another program listens there", "change stream.listen"
        )
    told(check_port("stream.listen", address), Level.OK, f"stream.listen = {address.endpoint} is free")


def test_each_port_has_a_line_of_its_own() -> None:
    elsewhere = {"stream.listen": Address("192.0.2.1", 5577), "metrics.listen": Address("192.0.2.1", 9464)}
    for finding, setting in zip(check_ports(elsewhere), elsewhere, strict=True):
        told(finding, Level.PROBLEM, f"{setting} = tcp://192.0.2.1:", "cannot be used", f"change {setting}")


# --- extras


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: SimpleNamespace() if name in names else None)


def test_what_is_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "vispy", "PySide6", "omero", "Ice", "prometheus_client")
    told(check_viewer(), Level.OK, "installed: vispy (OpenGL drawing)")
    told(check_omero(), Level.OK, "installed: omero")
    told(check_metrics("127.0.0.1:9464"), Level.OK, "installed: prometheus_client")


def test_what_nobody_asked_for_is_no_fault_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch, "vispy")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LOCSTREAM_OMERO", raising=False)
    told(check_viewer(), Level.OK, "not installed (PySide6)", "pip install 'locstream[viewer]'")
    told(check_omero(), Level.OK, "not installed (omero)", "locstream omero install")
    told(check_metrics(""), Level.OK, "not installed (prometheus_client)")


def test_a_library_beside_this_python_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed(monkeypatch)
    monkeypatch.setenv("LOCSTREAM_OMERO", str(tmp_path))
    (client_library.packages(tmp_path) / "omero").mkdir(parents=True)
    told(check_omero(), Level.OK, f"installed: omero (upload), in {tmp_path}")


def test_what_a_configuration_asks_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    told(check_metrics("127.0.0.1:9464"), Level.PROBLEM, "not installed", "pip install 'locstream[metrics]'")


def test_nothing_is_imported_to_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    check_viewer()
    check_omero()
    assert not {name for name in set(sys.modules) - before if name.split(".")[0] in ("vispy", "PySide6", "omero")}
