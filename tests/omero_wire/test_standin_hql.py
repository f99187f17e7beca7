"""Queries are evaluated, not known: each answer is held to one worked out in Python from the same objects."""

from __future__ import annotations

from typing import Any

import pytest

from omero_wire.probe import Probe, WireError
from omero_wire.stand_in.hql_parse import HqlError, parse
from omero_wire.stand_in_process import StandIn

peer = pytest.mark.peer
DATASETS = [("d1", "a"), ("d2", None), ("d3", "b"), ("d4", "a")]
LINKS = [(1, 1), (1, 2), (2, 3), (2, 1)]
"""Project and dataset of each link, by number."""
PAIRS = {1: {"role": "raw", "uuid": "x"}, 2: {"role": "raw", "uuid": "y"}, 4: {"role": "recon", "uuid": "x"}}
"""The values of the annotation of each dataset that has one."""


@pytest.fixture
def filled(ada: Probe) -> Probe:
    for name, description in DATASETS:
        ada("make", "ada", "Dataset", name=name, **({"description": description} if description else {}))
    for name in ("p1", "p2", "p3"):
        ada("make", "ada", "Project", name=name)
    for project, dataset in LINKS:
        ada("link", "ada", "ProjectDatasetLink", project, dataset)
    for dataset, values in PAIRS.items():
        ada("annotate", "ada", "Dataset", dataset, "our.ns", **values)
    return ada


