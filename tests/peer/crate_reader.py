"""Runs in the environment of requirements/peer-rocrate.txt: read a crate with ro-crate-py and hold it to its profile.

    python crate_reader.py FOLDER

prints JSON: the issues of roc-validator at the levels "required" and "recommended", and what ro-crate-py sees. The
context, which stands in the network, is taken from the copy that ro-crate-py carries.
"""

import json
import sys
from pathlib import Path

import rocrate
from rocrate.rocrate import ROCrate
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils import http

CONTEXT = json.loads((Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld").read_text())


class Answer:
    def __init__(self) -> None:
        self.status_code = 200
        self.headers = {"Content-Type": "application/ld+json"}
        self.text = json.dumps(CONTEXT)

    def json(self) -> object:
        return CONTEXT


http.HttpRequester.get = http.HttpRequester.head = lambda self, url, **_: Answer()
folder = Path(sys.argv[1])
settings = ValidationSettings(
    rocrate_uri=str(folder), profile_identifier="ro-crate-1.1", requirement_severity=Severity.RECOMMENDED
)
result = services.validate(settings)
crate = ROCrate(folder)


def ids(value: object) -> list[str]:
    return [thing.id for thing in (value if isinstance(value, list) else [value] if value else [])]


found = {
    "issues": [
        [issue.severity.name, issue.check.identifier, issue.message, str(issue.violatingEntity)]
        for issue in result.get_issues()
    ],
    "files": {entity.id: entity["sha256"] for entity in crate.data_entities if "File" in entity.type},
    "actions": {
        entity.id: [ids(entity.get("object")), ids(entity["result"])]
        for entity in crate.contextual_entities
        if entity.type == "CreateAction"
    },
    "name": crate.root_dataset["name"],
}
print(json.dumps(found))
