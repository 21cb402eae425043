"""Derive pcs-2023-02-10.json from the PCS model of the installed botocore.

    python crates/pcs-emulator/model/update.py

Run it after raising the pinned botocore, then read the diff: a new member needs no code, a new
operation or a new shape kind does. Documentation text is left out; everything the emulator checks
(types, required members, enums, lengths, ranges, patterns, errors) is kept as botocore has it.
"""

import json
import pathlib

TARGET = pathlib.Path(__file__).with_name("pcs-2023-02-10.json")

SHAPE_KEYS = ("type", "required", "min", "max", "pattern", "enum", "sensitive", "exception", "fault",
              "timestampFormat")
METADATA_KEYS = ("apiVersion", "serviceId", "endpointPrefix", "signingName", "protocol", "jsonVersion",
                 "targetPrefix")


def derive(source):
    """The emulator's model of one botocore service description."""
    return {
        "metadata": {key: source["metadata"][key] for key in METADATA_KEYS},
        "operations": {name: operation(value) for name, value in source["operations"].items()},
        "shapes": {name: shape(value) for name, value in source["shapes"].items()},
    }


def operation(source):
    return {
        "input": source["input"]["shape"],
        "output": source["output"]["shape"],
        "errors": sorted(error["shape"] for error in source.get("errors", [])),
    }


def shape(source):
    kept = {key: source[key] for key in SHAPE_KEYS if key in source}
    if source["type"] == "structure":
        kept["members"] = {name: value["shape"] for name, value in source["members"].items()}
    for key in ("member", "key", "value"):
        if key in source:
            kept[key] = source[key]["shape"]
    return kept


def render(model):
    return json.dumps(model, indent=1, sort_keys=True) + "\n"


def installed():
    """The text of the model file as the installed botocore makes it."""
    # Here, because scripts/model-watch derives from a file that it is given, without a botocore.
    import botocore.loaders

    return render(derive(botocore.loaders.Loader().load_service_model("pcs", "service-2")))


if __name__ == "__main__":
    TARGET.write_text(installed())
