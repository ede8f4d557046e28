"""Predict with the model of a finished cell: a split of its task, or a file of one's own.

python scripts/predict.py CELL                                        # the dev set, as a table on the terminal
python scripts/predict.py CELL --split test --output predictions.tsv
python scripts/predict.py outputs/runs/CELL --file mine.jsonl --output predictions.jsonl

CELL is the name of a cell or its beginning, its record, or a folder with its model.
"""

import argparse
from pathlib import Path

from dcft.cli import command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell", help="name, record or folder")
    parser.add_argument("--split", choices=("dev", "test"), default="dev", help="of the task's data")
    parser.add_argument("--file", type=Path, help="instead: TSV or JSON lines with the task's columns, or SQuAD's JSON")
    parser.add_argument("--output", type=Path, help=".tsv or .jsonl; .json: SQuAD's official form. Nothing: print TSV")
    parser.add_argument("--data-root", help="folder with the official files; nothing: that of the record")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    from dcft.inference import predict, rows, trained, write  # load torch
    from dcft.training.quiet import quieten

    if arguments.output:
        write.check(arguments.output)
    quieten()
    source = trained.find(arguments.cell, arguments.results, arguments.data_root)
    task = source.config.task
    if arguments.file:
        chosen = {"file": rows.of_file(task, arguments.file)}
    else:
        chosen = rows.of_split(source.config, arguments.split)
    model = trained.load_model(source)
    tokens = predict.encoded(model, chosen)
    table = predict.table(task, chosen, tokens, predict.outputs(model, tokens))
    write.predictions(table, arguments.output)


if __name__ == "__main__":
    command(main)
