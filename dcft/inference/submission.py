"""A submission to gluebenchmark.com: predictions for GLUE's test sets in the form that the site takes.

The form is that of the GLUE baselines' code (nyu-mll/jiant, `write_preds` and its guide to submissions): one file a
test set, columns `index` from 0 and `prediction`; scores of STS-B lie in [0, 5] and have three decimals.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from dcft.config.cell import RunConfig
from dcft.data import files, sources
from dcft.errors import UserError
from dcft.inference import predict, rows, trained
from dcft.results import atomic, predictions, protocols, records
from dcft.results.record import Record

STSB = "stsb"
SQUAD = ("squad_v1", "squad_v2")


@dataclass(frozen=True)
class TestSet:
    """A test set of GLUE. Rows are those of the guide."""

    file: str
    rows: int
    task: str | None = None
    split: str = "test"
    filler: str = "0"  # for every row, where no cell predicts it


TESTS = [
    TestSet("CoLA.tsv", 1063, "cola"),
    TestSet("SST-2.tsv", 1821, "sst2"),
    TestSet("MRPC.tsv", 1725, "mrpc"),
    TestSet("QQP.tsv", 390965, "qqp"),
    TestSet("STS-B.tsv", 1379, STSB, filler="2.500"),
    TestSet("MNLI-m.tsv", 9796, "mnli", filler="entailment"),
    TestSet("MNLI-mm.tsv", 9847, "mnli", "test_mismatched", filler="entailment"),
    TestSet("QNLI.tsv", 5463, "qnli", filler="entailment"),
    TestSet("RTE.tsv", 3000, "rte", filler="entailment"),
    TestSet("AX.tsv", 1104, "mnli", "ax", filler="entailment"),  # diagnostic sentences, answered by the MNLI cell
    TestSet("WNLI.tsv", 146),  # the paper leaves it out
]
TASKS = tuple(dict.fromkeys(test.task for test in TESTS if test.task))


def choose(results: Path, method: str, model: str | None, protocol: str) -> dict[str, Record]:
    """The cell with the best score on dev for each task of GLUE and SQuAD, by task.

    Args:
        results: folder of the records.
        method: name or tag of a method: dcft, dcft-k8.
        model: name of the backbone; None: the only one that the method has records on.
        protocol: which evaluation's score chooses among cells. The model that predicts is always that of the best.

    Raises:
        UserError: if there is no such cell, or the backbone is not clear.
    """
    found = [record for record in records.read_all(results)[0].values() if record.done and not record.toy]
    found = [record for record in found if method in (record.method, record.config["method"]["tag"])]
    found = [record for record in found if record.task in (*TASKS, *SQUAD) and model in (None, record.model)]
    if not found:
        on = f" on {model}" if model else ""
        raise UserError(f"{method}: no finished cell of GLUE{on} in {results / 'runs'}; make table1 runs some")
    if len(models := sorted({record.model for record in found})) > 1:
        raise UserError(f"{method} has cells on {', '.join(models)}; give one of them as the model")
    chosen: dict[str, tuple[float, Record]] = {}
    for record in found:
        score = protocols.choosing_score(record.history, protocol)
        if score is not None and score > chosen.get(record.task, (float("-inf"),))[0]:
            chosen[record.task] = score, record
    return {task: record for task, (_, record) in chosen.items()}


def glue(chosen: dict[str, Record], results: Path, data_root: str | None, fill: bool) -> tuple[bytes, list[str]]:
    """The zip for gluebenchmark.com.

    Args:
        chosen: cells by task.
        results: folder of the records.
        data_root: folder of the official files; None: that of each record.
        fill: answer a task without a cell by one constant; else it is an error.

    Returns:
        The zip, and a line for each of its files.

    Raises:
        UserError: if a task has no cell, or a test set cannot be had or is not whole.
    """
    if not fill and (missing := [task for task in TASKS if task not in chosen]):
        advice = "the site takes whole submissions only: run them, or give FILL=1 to answer them by a constant"
        raise UserError(f"no finished cell for {', '.join(missing)}; {advice}")
    contents, said = {}, []
    for task in (*TASKS, None):
        tests = [test for test in TESTS if test.task == task]
        answers = _answers(chosen[task], tests, results, data_root) if task in chosen else {}
        for test in tests:
            words = answers.get(test.file) or [test.filler] * test.rows
            by = chosen[task].cell if test.file in answers else f"no cell: {test.filler} for every row"
            contents[test.file] = "index\tprediction\n" + "".join(f"{i}\t{word}\n" for i, word in enumerate(words))
            said.append(f"{test.file:<12} {test.rows:>7} rows  {by}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # without a time: the same bytes
    return buffer.getvalue(), said


def _answers(record: Record, tests: Sequence[TestSet], results: Path, data_root: str | None) -> dict[str, list[str]]:
    """The words of a cell's predictions for its task's test sets, by file; without AX where it is not there."""
    source = trained.find(record.cell, results, data_root)
    sets = rows.of_split(source.config, "test") | _diagnostic(source.config)
    for test in tests:
        if test.split in sets and len(sets[test.split]) != test.rows:
            found = len(sets[test.split])
            raise UserError(
                f"{test.file}: the test set has {found} rows and GLUE's has {test.rows}; get the file again"
            )
    model = trained.load_model(source)
    words = {}
    for test in tests:
        if test.split in sets:
            part = {test.split: sets[test.split]}
            tokens = predict.encoded(model, part)
            given = predict.table(source.config.task, part, tokens, predict.outputs(model, tokens))["prediction"]
            words[test.file] = [f"{score:.3f}" for score in given.clip(0, 5)] if test.task == STSB else given.tolist()
    return words


def _diagnostic(config: RunConfig) -> dict[str, Dataset]:
    """GLUE's diagnostic sentences for an MNLI cell, where its data have them."""
    if config.task.name != "mnli":
        return {}
    if not config.data.root:
        return sources.load_diagnostic(config.task)
    path = Path(config.data.root) / "glue" / "AX" / "AX.tsv"
    return {"ax": Dataset.from_list(files.read(files.unlabelled(config.task), "test", path))} if path.is_file() else {}


def squad(chosen: dict[str, Record], results: Path, protocol: str, folder: Path) -> list[Path]:
    """The answers on SQuAD's dev sets, as the official evaluation reads them: an object from question to answer.

    They are the kept predictions of the evaluation that the protocol chooses. SQuAD's test sets are not public.

    Returns:
        The files that were written.
    """
    written = []
    for task in SQUAD:
        record = chosen.get(task)
        kept = predictions.read(results, record) if record else None
        entry = protocols.choose(record.history, protocol) if record else None
        if kept and entry:
            table = kept[entry.step]
            answers = dict(zip(table["id"].to_pylist(), table["prediction"].to_pylist(), strict=True))
            path = folder / f"{task}.json"
            atomic.write(path, json.dumps(answers, ensure_ascii=False) + "\n")
            written.append(path)
    return written
