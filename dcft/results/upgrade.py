"""Records of earlier versions of the suite in today's form."""

from typing import Any

from dcft.config.cell import cell_name


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a record file in the form of the newest schema. Newest content is returned as it is.

    Version 1 (before records had a `schema_version`) gets the cell's new name, because the name was a hash of fewer
    settings.

    Raises:
        KeyError: if something is missing that a record of that version had.
    """
    return content if "schema_version" in content else _from_1(content)


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    new = {key: value for key, value in old.items() if key not in ("last", "collapsed", "toy", "substitute_backbone")}
    data, weights = dict(old["data_source"]), dict(old["model_source"])
    config = new["config"]
    new["schema_version"] = 2
    identity = _data(config, data["identity"])
    new["data_source"] = {"identity": identity, "rows": data["rows"], "complete": data["complete"]}
    revision = weights.get("revision")
    if weights["source"] == "hub":
        weights["revision"] = config["model"]["hub"]["revision"]  # what was asked for, before what the Hub gave
    new["model_source"] = {"identity": weights, "revision": revision}
    new["cell"] = cell_name(config, identity, weights)
    return new


def _data(config: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """The identity of data with how they are read, which version 1 left out."""
    task = config["task"]
    if identity["source"] == "hub":
        return identity | {key: task["hub"][key] for key in ("splits", "columns")}
    if identity["source"] == "toy":
        identity = identity | {"files": task["files"]}
    return identity | {key: task[key] for key in ("format", "columns", "header", "malformed_rows")}