ALL = [(i + 1, name, about) for i, (name, about) in enumerate(DATASETS)]
CASES: list[tuple[str, dict[str, Any], list[list[Any]]]] = [
    ("select d.id from Dataset d where d.name = 'd3'", {}, [[i] for i, n, _ in ALL if n == "d3"]),
    ("select d.id from Dataset as d where d.description = :x", {"x": "a"}, [[i] for i, _, a in ALL if a == "a"]),
    ("select d.id from Dataset d where d.description is null", {}, [[i] for i, _, a in ALL if a is None]),
    # what is unknown is neither equal nor different
    ("select d.id from Dataset d where d.description != 'a'", {}, [[i] for i, _, a in ALL if a not in (None, "a")]),
    ("select d.id from Dataset d where not d.description = 'a'", {}, [[i] for i, _, a in ALL if a not in (None, "a")]),
    ("select d.id from Dataset d where d.id in (:ids)", {"ids": [2, 4, 9]}, [[2], [4]]),
    ("select d.id from Dataset d where d.id in (1, 3) and d.name like 'd%' or d.id = 4", {}, [[1], [3], [4]]),
    ("select d.id from Dataset d where d.description not in ('a', null)", {}, []),
    ("select d.id from Dataset d where d.description in ('b', null)", {}, [[i] for i, _, a in ALL if a == "b"]),
    ("select d.name from Dataset d where d.id not in (1,2) order by d.name desc", {}, [["d4"], ["d3"]]),
    (  # nulls come first where the order is reversed, as in PostgreSQL
        "select d.name, d.description from Dataset d order by d.description desc, d.id",
        {},
        [[n, a] for _, n, a in sorted(ALL, key=lambda d: (d[2] is not None, d[2] != "b", d[0]))],
    ),
    (
        "select p.name, d.name from ProjectDatasetLink l join l.parent p join l.child as d order by p.name, d.name",
        {},
        sorted([f"p{p}", f"d{d}"] for p, d in LINKS),
    ),
    (
        "select p.name, d.name from Project p left outer join p.datasetLinks l left join l.child d order by p.id, d.id",
        {},
        [*sorted([f"p{p}", f"d{d}"] for p, d in LINKS), ["p3", None]],
    ),
    (
        "select distinct d.name from Dataset d join d.projectLinks l where l.parent.name in ('p1', 'p2') "
        "order by d.name",
        {},
        [["d1"], ["d2"], ["d3"]],
    ),
    (
        "select l.parent.id from DatasetAnnotationLink l join l.child a join a.mapValue r join a.mapValue u "
        "where a.ns = :ns and r.name = 'role' and r.value = :role and u.name = 'uuid' and u.value = :uuid",
        {"ns": "our.ns", "role": "raw", "uuid": "x"},
        [[d] for d, v in PAIRS.items() if v == {"role": "raw", "uuid": "x"}],
    ),
    (
        "select d.id from Dataset d where not exists "
        "(select l.id from DatasetAnnotationLink l where l.parent.id = d.id) order by d.id",
        {},
        [[i] for i, _, _ in ALL if i not in PAIRS],
    ),
    (
        "select d.id from Dataset d where d.id in (select l.parent.id from DatasetAnnotationLink l join l.child a "
        "join a.mapValue m where m.value = 'x') order by d.id",
        {},
        [[d] for d, v in PAIRS.items() if "x" in v.values()],
    ),
    ("select count(d), max(d.id), min(d.name) from Dataset d", {}, [[4, 4, "d1"]]),
    ("select count(d) from Dataset d where d.name = 'none'", {}, [[0]]),
    (
        "select p.name, count(l.id) from Project p left join p.datasetLinks l group by p.name order by p.name",
        {},
        [["p1", 2], ["p2", 2], ["p3", 0]],
    ),
    (
        "select d.description, count(distinct l.parent.id) from Dataset d join d.projectLinks l "
        "where d.description is not null group by d.description having count(l.id) > 1",
        {},
        [["a", 2]],
    ),
    (
        "select p.name as name, count(l.id) as n from Project p left join p.datasetLinks l group by p.name "
        "order by n, name desc",
        {},
        [["p3", 0], ["p2", 2], ["p1", 2]],
    ),
    ("select d.name as label from Dataset d where d.id < 3 order by label desc", {}, [["d2"], ["d1"]]),
    ("select p.name from Project p where p.datasetLinks is empty", {}, [["p3"]]),
    ("select p.id * 2 + 1, p.name || '!' from Project p where size(p.datasetLinks) = 0", {}, [[7, "p3!"]]),
    (
        "select case when d.description is null then '-' else d.description end from Dataset d order by d.id",
        {},
        [[a or "-"] for _, _, a in ALL],
    ),
    ("select d.details.owner.omeName, d.details.group.name from Dataset d where d.id = 1", {}, [["ada", "lab"]]),
    (
        "select l.child.ns from DatasetAnnotationLink l where l.child.class = 'MapAnnotation' and l.id = 1",
        {},
        [["our.ns"]],
    ),
    ("SELECT name FROM Dataset WHERE name = 'd2'", {}, [["d2"]]),
    ("select new map(d.id as id, d.name as name) from Dataset d where d.id = 1", {}, [[{"id": 1, "name": "d1"}]]),
    (
        "select d.name from Dataset d where d.id between 2 and 3 and lower(d.name) = coalesce(d.name, 'x')",
        {},
        [["d2"], ["d3"]],
    ),
]


@peer
def test_projections_are_what_the_objects_say(filled: Probe) -> None:
    for hql, params, expected in CASES:
        assert filled("projection", "ada", hql, **params) == expected, hql


@peer
def test_values_keep_the_types_of_the_model(filled: Probe) -> None:
    hql = "select d.id, d.version, d.name, d.details.creationEvent.time, d.description from Dataset d where d.id = 2"
    assert filled("types", "ada", hql)[:4] == ["RLongI", "RIntI", "RStringI", "RTimeI"]
    assert filled("types", "ada", "select count(d) from Dataset d") == ["RLongI"]


@peer
def test_objects_are_loaded_as_far_as_was_asked(filled: Probe) -> None:
    (bare,) = filled("objects", "ada", "from Project p where p.id = 1")
    assert bare == {"kind": "Project", "id": 1, "name": "p1"}
    (fetched,) = filled(
        *(
            "objects",
            "ada",
            "select distinct p from Project p join fetch p.datasetLinks l join fetch l.child where p.id = 1",
        )
    )
    links = fetched["datasetLinks"]
    assert [link["child"]["name"] for link in links] == ["d1", "d2"]
    assert all(link["parent"]["name"] == "p1" for link in links)  # the loaded project itself
    (link,) = filled("objects", "ada", "select l from ProjectDatasetLink l where l.id = 3")
    assert (link["parent"], link["child"]) == ("Project:2", "Dataset:3")
    (empty,) = filled("objects", "ada", "select p from Project p left outer join fetch p.datasetLinks where p.id = 3")
    assert empty["datasetLinks"] == []


