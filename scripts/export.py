"""Write the model of a finished cell for others, with a model card.

python scripts/export.py CELL --as adapter --output FOLDER    # PEFT's adapter; loading it needs `import dcft`
python scripts/export.py CELL --as lora --output FOLDER       # the same function as a LoRA, for stock PEFT and servers
python scripts/export.py CELL --as merged --output FOLDER     # a plain Transformers model
"""

import argparse
from pathlib import Path

from dcft.cli import command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cell", help="name, record or folder with the model")
    parser.add_argument("--as", dest="form", choices=("adapter", "lora", "merged"), default="adapter")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--push-to-hub", metavar="OWNER/NAME", help="upload it; without a login, say what would be")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the records")
    arguments = parser.parse_args()
    from dcft.inference import export, push, trained  # load torch
    from dcft.training.quiet import quieten

    quieten()
    export.export(trained.load_model(trained.find(arguments.cell, arguments.results)), arguments.form, arguments.output)
    if arguments.push_to_hub:
        print(push.push(arguments.output, arguments.push_to_hub))
    print(arguments.output)


if __name__ == "__main__":
    command(main)
