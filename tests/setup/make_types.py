#!/usr/bin/env python3
"""Write runner/model/types.json: what a valid type and property is, as data.

    make_types.py SPEC_FOLDER [TARGET]

Reads `types.yaml` and `types-elsewhere.txt` of the folder and `types-additions.yaml` beside this
script. The same input always gives the same file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

import yaml

TARGET = Path(__file__).parents[2] / "runner" / "model" / "types.json"
ADDITIONS = Path(__file__).with_name("types-additions.yaml")
SCRIPTS = "io.kestra.plugin.scripts"


def overlay(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`under` with the maps of `over` merged in; a bare type text counts as `{type: text}`."""
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, str):
            old = {"type": old}
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = overlay(cast("Any", old), cast("Any", value)) if both else value
    return merged


def read(path: Path) -> dict[str, Any]:
    """The YAML map in the file; `on` stays a word."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in entries if not (first in "oO" and "bool" in tag)]
        for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def add_languages(types: dict[str, Any], additions: dict[str, Any]) -> None:
    """The Script and Commands types of every language of the additions."""
    for language, facts in additions["languages"].items():
        for kind in ("Script", "Commands"):
            model = types[f"{SCRIPTS}.node.{kind}"]
            properties = overlay(model["properties"], facts.get("properties", {}))
            properties["containerImage"] = {
                **properties["containerImage"],
                "default": facts["image"],
            }
            if "interpreter" in facts:
                properties["interpreter"] = {
                    **properties["interpreter"],
                    "default": facts["interpreter"],
                }
            types[f"{SCRIPTS}.{language}.{kind}"] = {**model, "properties": properties}
    for name, facts in types.items():
        if name.startswith(SCRIPTS) and name.endswith((".Script", ".Commands")):
            facts["properties"] = overlay(facts["properties"], additions["scripts"]["all"])
            if ".python." in name:
                facts["properties"] = overlay(facts["properties"], additions["scripts"]["python"])


def catalogue(spec: Path) -> dict[str, Any]:
    """The whole catalogue, as it is written."""
    known = read(spec / "types.yaml")
    additions = read(ADDITIONS)
    elsewhere = [
        line.strip()
        for line in (spec / "types-elsewhere.txt").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    types = overlay(known["types"], additions["types"])
    add_languages(types, additions)
    gone = set(types) | set(additions["replaced"])
    return {
        "base": overlay(known["base"], additions["base"]),
        "types": types,
        "models": overlay(known["models"], additions["models"]),
        "inputs": additions["inputs"],
        "retries": additions["retries"],
        "slas": additions["slas"],
        "replaced": additions["replaced"],
        "elsewhere": [name for name in elsewhere if name not in gone],
    }


def text(spec: Path) -> str:
    """The file's text: a property per line would be long, so a type per line."""
    sections: list[str] = []
    for name, section in catalogue(spec).items():
        if isinstance(section, list):
            body = json.dumps(section, ensure_ascii=False)
        else:
            lines = [
                f"    {json.dumps(key)}: {json.dumps(value, ensure_ascii=False, sort_keys=True)}"
                for key, value in sorted(section.items())
            ]
            body = "{\n" + ",\n".join(lines) + "\n  }"
        sections.append(f"  {json.dumps(name)}: {body}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    target = Path(sys.argv[2]) if len(sys.argv) == 3 else TARGET
    target.write_text(text(Path(sys.argv[1])), encoding="utf-8")
