"""What is kept: ids, versions, links, permissions, and what a deletion takes with it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from omero_wire.probe import Probe, WireError
from omero_wire.stand_in_process import StandIn

pytestmark = pytest.mark.peer
ANNOTATION = {"ns": "n", "a": "1"}


def bob_too(probe: Probe, server: StandIn) -> Probe:
    probe("login", "bob", server.url, "bob", "secret")
    return probe


def kinds(server: StandIn) -> list[str]:
    return sorted(row["kind"] for row in server.objects())


def test_ids_count_from_one_in_each_table_and_annotations_share_one(ada: Probe) -> None:
    assert [ada("make", "ada", "Dataset", name=n) for n in "abc"] == [1, 2, 3]
    assert ada("make", "ada", "Project", name="p") == 1
    assert ada("annotate", "ada", "Dataset", 1, **ANNOTATION) == 1
    assert ada("make", "ada", "TagAnnotation", textValue="t") == 2
    ada("delete", "ada", Dataset=[3])
    assert ada("make", "ada", "Dataset", name="d") == 4


def test_a_version_counts_changes_and_guards_them(ada: Probe) -> None:
    number = ada("make", "ada", "Dataset", name="a")
    assert ada("rename", "ada", "Dataset", number, "b") == 1
    assert ada("rename", "ada", "Dataset", number, "b") == 1  # nothing has changed
    with pytest.raises(WireError, match="updated or deleted by another transaction") as caught:
        ada("rename", "ada", "Dataset", number, "c", meanwhile="theirs")
    assert caught.value.name == "OptimisticLockException"
    assert ada("projection", "ada", "select d.name, d.version from Dataset d") == [["theirs", 2]]


def test_a_graph_is_saved_whole_or_not_at_all(ada: Probe, omero_server: StandIn) -> None:
    with pytest.raises(WireError, match=r"not-null property .*ome\.model\.containers\.Dataset\.name") as caught:
        ada("graph_that_fails", "ada")
    assert caught.value.name == "ValidationException"
    assert kinds(omero_server) == []


def test_a_link_is_unique_for_parent_child_and_owner(ada: Probe, omero_server: StandIn) -> None:
    project = ada("make", "ada", "Project", "common", name="p")
    dataset = ada("make", "ada", "Dataset", "common", name="d")
    ada("link", "ada", "ProjectDatasetLink", project, dataset, "common")
    with pytest.raises(WireError, match="ConstraintViolation") as caught:
        ada("link", "ada", "ProjectDatasetLink", project, dataset, "common")
    assert caught.value.name == "ValidationException"
    bob_too(ada, omero_server)
    ada("link", "bob", "ProjectDatasetLink", project, dataset, "common")
    assert kinds(omero_server) == ["Dataset", "Project", "ProjectDatasetLink", "ProjectDatasetLink"]


def test_a_link_to_nothing_and_one_across_groups_are_refused(ada: Probe) -> None:
    project = ada("make", "ada", "Project", name="p")
    with pytest.raises(WireError, match="No row with the given identifier"):
        ada("link", "ada", "ProjectDatasetLink", project, 99)
    elsewhere = ada("make", "ada", "Dataset", "common", name="d")
    with pytest.raises(WireError) as caught:
        ada("link", "ada", "ProjectDatasetLink", project, elsewhere)
    assert caught.value.name == "SecurityViolation"


@pytest.mark.parametrize(
    ("group", "sees", "annotates", "changes"),
    [
        ("private", False, False, False),
        ("lab", True, False, False),
        ("annotators", True, True, False),
        ("common", True, True, True),
    ],
)
def test_what_another_member_may_do(
    ada: Probe, omero_server: StandIn, group: str, sees: bool, annotates: bool, changes: bool
) -> None:
    number = ada("make", "ada", "Dataset", group, name="hers")
    bob = bob_too(ada, omero_server)
    assert ada("permissions", "ada", "Dataset", number, group) == [True] * 4
    allowed = bob("permissions", "bob", "Dataset", number, group)
    assert allowed == ([changes, changes, changes, annotates] if sees else None)
    project = bob("make", "bob", "Project", group, name="his")
    attempts = {
        "annotate": lambda: bob("annotate", "bob", "Dataset", number, "n", group, a="1"),
        "link": lambda: bob("link", "bob", "ProjectDatasetLink", project, number, group),
        "rename": lambda: bob("rename", "bob", "Dataset", number, "his now", group=group),
    }
    for name, attempt in attempts.items():
        if annotates if name == "annotate" else changes:
            attempt()
        else:
            with pytest.raises(WireError) as caught:
                attempt()
            assert caught.value.name == ("SecurityViolation" if sees or name != "rename" else "ValidationException")
    gone = bob("delete", "bob", group, Dataset=[number])
    assert ("deleted" in gone) is changes, gone


def test_only_one_group_or_all_of_them_is_seen_and_all_is_for_reading(ada: Probe) -> None:
    ada("make", "ada", "Dataset", "lab", name="here")
    ada("make", "ada", "Dataset", "common", name="there")
    names = "select d.name from Dataset d order by d.name"
    assert ada("projection", "ada", names) == [["here"]]
    assert ada("projection", "ada", names, group="common") == [["there"]]
    assert ada("projection", "ada", names, group="-1") == [["here"], ["there"]]
    with pytest.raises(WireError, match="-1"):
        ada("make", "ada", "Dataset", "-1", name="nowhere")


def test_deleting_takes_what_nobody_else_holds(ada: Probe, omero_server: StandIn, stack_file: Path) -> None:
    project = ada("make", "ada", "Project", name="p")
    kept, gone = ada("make", "ada", "Dataset", name="kept"), ada("make", "ada", "Dataset", name="gone")
    for dataset in (kept, gone):
        ada("link", "ada", "ProjectDatasetLink", project, dataset)
    images = [ada("import_file", "ada", str(stack_file), gone, marker={"n": "1"})["images"][0] for _ in range(2)]
    ada("link", "ada", "DatasetImageLink", kept, images[0])
    (shared,) = ada("projection", "ada", "select l.child.id from ImageAnnotationLink l where l.parent.id = 1")[0]
    ada("link", "ada", "DatasetAnnotationLink", kept, shared)
    found = ada("delete", "ada", Dataset=[gone], dry_run=True)
    assert found == ada("delete", "ada", Dataset=[gone])  # a dry run says the same
    assert found["deleted"]["ome.model.core.Image"] == [images[1]]
    assert found["deleted"]["ome.model.annotations.MapAnnotation"] != [shared]
    assert ada("projection", "ada", "select i.id from Image i") == [[images[0]]]
    found = ada("delete", "ada", Image=[images[0]])
    assert "ome.model.annotations.MapAnnotation" not in found["deleted"]  # the dataset holds it
    assert kinds(omero_server) == ["Dataset", "DatasetAnnotationLink", "MapAnnotation", "Project", "ProjectDatasetLink"]
    assert not list((omero_server.folder / "ManagedRepository").rglob("*.tif"))


def test_an_attachment_goes_with_its_file_unless_that_kind_is_kept(ada: Probe, omero_server: StandIn) -> None:
    annotation, file = ada("attach", "ada", "a.csv", "1,2\n", "n")
    assert (omero_server.folder / "Files" / str(file)).read_text() == "1,2\n"
    ada("delete", "ada", Annotation=[annotation])
    assert kinds(omero_server) == []
    assert not (omero_server.folder / "Files" / str(file)).exists()
    dataset = ada("make", "ada", "Dataset", name="d")
    ada("annotate", "ada", "Dataset", dataset, **ANNOTATION)
    ada("delete", "ada", keep=["MapAnnotation"], Dataset=[dataset])
    assert kinds(omero_server) == ["MapAnnotation"]


def test_a_map_goes_with_its_last_link_a_tag_stays(ada: Probe, omero_server: StandIn) -> None:
    dataset = ada("make", "ada", "Dataset", name="d")
    ada("annotate", "ada", "Dataset", dataset, **ANNOTATION)
    found = ada("delete", "ada", DatasetAnnotationLink=[1])
    assert sorted(found["deleted"]) == [
        *("ome.model.annotations.DatasetAnnotationLink", "ome.model.annotations.MapAnnotation"),
    ]
    tag = ada("make", "ada", "TagAnnotation", textValue="t")
    ada("link", "ada", "DatasetTagLink", dataset, tag)
    ada("delete", "ada", DatasetAnnotationLink=[2])
    assert kinds(omero_server) == ["Dataset", "TagAnnotation"]


def test_what_another_owns_stays_as_an_orphan(ada: Probe, omero_server: StandIn) -> None:
    dataset = ada("make", "ada", "Dataset", "annotators", name="hers")
    bob = bob_too(ada, omero_server)
    tag = bob("make", "bob", "TagAnnotation", "annotators", textValue="his")
    bob("link", "bob", "DatasetTagLink", dataset, tag, "annotators")
    bob("annotate", "bob", "Dataset", dataset, "n", "annotators", a="1")
    found = ada("delete", "ada", "annotators", Dataset=[dataset])
    assert len(found["deleted"]["ome.model.annotations.DatasetAnnotationLink"]) == 2  # links go whoever made them
    assert kinds(omero_server) == ["MapAnnotation", "TagAnnotation"]


def test_an_annotation_goes_with_its_file_and_a_file_of_a_fileset_not_alone(
    ada: Probe, omero_server: StandIn, stack_file: Path
) -> None:
    _, file = ada("attach", "ada", "a.csv", "1,2\n", "n")
    ada("delete", "ada", OriginalFile=[file])
    assert kinds(omero_server) == []
    ada("import_file", "ada", str(stack_file))
    (file,) = ada("projection", "ada", "select e.originalFile.id from FilesetEntry e")[0]
    assert "while FilesetEntry" in ada("delete", "ada", OriginalFile=[file])["message"]


def test_what_is_not_there_cannot_be_deleted(ada: Probe) -> None:
    assert ada("delete", "ada", Dataset=[5]) == {
        "err": "graph-fail",
        "category": "::omero::cmd::Delete2",
        "message": "cannot read all the specified objects of class Dataset",
    }


def test_a_raw_file_reads_zeros_past_its_end_and_knows_its_checksum(ada: Probe) -> None:
    number = ada("new_file", "ada", "a.bin")
    found = ada(
        *("raw_file", "ada", number, ["write", "aabbcc", 0, 3], ["write", "dd", 3, 1], ["size"], ["read", 2, 4]),
        *(["truncate", 9], ["truncate", 3], ["save"], ["save"], ["close"]),
    )
    assert found[:6] == [None, None, 4, "ccdd0000", False, True]
    assert found[6] == [3, hashlib.sha1(bytes.fromhex("aabbcc")).hexdigest()]
    assert found[7] is None  # nothing was written since
    plain = ada("new_file", "ada", "b.bin", hashed=False)
    assert ada("raw_file", "ada", plain, ["write", "aa", 0, 1], ["save"])[1] == [1, None]


def test_a_raw_file_of_somebody_else_is_for_reading(ada: Probe, omero_server: StandIn) -> None:
    _, file = ada("attach", "ada", "a.csv", "1,2\n", "n")
    bob = bob_too(ada, omero_server)
    assert bob("raw_file", "bob", file, ["read", 0, 3]) == [b"1,2".hex()]
    with pytest.raises(WireError, match="not writeable"):
        bob("raw_file", "bob", file, ["write", "aa", 0, 1])
    with pytest.raises(WireError, match="Too big"):
        bob("raw_file", "bob", file, ["read", 0, 64_000_001])


def test_an_imported_file_is_for_reading(ada: Probe, stack_file: Path) -> None:
    ada("import_file", "ada", str(stack_file))
    (file,) = ada("projection", "ada", "select e.originalFile.id from FilesetEntry e")[0]
    head = stack_file.read_bytes()[:100]
    assert ada("raw_file", "ada", file, ["read", 0, 100]) == [head.hex()]
    with pytest.raises(WireError, match="not writeable"):
        ada("raw_file", "ada", file, ["write", "aa", 0, 1])


def test_nobody_gives_objects_to_others(ada: Probe) -> None:
    for field, number, error in (("owner", 3, "SecurityViolation"), ("group", 5, "SecurityViolation")):
        with pytest.raises(WireError) as caught:
            ada("make_for", "ada", field, number)
        assert caught.value.name == error
    with pytest.raises(WireError, match=r"omero\.user"):
        ada("call", "ada", "getAdminService", "getEventContext", ctx={"omero.user": "3"})


def test_many_megabytes_arrive_whole(ada: Probe) -> None:
    assert ada("raw_rate", "ada", 30_000_001, 4 << 20) == [30_000_001, True]
