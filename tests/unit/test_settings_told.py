"""A value that is refused is told with its key, itself, and what would be right."""

from __future__ import annotations

from typing import Annotated, Any, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from locstream.settings import Settings, what_is_wrong


class Person(Settings):
    name: str
    age: Annotated[int, Field(ge=0)] = 0


class Lab(Settings):
    people: tuple[Person, ...] = ()
    rooms: tuple[str, ...] = ()
    head: Person | None = None
    volume: str = ""

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.people and not self.rooms:
            raise ValueError("people need a room")
        return self


def told(values: Any, table: str = "") -> list[str]:
    with pytest.raises(ValidationError) as refused:
        Lab.model_validate(values)
    return what_is_wrong(refused.value, Lab, table)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rooms": [1]}, "rooms.0 = 1: input should be a valid string"),
        ({"rooms": "a"}, "rooms = 'a': write a list, in brackets"),
        ({"people": {"name": "x"}}, "people: write [[people]], in double brackets, for each entry"),
        ({"people": [{}], "rooms": ["a"]}, "people.0.name is missing"),
        ({"people": [{"name": "x", "agd": 3}], "rooms": ["a"]}, "people.0.agd: there is no such setting; "),
        ({"head": {"name": "x", "age": -1}}, "head.age = -1: input should be greater than or equal to 0"),
        ({"people": [{"name": "x"}]}, "people need a room"),
    ],
)
def test_each_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    (found,) = told(values)
    assert found.startswith(sentence)


def test_the_nearest_name_is_offered_or_all_that_are_known() -> None:
    assert told({"room": []}) == ["room: there is no such setting; did you mean 'rooms'?"]
    assert told({"head": {"name": "x", "shoes": 3}}) == [
        "head.shoes: there is no such setting; known here: name, age"
    ]  # fmt: skip


def test_the_table_that_they_stand_in_is_named() -> None:
    assert told({"rooms": "a"}, "lab") == ["lab.rooms = 'a': write a list, in brackets"]
    assert told({"people": [{"name": "x"}]}, "lab") == ["lab: people need a room"]


def test_a_long_value_is_cut_short() -> None:
    (sentence,) = told({"volume": list(range(100_000))})
    assert sentence.startswith("volume = [0, 1, 2, 3")
    assert sentence.endswith("...]: input should be a valid string")
    assert len(sentence) < 100


def test_what_is_no_table_at_all_is_told() -> None:
    (sentence,) = told("{")
    assert "Lab" in sentence