@peer
def test_a_fetched_collection_repeats_its_owner_unless_distinct_or_paged(filled: Probe) -> None:
    fetch = "p from Project p left outer join fetch p.datasetLinks"
    names = [p["name"] for p in filled("objects", "ada", f"select {fetch} order by p.id")]
    assert names == ["p1", "p1", "p2", "p2", "p3"]
    names = [p["name"] for p in filled("objects", "ada", f"select distinct {fetch} order by p.id")]
    assert names == ["p1", "p2", "p3"]
    names = [p["name"] for p in filled("objects", "ada", f"select {fetch} order by p.id", page=[1, 2])]
    assert names == ["p2", "p3"]
    rows = filled("projection", "ada", "select d.id from Dataset d order by d.id desc", page=[1, 2])
    assert rows == [[3], [2]]


@peer
@pytest.mark.parametrize(
    ("hql", "message"),
    [
        ("select d.id from Datset d", "Datset is not mapped"),
        ("select d.nme from Dataset d", "could not resolve property: nme of: Dataset"),
        ("select d.id from Dataset d where d.details.ownr.id = 1", "ownr"),
        ("select x.id from Dataset d", "'x'"),
        ("select d.id from Dataset d join d.name n", "cannot be joined"),
        ("select p.datasetLinks.child.id from Project p", "illegal attempt to dereference"),
        ("select a.mapValue.name from MapAnnotation a", "illegal attempt to dereference"),
        ("select l.child.foo from DatasetAnnotationLink l", "foo"),
        ("select d.id from Dataset d where d.id = :gone", r"\[gone\]"),
        ("select d.id from Dataset d where exists (select y.id from Image i)", "'y'"),
        ("select d.id from Dataset d wher d.id = 1", "wher"),
        ("select d.id from Dataset d where d.id ~ 1", "~ 1"),
        ("select d.id from Dataset d where median(d.id) = 1", "median"),
        ("delete from Dataset", "delete"),
    ],
)
def test_what_is_no_query_is_an_error_also_on_an_empty_server(ada: Probe, hql: str, message: str) -> None:
    with pytest.raises(WireError, match=message) as caught:
        ada("projection", "ada", hql)
    assert caught.value.name == "ApiUsageException"


@peer
def test_find_by_query_wants_one_entity(filled: Probe) -> None:
    with pytest.raises(WireError, match="projection"):
        filled("objects", "ada", "select d.id from Dataset d")
    with pytest.raises(WireError, match="more than one column"):
        filled("objects", "ada", "select d, d.id from Dataset d")


@peer
def test_what_somebody_else_keeps_private_is_not_found(filled: Probe, omero_server: StandIn) -> None:
    filled("login", "bob", omero_server.url, "bob", "secret")
    filled("make", "ada", "Dataset", "private", name="hidden")
    count = "select count(d) from Dataset d"
    assert filled("projection", "bob", count, group="-1") == [[len(DATASETS)]]
    assert filled("projection", "ada", count, group="-1") == [[len(DATASETS) + 1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "select",
        "select d.id",
        "select d.id from",
        "select d.id from Dataset d where",
        "select d.id from Dataset d where d.id = ",
        "select d.id from Dataset d where (d.id = 1",
        "select d.id from Dataset d where d.name = 'open",
        "select d.id from Dataset d left d.links l",
        "select d.id from Dataset d join",
        "select d.id from Dataset d order d.id",
        "select d.id from Dataset d where d.id in (1,)",
        "select d.id from Dataset d where d.id is 3",
        "select d.id from Dataset d where case when 1 = 1 then 2",
        "select d. from Dataset d",
        "select d.id from Dataset d; select 1",
    ],
)
def test_the_parser_names_what_it_does_not_understand(text: str) -> None:
    with pytest.raises(HqlError):
        parse(text)
