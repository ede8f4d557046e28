"""Print and write a table from the records there are; runs nothing.

python scripts/render_table.py demo [settings as for run.py]
"""

import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from dcft import tables
from dcft.errors import CONF, explain
from dcft.plan import plan


def main(name: str, *overrides: str) -> None:
    with initialize_config_dir(str(CONF.resolve()), version_base="1.3"):
        table = OmegaConf.to_container(compose("config", [f"table={name}"]).table, resolve=True)
        cells = plan(table, list(overrides), lambda settings: compose("config", settings))
    view = tables.build(table, cells)
    tables.show(view)
    for path in tables.write(view, Path(cells[0].config.results.dir)):
        print(path)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip().splitlines()[-1])
    try:
        main(*sys.argv[1:])
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        sys.exit(f"error: {line}")
